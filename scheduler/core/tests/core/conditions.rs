//! Stories of the conditions by which Node objects show where their reboots are.

use std::collections::BTreeMap;

use bellwether_proto::{Phase, mark};
use bellwether_scheduler_core::{AnnotatedKind, ConditionChange, Conditions, Effect, NodeCondition, OurCondition};
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
    let foreign = &world.hosts[&name("b")].view.conditions;
    assert!(foreign.contains_key(mark::DRAINED) && foreign.contains_key(mark::MAINTENANCE_PLANNED));
}

/// A view is often behind: the next phase is decided before it shows the conditions of the phase before.
#[test]
fn a_change_leaves_none_of_those_that_were_requested_before_it_and_are_not_in_view_yet() {
    let mut world = World::new(1, &["a"]);
    world.need("a");
    assert_eq!(shown(&world, "a"), [DRAINING, "RebootRequired=True Draining"]);
    let written = world.hosts[&name("a")].view.our_conditions.clone();
    // The object has them, and the view does not.
    world.host("a").view.our_conditions.clear();
    world.effects.clear();
    world.drainer("a", true, 1);
    assert_eq!(world.phase("a"), Some(Phase::Rebooting));
    let change = changes(&world, "a").pop().expect("a change");
    let diff = change.conditions.diff(&written, |_| false).unwrap();
    assert_eq!(diff.removed, [mark::DRAIN_IN_PROGRESS], "{diff:?}");
    let set: Vec<_> = diff.set.iter().map(|set| set.type_).collect();
    assert_eq!(
        set,
        [mark::DRAINED, mark::MAINTENANCE_IN_PROGRESS, mark::REBOOT_REQUIRED]
    );
}

#[test]
fn only_another_status_is_a_transition_and_a_foreign_type_is_left_alone() {
    let mut world = World::new(1, &["a"]);
    world.pause("freeze");
    world.need("a");
    let wanted = changes(&world, "a").pop().unwrap().conditions;
    let mut ours = world.hosts[&name("a")].view.our_conditions.clone();
    assert_eq!(wanted.diff(&ours, |_| false), None, "as wanted");
    let condition = ours.get_mut(mark::REBOOT_REQUIRED).unwrap();
    condition.message.clear();
    let transitions = |ours: &_| -> Vec<_> {
        let diff = wanted.diff(ours, |_| false).unwrap();
        diff.set.iter().map(|set| (set.type_, set.is_transition)).collect()
    };
    assert_eq!(transitions(&ours), [(mark::REBOOT_REQUIRED, false)]);
    ours.get_mut(mark::REBOOT_REQUIRED).unwrap().status = "Unknown".to_owned();
    assert_eq!(transitions(&ours), [(mark::REBOOT_REQUIRED, true)]);
    assert_eq!(
        transitions(&BTreeMap::new()),
        [(mark::REBOOT_REQUIRED, true)],
        "none yet"
    );
    let stale = ours[mark::REBOOT_REQUIRED].clone();
    ours.insert(mark::DRAINED.to_owned(), stale);
    assert_eq!(wanted.diff(&ours, |_| false).unwrap().removed, [mark::DRAINED]);
    assert_eq!(wanted.diff(&ours, |_| true), None);
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
    let mut world = World::new(1, &["a", "b", "c"]);
    world.need("a");
    world.need("b");
    world.settle();
    let uid = world.hosts[&name("b")].view.uid.clone();
    world.leave("b");
    let last = changes(&world, "b").pop().unwrap();
    assert_eq!(last.node_uid, uid);
    assert_eq!(last.conditions, Conditions::default(), "none is wanted");
    world.leave("c");
    assert_eq!(changes(&world, "c"), [], "it has none");
}
