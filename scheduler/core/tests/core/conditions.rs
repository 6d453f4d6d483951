//! Stories of the conditions by which Node objects show where their reboots are.

use bellwether_proto::{Phase, mark};
use bellwether_scheduler_core::{AnnotatedKind, ConditionChange, Effect, NodeCondition, OurCondition};
use jiff::SignedDuration;
use serde_json::json;

use crate::annotated;
use crate::world::{World, name, policy};

const MINUTE: SignedDuration = SignedDuration::from_mins(1);
const PLANNED: &str = "MaintenancePlanned=True BellwetherReboot";
const DRAINING: &str = "DrainInProgress=True BellwetherReboot";
const DRAINED: &str = "Drained=True BellwetherReboot";
const IN_PROGRESS: &str = "MaintenanceInProgress=True BellwetherReboot";

/// Our conditions of a node, as `TYPE=STATUS REASON`, by type.
fn shown(world: &World, node: &str) -> Vec<String> {
    let conditions = &world.hosts[&name(node)].view.our_conditions;
    let text = |(type_, condition): (&String, &OurCondition)| {
        let OurCondition { status, reason, .. } = condition;
        let type_ = type_.trim_start_matches("bellwether.dev/");
        format!("{type_}={status} {reason}")
    };
    conditions.iter().map(text).collect()
}

fn message(world: &World, node: &str) -> String {
    let conditions = &world.hosts[&name(node)].view.our_conditions;
    let ours = conditions.get(mark::REBOOT_REQUIRED);
    ours.map_or_else(String::new, |ours| ours.message.clone())
}

fn changes(world: &World, node: &str) -> Vec<ConditionChange> {
    let effects = world.effects.iter().filter_map(|(_, effect)| {
        let Effect::SetConditions(change) = effect else {
            return None;
        };
        (change.node == name(node)).then(|| (**change).clone())
    });
    effects.collect()
}

#[test]
fn conditions_follow_a_node_from_its_wait_to_its_return_and_none_is_left() {
    let night = json!({ "windows": [{ "days": ["Mon-Sun"], "start": "01:00", "end": "03:00" }] });
    let mut world = World::new(1, &["a", "b"]);
    world.policies = vec![policy("nights", night)];
    world.settle();
    assert_eq!(shown(&world, "a"), [""; 0], "a node without a need has none");
    world.need("a");
    world.need("b");
    world.settle();
    // A node that waits for a window is not about to go.
    assert_eq!(shown(&world, "a"), ["RebootRequired=True WindowShut"]);
    assert!(
        message(&world, "a").contains("policy nights"),
        "{}",
        message(&world, "a")
    );
    world.pass(MINUTE * 61);
    world.settle();
    assert_eq!(shown(&world, "a"), [DRAINING, "RebootRequired=True Draining"]);
    assert_eq!(shown(&world, "b"), [PLANNED, "RebootRequired=True NoSlot"]);
    assert!(
        !message(&world, "b").contains(char::is_numeric),
        "{}",
        message(&world, "b")
    );
    world.drainer("a", true, 1);
    world.settle();
    world.settle();
    assert_eq!(world.phase("a"), Some(Phase::Rebooting));
    assert_eq!(
        shown(&world, "a"),
        [DRAINED, IN_PROGRESS, "RebootRequired=True Rebooting"]
    );
    world.rebooter("a", true);
    world.settle();
    world.settle();
    assert_eq!(world.phase("a"), Some(Phase::Uncordoning));
    assert_eq!(shown(&world, "a"), [IN_PROGRESS, "RebootRequired=True Uncordoning"]);
    world.drainer("a", true, 1);
    world.settle();
    world.settle();
    assert_eq!(world.phase("a"), Some(Phase::Soaking));
    assert_eq!(shown(&world, "a"), [""; 0]);
}

#[test]
fn a_node_that_fails_shows_why_for_as_long_as_it_does() {
    let mut world = World::new(1, &["a"]);
    world.need("a");
    world.drainer("a", true, 1);
    world.settle();
    world.rebooter_then("a", true, false);
    world.pass(MINUTE * 11);
    world.settle();
    assert_eq!(world.phase("a"), Some(Phase::Failed));
    assert_eq!(
        shown(&world, "a"),
        [IN_PROGRESS, "RebootRequired=False NodeNotBack"],
        "it was rebooted"
    );
    assert!(
        message(&world, "a").contains("keeps its slot"),
        "{}",
        message(&world, "a")
    );
}

