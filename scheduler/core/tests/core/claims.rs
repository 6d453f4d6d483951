//! Stories of nodes that other programs have taken away.

use bellwether_proto::{Cause, Phase};
use bellwether_scheduler_core::{NodeCondition, Taint};
use jiff::{SignedDuration, Timestamp};

use crate::world::{World, name};

const MINUTE: SignedDuration = SignedDuration::from_mins(1);

fn taint(key: &str, value: &str) -> Taint {
    Taint {
        key: key.into(),
        value: value.into(),
        effect: "NoSchedule".into(),
    }
}

fn maintenance(status: &str, since: Timestamp) -> (String, NodeCondition) {
    let condition = NodeCondition {
        status: status.into(),
        since: Some(since),
    };
    ("MaintenanceInProgress".into(), condition)
}

#[test]
fn a_node_that_another_program_claims_is_left_alone_counted_and_named() {
    for key in [
        "ToBeDeletedByClusterAutoscaler",
        "karpenter.sh/disrupted",
        "karpenter.sh/disruption",
        "medik8s.io/drain",
        "medik8s.io/remediation",
        "node.kubernetes.io/out-of-service",
    ] {
        let mut world = World::new(1, &["a", "b"]);
        world.host("a").view.taints = vec![taint("dedicated", "gpu"), taint(key, "")];
        world.need("a");
        world.need("b");
        assert_eq!(
            (world.reason("a"), world.reason("b")),
            (Some("Claimed"), Some("NoSlot")),
            "{key}"
        );
        assert!(world.message("a").contains(key), "{}", world.message("a"));
        world.host("a").view.taints.clear();
        world.settle();
        assert_eq!(world.phase("a"), Some(Phase::Draining), "{key}");
    }
}

#[test]
fn a_node_that_the_autoscaler_may_delete_is_left_alone_and_does_not_stop_the_others() {
    let mut world = World::new(1, &["a", "b"]);
    world.host("a").view.taints = vec![taint("DeletionCandidateOfClusterAutoscaler", "1767225600")];
    world.need("a");
    world.need("b");
    assert_eq!(
        (world.reason("a"), world.phase("b")),
        (Some("Claimed"), Some(Phase::Draining))
    );
    // A claim that disrupts is named before one that does not.
    let deletion = taint("ToBeDeletedByClusterAutoscaler", "1767225600");
    world.host("a").view.taints.push(deletion);
    world.settle();
    assert!(
        world.message("a").contains("deletes the machine"),
        "{}",
        world.message("a")
    );
}

#[test]
fn maintenance_that_a_condition_states_is_a_claim_while_the_condition_is_true() {
    let mut world = World::new(1, &["a", "b"]);
    let now = world.now;
    world.host("a").view.conditions = [maintenance("True", now)].into();
    world.need("a");
    world.need("b");
    assert_eq!(
        (world.reason("a"), world.reason("b")),
        (Some("Claimed"), Some("NoSlot"))
    );
    world.host("a").view.conditions = [maintenance("False", now)].into();
    world.settle();
    assert_eq!(world.phase("a"), Some(Phase::Draining));
}

#[test]
fn a_claim_that_is_older_than_such_claims_are_is_named_as_stale_with_its_remedy() {
    let mut world = World::new(1, &["a", "b"]);
    let now = world.now;
    world.host("a").view.taints = vec![taint("ToBeDeletedByClusterAutoscaler", &now.as_second().to_string())];
    world.host("b").view.conditions = [maintenance("True", now)].into();
    world.need("a");
    world.need("b");
    assert!(!world.message("a").contains("longer than"), "{}", world.message("a"));
    world.pass(MINUTE * 60);
    let message = world.message("a");
    assert!(
        message.contains("since 2026-01-01T00:00:00Z") && message.contains("remove the taint ToBeDeleted"),
        "{message}"
    );
    let message = world.message("b");
    assert!(
        message.contains("set the condition MaintenanceInProgress to False"),
        "{message}"
    );
}

#[test]
fn a_claim_that_comes_in_the_drain_takes_the_reboot_back() {
    let mut world = World::new(1, &["a"]);
    world.need("a");
    world.host("a").view.taints = vec![taint("karpenter.sh/disrupted", "")];
    world.settle();
    world.drainer("a", true, 1);
    assert_eq!(world.phase("a"), Some(Phase::RollingBack));
    let ending = world.records[&name("a")].ending.clone().unwrap();
    assert_eq!(ending.cause, Cause::NotFit);
    assert!(ending.message.contains("Karpenter"), "{}", ending.message);
}

#[test]
fn a_node_that_is_being_deleted_takes_a_slot() {
    let mut world = World::new(1, &["a", "b"]);
    world.host("a").view.deleting = true;
    world.need("a");
    world.need("b");
    assert_eq!(
        (world.reason("a"), world.reason("b")),
        (Some("NodeDeleting"), Some("NoSlot"))
    );
    assert!(
        world.message("b").contains("a (being deleted)"),
        "{}",
        world.message("b")
    );
}
