//! The Node object, as far as decisions depend on it.

use std::collections::BTreeMap;

use bellwether_proto::{AttemptId, BootId, NodeName, NodeUid, mark};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::encoding::{as_text, as_text_optional};
use crate::observed::{AnnotatedKind, AnnotatedOrder, NodeOrders};
use crate::timers::{Clock, later};

/// A Node object, as far as decisions depend on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeView {
    /// Its name.
    #[serde(with = "as_text")]
    pub name: NodeName,
    /// Its UID.
    #[serde(with = "as_text")]
    pub uid: NodeUid,
    /// The Ready condition is True.
    pub ready: bool,
    /// Since when, if it is and that is known.
    pub ready_since: Option<Timestamp>,
    /// `spec.unschedulable`.
    pub unschedulable: bool,
    /// The attempt whose cordon the node carries.
    #[serde(with = "as_text_optional")]
    pub cordoned_for: Option<AttemptId>,
    /// Its labels, by which policies select nodes.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Its taints.
    #[serde(default)]
    pub taints: Vec<Taint>,
    /// Its conditions but Ready and ours, by type.
    #[serde(default)]
    pub conditions: BTreeMap<String, NodeCondition>,
    /// The conditions that we wrote, by type. Most nodes have none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub our_conditions: BTreeMap<String, OurCondition>,
    /// The orders that its annotations are. Most nodes carry none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub orders: Option<Box<NodeOrders>>,
    /// The annotations that policies name as needs, each with its value; none: the node does not carry it. One that is
    /// missing here was not looked for yet.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, Option<String>>,
    /// The node is part of the control plane.
    pub control_plane: bool,
    /// The Node object is being deleted.
    pub deleting: bool,
    /// The boot that its kubelet reports.
    #[serde(with = "as_text_optional")]
    pub boot_id: Option<BootId>,
    /// The kernel that its kubelet reports.
    pub kernel: String,
    /// The operating system that its kubelet reports.
    pub os: String,
}

impl NodeView {
    /// The node carries the taint of nodes that wait for their reboot, with whatever effect.
    pub(crate) fn waits_for_reboot(&self) -> bool {
        self.taints.iter().any(|taint| taint.key == mark::WAITS_FOR_REBOOT)
    }

    /// The orders that the node carries and whose end is not reached.
    pub fn annotated_orders(&self, now: Timestamp) -> impl Iterator<Item = &AnnotatedOrder> {
        let orders = self.orders.iter().flat_map(|orders| orders.iter());
        orders.filter(move |order| order.ends_at().is_none_or(|at| now < at))
    }

    /// The order of this kind that the node carries, ended or not.
    pub(crate) fn annotated(&self, kind: AnnotatedKind) -> Option<&AnnotatedOrder> {
        let mut orders = self.orders.iter().flat_map(|orders| orders.iter());
        orders.find(|order| order.kind == kind)
    }

    /// The annotation that holds the node.
    pub(crate) fn annotated_hold(&self, clock: &Clock) -> Option<&AnnotatedOrder> {
        self.annotated(AnnotatedKind::Hold)
            .filter(|order| !order.has_ended(clock))
    }

    /// The annotation that leaves a need which began at this time unserved. An annotation without a known time does so
    /// with every need.
    pub(crate) fn annotated_skip(&self, need_began: Timestamp, clock: &Clock) -> Option<&AnnotatedOrder> {
        let order = self.annotated(AnnotatedKind::Skip)?;
        // Managed fields have whole seconds: the annotation may have been set until the end of its second.
        let is_covered = order
            .since
            .is_none_or(|since| need_began < later(since, SignedDuration::from_secs(1)));
        (is_covered && !order.has_ended(clock)).then_some(order)
    }
}

/// A taint of a node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taint {
    /// Its key.
    pub key: String,
    /// Its value; may be empty.
    #[serde(default)]
    pub value: String,
    /// Its effect, such as NoSchedule.
    pub effect: String,
}

/// A condition of a node, as far as decisions depend on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeCondition {
    /// True, False or Unknown.
    pub status: String,
    /// Since when, by the clock of the program that writes the condition.
    pub since: Option<Timestamp>,
}

/// A condition of a node that a leader wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OurCondition {
    /// True, False or Unknown.
    pub status: String,
    /// A code.
    pub reason: String,
    /// For operators.
    pub message: String,
}