#[test]
fn a_need_that_cannot_be_known_any_more_is_unknown_and_one_that_never_was_is_nothing() {
    let mut world = World::new(1, &["a", "b"]);
    world.pause("a change freeze");
    world.need("b");
    world.settle();
    assert_eq!(shown(&world, "b"), ["RebootRequired=True Paused"]);
    for node in ["a", "b"] {
        world.host(node).need = Err("the file cannot be read".to_owned());
    }
    world.settle();
    assert_eq!(world.reason("a"), Some("ProbeError"));
    assert_eq!(shown(&world, "a"), [""; 0]);
    assert_eq!(shown(&world, "b"), ["RebootRequired=Unknown ProbeError"]);
}

#[test]
fn a_condition_of_another_program_is_not_touched_and_ours_is_no_claim() {
    let mut world = World::new(1, &["a", "b"]);
    let foreign = NodeCondition {
        status: "True".to_owned(),
        since: None,
    };
    world.host("b").view.conditions = [
        (mark::DRAINED.to_owned(), foreign.clone()),
        (mark::MAINTENANCE_PLANNED.to_owned(), foreign),
    ]
    .into();
    world.need("a");
    world.need("b");
    world.settle();
    assert_eq!(shown(&world, "b"), ["RebootRequired=True NoSlot"]);
    world.reboot("a");
    world.settle();
    world.drainer("b", true, 1);
    world.settle();
    world.settle();
    // Ours of Kubernetes is there, and the order is given all the same.
    assert_eq!(world.phase("b"), Some(Phase::Rebooting));
    assert_eq!(shown(&world, "b"), [IN_PROGRESS, "RebootRequired=True Rebooting"]);
    assert!(changes(&world, "b").iter().all(|change| {
        let changed = change.conditions.set.keys().chain(&change.conditions.removed);
        changed
            .into_iter()
            .all(|type_| *type_ != mark::DRAINED && *type_ != mark::MAINTENANCE_PLANNED)
    }));
}

#[test]
fn a_message_alone_is_written_every_five_minutes_and_a_code_at_once() {
    let mut world = World::new(1, &["a"]);
    world.pause("first");
    world.need("a");
    world.settle();
    world.resume();
    world.pause("second");
    world.settle();
    assert!(message(&world, "a").contains("first"), "{}", message(&world, "a"));
    let before = changes(&world, "a").len();
    world.pass(MINUTE * 4);
    world.settle();
    assert_eq!(changes(&world, "a").len(), before);
    let hold = annotated::order(&world, AnnotatedKind::Hold);
    world.resume();
    world.annotate("a", [hold]);
    world.settle();
    world.settle();
    assert_eq!(shown(&world, "a"), ["RebootRequired=True Held"]);
    world.pause("third");
    world.annotate("a", []);
    world.settle();
    world.settle();
    assert_eq!(shown(&world, "a"), ["RebootRequired=True Paused"]);
    world.resume();
    world.pause("fourth");
    world.pass(MINUTE * 6);
    world.settle();
    assert!(message(&world, "a").contains("fourth"), "{}", message(&world, "a"));
    let last = changes(&world, "a").pop().unwrap();
    assert!(!last.conditions.set[mark::REBOOT_REQUIRED].is_transition);
}

#[test]
fn without_the_setting_what_is_there_is_taken_away() {
    let mut world = World::new(1, &["a", "b"]);
    world.need("a");
    world.need("b");
    world.settle();
    assert_eq!(shown(&world, "b"), [PLANNED, "RebootRequired=True NoSlot"]);
    world.policy.node_conditions = false;
    world.crash();
    world.settle();
    world.settle();
    for node in ["a", "b"] {
        assert_eq!(shown(&world, node), [""; 0], "{node}");
    }
}

#[test]
fn a_node_that_is_to_be_left_alone_loses_its_conditions_before_it_leaves_the_view() {
    let mut world = World::new(1, &["a", "b"]);
    world.need("a");
    world.need("b");
    world.settle();
    let uid = world.hosts[&name("b")].view.uid.clone();
    world.leave("b");
    let last = changes(&world, "b").pop().unwrap();
    assert_eq!(last.node_uid, uid);
    assert_eq!(last.conditions.set.len(), 0);
    assert_eq!(
        last.conditions.removed,
        [mark::MAINTENANCE_PLANNED, mark::REBOOT_REQUIRED]
    );
}
