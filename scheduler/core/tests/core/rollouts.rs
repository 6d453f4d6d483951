//! Stories of what a record keeps for the traces of a rollout: the attempt before, and the gates of the wait.

use bellwether_proto::{Phase, TraceParent};
use bellwether_scheduler_core::Policy;
use jiff::SignedDuration;
use serde_json::json;

use crate::world::{World, name, policy};

const DAY: SignedDuration = SignedDuration::from_hours(24);

/// The trace of a node's attempt.
fn trace(world: &World, node: &str) -> TraceParent {
    world.records[&name(node)].trace
}

/// The attempt before that of the node, as the record has it.
fn previous(world: &World, node: &str) -> Option<TraceParent> {
    world.records[&name(node)].previous
}

#[test]
fn each_attempt_names_the_one_before_of_its_policy_within_a_day_under_any_leader() {
    let mut world = World::new(1, &["a", "b", "x", "y"]);
    // The nodes a and b are of one pool.
    world.policies = vec![
        policy("pool", json!({ "nodeSelector": { "matchLabels": { "pool": "w" } } })),
        policy(
            "rest",
            json!({ "nodeSelector": { "matchExpressions": [{ "key": "pool", "operator": "DoesNotExist" }] } }),
        ),
    ];
    world.settle();
    world.need("a");
    world.reboot("a");
    assert_eq!(previous(&world, "a"), None, "the first one");
    world.need("x");
    world.reboot("x");
    assert_eq!(previous(&world, "x"), None, "the first one of its policy");
    world.crash();
    world.need("b");
    assert_eq!(previous(&world, "b"), Some(trace(&world, "a")));
    world.crash();
    world.reboot("b");
    assert_eq!(
        previous(&world, "b"),
        Some(trace(&world, "a")),
        "a change of leaders changes nothing"
    );
    // Of several the one that ended last, also of the same node.
    world.pass(DAY - SignedDuration::from_hours(1));
    let before = trace(&world, "b");
    world.need("b");
    assert_eq!(previous(&world, "b"), Some(before));
    world.reboot("b");
    world.pass(DAY + SignedDuration::from_hours(1));
    world.need("a");
    assert_eq!(previous(&world, "a"), None, "another rollout");
}

#[test]
fn a_record_keeps_the_gates_that_held_its_node_and_the_next_attempt_does_not() {
    let mut world = World::new(1, &["a"]);
    world.pause("release night");
    world.need("a");
    world.pass(SignedDuration::from_mins(5));
    world.resume();
    world.settle();
    world.crash();
    let held = world.records[&name("a")].held.clone();
    let paused = held.iter().find(|gate| gate.code == "Paused");
    let paused = paused.unwrap_or_else(|| panic!("{held:?}"));
    assert!(paused.message.contains("release night"), "{held:?}");
    let took = paused.until.unwrap().duration_since(paused.since.unwrap());
    assert!(took >= SignedDuration::from_mins(5), "{held:?}");
    world.reboot("a");
    world.pass(DAY);
    world.need("a");
    let held = &world.records[&name("a")].held;
    assert!(held.iter().all(|gate| gate.code != "Paused"), "{held:?}");
}

#[test]
fn only_the_first_attempt_for_a_need_states_the_wait_and_it_does_not_change_with_what_the_attempt_comes_to() {
    let waited_since = |world: &World| world.records[&name("a")].waited_since;
    let mut world = World::new(1, &["a"]);
    world.pause("release night");
    world.need("a");
    let needed = world.now;
    world.pass(SignedDuration::from_mins(5));
    world.resume();
    world.settle();
    assert_eq!(world.phase("a"), Some(Phase::Draining));
    assert_eq!(waited_since(&world), Some(needed));
    // A package that is installed in the drain: a later need.
    world.need("a");
    world.settle();
    assert!(world.records[&name("a")].need_since > needed);
    world.cancel("a", "a test");
    // The queue still has the drain.
    world.drainer("a", true, 1);
    world.drainer("a", true, 1);
    world.pass(Policy::LATE_EFFECT_MAX);
    assert_eq!(world.phase("a"), Some(Phase::Cancelled));
    assert_eq!(
        waited_since(&world),
        Some(needed),
        "it was the first one, though in vain"
    );
    world.pass(DAY);
    world.reboot("a");
    assert_eq!(world.phase("a"), Some(Phase::Done));
    assert_eq!(waited_since(&world), None, "it was a further one, though it is done");
    world.pass(DAY);
    world.need("a");
    assert_eq!(waited_since(&world), Some(world.now), "another need");
}
