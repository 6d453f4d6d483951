//! Stories of the kinds of reboot that a policy may choose.

use bellwether_proto::{Cause, KindPreflight, Phase, Problem, ProblemCode, RebootKind};
use serde_json::json;

use crate::world::{World, name, policy};

/// One node under a policy with this kind, whose rebooter reports these kinds.
fn governed(kind: &str, kinds: Vec<KindPreflight>) -> World {
    let mut world = World::new(1, &["a"]);
    world.policies = vec![policy("p", json!({ "rebootKind": kind }))];
    world.host("a").kinds = kinds;
    world.settle();
    world
}

fn able(kind: RebootKind) -> KindPreflight {
    KindPreflight { kind, problem: None }
}

fn unable(kind: RebootKind) -> KindPreflight {
    KindPreflight {
        kind,
        problem: Some(Problem::new(ProblemCode::KexecNotLoaded, "no kernel is loaded")),
    }
}

#[test]
fn a_node_is_drained_only_for_a_kind_that_its_rebooter_reports_as_possible() {
    let mut world = governed("Kexec", Vec::new());
    world.need("a");
    assert_eq!(
        world.reason("a"),
        Some("PreflightFailed"),
        "a rebooter of a version before the kinds"
    );
    assert!(
        world.message("a").contains("does not know the kind of reboot kexec"),
        "{}",
        world.message("a")
    );
    world.host("a").kinds = vec![unable(RebootKind::Kexec)];
    world.settle();
    assert_eq!(world.reason("a"), Some("PreflightFailed"));
    assert!(
        world.message("a").contains("no kernel is loaded"),
        "{}",
        world.message("a")
    );
    world.host("a").kinds = vec![able(RebootKind::Kexec)];
    world.settle();
    assert_eq!(world.phase("a"), Some(Phase::Draining));
    assert_eq!(world.records[&name("a")].reboot_kind, RebootKind::Kexec);
}

#[test]
fn a_kind_that_is_not_possible_any_more_after_the_drain_is_not_ordered() {
    let mut world = governed("Kexec", vec![able(RebootKind::Kexec)]);
    world.need("a");
    assert_eq!(world.phase("a"), Some(Phase::Draining));
    world.host("a").kinds = vec![unable(RebootKind::Kexec)];
    world.settle();
    world.drainer("a", true, 1);
    world.settle();
    let record = &world.records[&name("a")];
    assert_eq!((record.phase, record.reboot_not_after), (Phase::RollingBack, None));
    assert_eq!(record.ending.as_ref().map(|ending| ending.cause), Some(Cause::NotFit));
}

#[test]
fn an_attempt_keeps_the_kind_of_its_start_and_without_a_policy_nothing_else_than_a_full_reboot_is_ordered() {
    let mut world = governed("Kexec", vec![able(RebootKind::Kexec)]);
    world.need("a");
    world.policies = vec![policy("p", json!({}))];
    world.settle();
    world.drainer("a", true, 1);
    world.settle();
    let record = &world.records[&name("a")];
    assert_eq!(
        (record.phase, record.reboot_kind),
        (Phase::Rebooting, RebootKind::Kexec)
    );

    let mut world = World::new(1, &["a"]);
    world.host("a").kinds = vec![unable(RebootKind::Kexec)];
    world.settle();
    world.need("a");
    assert_eq!(world.records[&name("a")].reboot_kind, RebootKind::Full);
}
