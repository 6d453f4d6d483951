//! Node objects, as far as decisions depend on them.

use std::collections::{BTreeMap, BTreeSet};

use bellwether_policy::VALUE_BYTES_MAX;
use bellwether_proto::node::left_alone;
use bellwether_proto::{NodeName, mark};
use bellwether_scheduler_core::{NodeCondition, NodeView, OurCondition, Taint};

use crate::cluster::object::{self, Node, NodeSpec};
use crate::cluster::order;

/// A node's name.
pub(crate) fn name(node: &Node) -> Option<NodeName> {
    node.metadata.name.as_deref()?.parse().ok()
}

/// The condition that has fields of its own in the view.
const READY: &str = "Ready";

/// The fields of a node that decisions depend on. None if Bellwether leaves the node alone: its labels say so, and
/// it carries no mark of ours. A node that is labelled while an attempt has it cordoned stays in view until that
/// cordon is gone, so that the attempt gets to its safe end; after that nothing starts there. `named` are the keys of the
/// annotations that policies name as needs.
pub(crate) fn view(node: &Node, named: &BTreeSet<String>) -> Option<NodeView> {
    let name = name(node)?;
    let spec = node.spec.as_ref();
    let status = node.status.as_ref();
    let info = status.and_then(|status| status.node_info.as_ref());
    let conditions = status
        .and_then(|status| status.conditions.as_deref())
        .unwrap_or_default();
    let ready = conditions
        .iter()
        .find(|condition| condition.type_ == READY && condition.status == "True");
    let annotations = node.metadata.annotations.as_ref();
    let labels = node.metadata.labels.as_ref();
    let cordoned_for = annotations.and_then(|all| all.get(mark::CORDONED_FOR)?.parse().ok());
    let left_alone = left_alone(|name| labels?.get(name).map(String::as_str));
    if left_alone.is_some() && cordoned_for.is_none() {
        return None;
    }
    Some(NodeView {
        name,
        uid: node.metadata.uid.as_deref()?.parse().ok()?,
        ready: ready.is_some(),
        ready_since: ready
            .and_then(|condition| condition.last_transition_time.as_ref())
            .map(|at| at.0),
        unschedulable: spec.and_then(|spec| spec.unschedulable).unwrap_or(false),
        cordoned_for,
        labels: node.metadata.labels.clone().unwrap_or_default(),
        taints: taints(spec),
        conditions: other_conditions(conditions),
        our_conditions: our_conditions(conditions),
        orders: order::orders(node),
        annotations: named
            .iter()
            .map(|key| {
                (
                    key.clone(),
                    annotations.and_then(|all| all.get(key)).map(|value| cut(value)),
                )
            })
            .collect(),
        control_plane: labels.is_some_and(|labels| {
            mark::CONTROL_PLANE_LABELS
                .iter()
                .any(|label| labels.contains_key(*label))
        }),
        deleting: node.metadata.deletion_timestamp.is_some(),
        boot_id: info.and_then(|info| info.boot_id.parse().ok()),
        kernel: info.map(|info| info.kernel_version.clone()).unwrap_or_default(),
        os: info.map(|info| info.os_image.clone()).unwrap_or_default(),
    })
}

/// A value of any length: what is longer than any value that a policy may name equals none of these.
fn cut(value: &str) -> String {
    let end = value.floor_char_boundary(VALUE_BYTES_MAX + 1);
    value.get(..end).unwrap_or_default().to_owned()
}

fn taints(spec: Option<&NodeSpec>) -> Vec<Taint> {
    let taints = spec.and_then(|spec| spec.taints.as_deref()).unwrap_or_default();
    let view = |taint: &object::Taint| Taint {
        key: taint.key.clone(),
        value: taint.value.clone().unwrap_or_default(),
        effect: taint.effect.clone(),
    };
    taints.iter().map(view).collect()
}

fn is_ours(condition: &object::NodeCondition) -> bool {
    mark::is_our_condition(&condition.type_, condition.reason.as_deref().unwrap_or_default())
}

fn other_conditions(conditions: &[object::NodeCondition]) -> BTreeMap<String, NodeCondition> {
    let others = conditions
        .iter()
        .filter(|condition| condition.type_ != READY && !is_ours(condition));
    let view = |condition: &object::NodeCondition| NodeCondition {
        status: condition.status.clone(),
        since: condition.last_transition_time.as_ref().map(|at| at.0),
    };
    others
        .map(|condition| (condition.type_.clone(), view(condition)))
        .collect()
}

fn our_conditions(conditions: &[object::NodeCondition]) -> BTreeMap<String, OurCondition> {
    let ours = conditions.iter().filter(|condition| is_ours(condition));
    let view = |condition: &object::NodeCondition| OurCondition {
        status: condition.status.clone(),
        reason: condition.reason.clone().unwrap_or_default(),
        message: condition.message.clone().unwrap_or_default(),
    };
    ours.map(|condition| (condition.type_.clone(), view(condition)))
        .collect()
}
