//! The taint of nodes that wait for their reboot: the one taint that the drainer writes, and the only one it removes.
//!
//! The taint asks kube-scheduler to prefer other nodes, so that a pod that one reboot moves is not moved again by the
//! next. Nothing depends on it: whichever node carries it, no pod is refused or evicted.

use bellwether_proto::TaintNode;
use bellwether_proto::mark::{WAITS_FOR_REBOOT, WAITS_FOR_REBOOT_EFFECT};
use k8s_openapi::api::core::v1::{Node, Taint};
use serde_json::{Value, json};

/// What a command about the taint means for a node as it is now.
#[derive(Debug, Clone, PartialEq)]
pub enum TaintChange {
    /// This merge patch makes the node as the command asks.
    Patch(Value),
    /// The node is as the command asks.
    Unchanged,
    /// The node of the command does not exist any more.
    Gone,
}

/// Decides on the command. `node` is the object as read from the API server; none: there is no such object.
#[must_use]
pub fn taint_change(node: Option<&Node>, command: &TaintNode) -> TaintChange {
    let Some(node) = node else {
        return TaintChange::Gone;
    };
    let metadata = &node.metadata;
    let is_same = metadata.uid.as_deref() == Some(command.node_uid.as_str());
    if !is_same || metadata.deletion_timestamp.is_some() {
        return TaintChange::Gone;
    }
    let spec = node.spec.as_ref();
    let taints = spec.and_then(|spec| spec.taints.as_deref()).unwrap_or_default();
    let (ours, others): (Vec<&Taint>, Vec<&Taint>) = taints.iter().partition(|taint| taint.key == WAITS_FOR_REBOOT);
    let ours_as_wanted = match ours.as_slice() {
        [] => !command.present,
        [one] => command.present && one.effect == WAITS_FOR_REBOOT_EFFECT,
        _ => false,
    };
    if ours_as_wanted {
        return TaintChange::Unchanged;
    }
    let wanted = Taint {
        key: WAITS_FOR_REBOOT.to_owned(),
        effect: WAITS_FOR_REBOOT_EFFECT.to_owned(),
        ..Taint::default()
    };
    let wanted = command.present.then_some(&wanted);
    let taints: Vec<&Taint> = others.into_iter().chain(wanted).collect();
    // A merge patch replaces the list as a whole, so the version that was read is part of the patch: a taint of
    // another program that came meanwhile is not lost.
    TaintChange::Patch(json!({
        "metadata": { "resourceVersion": metadata.resource_version },
        "spec": { "taints": if taints.is_empty() { Value::Null } else { json!(taints) } },
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;

    const OTHER: &str = "example.com/dedicated";

    #[test]
    fn the_taint_is_set_beside_those_of_others_and_under_the_version_that_was_read() {
        let TaintChange::Patch(patch) = taint_change(Some(&node(&[(OTHER, "NoSchedule")])), &command(true)) else {
            unreachable!("no patch");
        };
        let taints = json!([
            { "key": OTHER, "effect": "NoSchedule" },
            { "key": WAITS_FOR_REBOOT, "effect": "PreferNoSchedule" },
        ]);
        assert_eq!(
            patch,
            json!({ "metadata": { "resourceVersion": "7" }, "spec": { "taints": taints } })
        );
    }

    #[test]
    fn the_taint_is_removed_and_no_other_one() {
        let both = node(&[(OTHER, "NoSchedule"), (WAITS_FOR_REBOOT, WAITS_FOR_REBOOT_EFFECT)]);
        let alone = node(&[(WAITS_FOR_REBOOT, WAITS_FOR_REBOOT_EFFECT)]);
        let taints_after = |node: &Node| {
            let TaintChange::Patch(patch) = taint_change(Some(node), &command(false)) else {
                unreachable!("no patch");
            };
            patch["spec"]["taints"].clone()
        };
        assert_eq!(taints_after(&both), json!([{ "key": OTHER, "effect": "NoSchedule" }]));
        assert_eq!(taints_after(&alone), Value::Null);
    }

    #[test]
    fn a_node_as_wanted_is_not_patched() {
        let tainted = node(&[(WAITS_FOR_REBOOT, WAITS_FOR_REBOOT_EFFECT)]);
        assert_eq!(taint_change(Some(&tainted), &command(true)), TaintChange::Unchanged);
        assert_eq!(taint_change(Some(&node(&[])), &command(false)), TaintChange::Unchanged);
    }

    #[test]
    fn a_taint_of_ours_with_an_effect_that_keeps_pods_away_is_replaced() {
        let hard = node(&[(WAITS_FOR_REBOOT, "NoExecute")]);
        let TaintChange::Patch(patch) = taint_change(Some(&hard), &command(true)) else {
            unreachable!("no patch");
        };
        let ours = json!([{ "key": WAITS_FOR_REBOOT, "effect": "PreferNoSchedule" }]);
        assert_eq!(patch["spec"]["taints"], ours);
        assert!(matches!(
            taint_change(Some(&hard), &command(false)),
            TaintChange::Patch(_)
        ));
    }

    #[test]
    fn another_node_of_the_name_is_not_touched() {
        assert_eq!(taint_change(None, &command(true)), TaintChange::Gone);
        let mut other = node(&[]);
        other.metadata.uid = Some("another".to_owned());
        assert_eq!(taint_change(Some(&other), &command(true)), TaintChange::Gone);
    }

    fn node(taints: &[(&str, &str)]) -> Node {
        let taints: Vec<_> = taints
            .iter()
            .map(|(key, effect)| json!({ "key": key, "effect": effect }))
            .collect();
        let node = json!({ "metadata": { "uid": "u", "resourceVersion": "7" }, "spec": { "taints": taints } });
        serde_json::from_value(node).unwrap()
    }

    fn command(present: bool) -> TaintNode {
        TaintNode {
            node: "n1".parse().unwrap(),
            node_uid: "u".parse().unwrap(),
            present,
            not_after: Timestamp::MAX,
        }
    }
}
