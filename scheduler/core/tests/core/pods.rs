//! Stories of gates of the pods on a node: whose pods are listed, and what a listing changes.

use bellwether_proto::{Cause, Phase};
use bellwether_scheduler_core::Effect;
use bellwether_scheduler_core::reading::{Outcome, Query};
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::world::{World, name, policy};

const SECOND: SignedDuration = SignedDuration::from_secs(1);
const MINUTE: SignedDuration = SignedDuration::from_mins(1);

fn batch() -> Value {
    json!({ "name": "batch", "selector": { "matchLabels": { "job": "long" } } })
}

/// One slot, and these nodes under one policy with this gate.
fn under(nodes: &[&str], gate: &Value) -> World {
    let mut world = World::new(1, nodes);
    world.policies = vec![policy("all", json!({ "gates": { "pods": [gate] } }))];
    world.settle();
    world
}

fn shut() -> Outcome {
    Outcome::Shut("the pod shop/long on the node".into())
}

/// The nodes whose pods are to be listed, without an answer yet.
fn asked(world: &World) -> Vec<String> {
    let nodes = world.asked.iter().filter_map(|(query, _)| match query {
        Query::Pods { node, .. } => Some(node.to_string()),
        Query::Prometheus(_) | Query::Drain { .. } | Query::DaemonPods { .. } => None,
    });
    nodes.collect()
}

/// How often the pods of a node were listed.
fn listings(world: &World, of: &str) -> usize {
    let effects = world.effects.iter();
    let is_of =
        |effect: &Effect| matches!(effect, Effect::Read { query: Query::Pods { node, .. }, .. } if *node == name(of));
    effects.filter(|(_, effect)| is_of(effect)).count()
}

/// The pods of this node alone are listed with this outcome; the others stay asked.
fn answer(world: &mut World, node: &str, outcome: &Outcome) {
    let is_of = |query: &Query| matches!(query, Query::Pods { node: of, .. } if *of == name(node));
    let (of, others) = std::mem::take(&mut world.asked)
        .into_iter()
        .partition(|(query, _)| is_of(query));
    world.asked = of;
    world.answer_with(outcome);
    world.asked.extend::<Vec<_>>(others);
}

#[test]
fn a_node_at_the_head_of_the_queue_starts_once_its_pods_are_listed() {
    let mut world = under(&["a", "c"], &batch());
    world.need("a");
    assert_eq!((world.phase("a"), world.reason("a")), (None, Some("GateUnread")));
    assert_eq!(asked(&world), ["a"]);
    world.answer_with(&Outcome::Open);
    assert_eq!(world.phase("a"), Some(Phase::Draining));
    // The slot is taken: no pods are listed for a node that could not start.
    world.need("c");
    assert_eq!((world.reason("c"), listings(&world, "c")), (Some("NoSlot"), 0));
}

#[test]
fn the_pods_of_few_nodes_are_listed_and_not_of_all_that_wait() {
    let nodes = ["a", "b", "c", "d", "e", "f", "g", "h"];
    let mut world = under(&nodes, &batch());
    for node in nodes {
        world.need(node);
    }
    assert_eq!(asked(&world), ["a", "b", "c", "d"], "one slot and three ahead");
    answer(&mut world, "a", &shut());
    assert_eq!(world.reason("a"), Some("BlockingPod"));
    assert_eq!(asked(&world), ["e", "b", "c", "d"], "the next one moves up");
    answer(&mut world, "c", &Outcome::Open);
    assert_eq!(
        world.phase("c"),
        Some(Phase::Draining),
        "a node behind two that are not known goes first"
    );
}

#[test]
fn a_node_with_a_blocking_pod_lets_the_next_one_go_and_is_looked_at_again() {
    let mut world = under(&["a", "c"], &batch());
    world.need("a");
    answer(&mut world, "a", &shut());
    assert_eq!(world.reason("a"), Some("BlockingPod"));
    let message = world.message("a");
    assert!(
        message.contains("policy all") && message.contains("batch") && message.contains("shop/long"),
        "{message}"
    );
    world.pass(SECOND * 29);
    assert_eq!(listings(&world, "a"), 1);
    world.pass(SECOND);
    assert_eq!(listings(&world, "a"), 2);
    assert_eq!(world.reason("a"), Some("BlockingPod"), "until the next listing is here");
    world.need("c");
    answer(&mut world, "a", &shut());
    answer(&mut world, "c", &Outcome::Open);
    assert_eq!(world.phase("c"), Some(Phase::Draining));
}

#[test]
fn a_pod_that_comes_during_the_drain_stops_the_reboot() {
    let mut world = under(&["a"], &batch());
    world.answer = Some(Outcome::Open);
    world.need("a");
    world.answer = None;
    world.pass(SECOND);
    world.drainer("a", true, 1);
    assert_eq!(world.reason("a"), Some("WaitsForGateReading"));
    assert_eq!(listings(&world, "a"), 2);
    world.answer_with(&shut());
    assert_eq!(world.phase("a"), Some(Phase::RollingBack));
    let ending = world.records[&name("a")].ending.clone().unwrap();
    assert_eq!(ending.cause, Cause::NotFit);
    assert!(ending.message.contains("shop/long"), "{}", ending.message);
}

#[test]
fn a_drained_node_is_rebooted_after_a_listing_of_its_own() {
    let mut world = under(&["a"], &batch());
    world.answer = Some(Outcome::Open);
    world.need("a");
    world.answer = None;
    world.pass(SECOND);
    world.drainer("a", true, 1);
    // The listing is lost, and repeated.
    world.asked.clear();
    world.pass(MINUTE);
    assert_eq!(asked(&world), ["a"]);
    world.answer = Some(Outcome::Open);
    world.answer_with(&Outcome::Open);
    // The drain was proved a minute ago, and is proved once more first.
    world.drainer("a", true, 1);
    assert_eq!(world.phase("a"), Some(Phase::Rebooting));
}

#[test]
fn a_fresh_listing_lets_a_drained_node_be_rebooted_that_was_not_ready_at_first() {
    let mut world = under(&["a"], &batch());
    world.answer = Some(Outcome::Open);
    world.need("a");
    world.host("a").view.ready = false;
    world.settle();
    world.pass(SECOND);
    world.drainer("a", true, 1);
    assert_eq!(world.phase("a"), Some(Phase::Draining));
    let before = listings(&world, "a");
    world.pass(MINUTE * 5);
    assert!(listings(&world, "a") > before, "renewed for as long as the node waits");
    world.host("a").view.ready = true;
    world.settle();
    // The drain was proved five minutes ago, and is proved once more first.
    world.drainer("a", true, 1);
    assert_eq!(world.phase("a"), Some(Phase::Rebooting));
}

#[test]
fn pods_that_cannot_be_listed_shut_the_gate_unless_the_policy_allows() {
    let failed = Outcome::Failed("the scheduler may not list pods".into());
    let mut world = under(&["a"], &batch());
    world.answer = Some(failed);
    world.need("a");
    assert_eq!(world.reason("a"), Some("GateFailed"));
    let mut allowing = batch();
    allowing["onError"] = json!("Allow");
    world.policies = vec![policy("all", json!({ "gates": { "pods": [allowing] } }))];
    world.settle();
    assert_eq!(world.phase("a"), Some(Phase::Draining));
}

#[test]
fn an_answer_for_a_gate_that_is_no_more_changes_nothing() {
    let mut world = under(&["a"], &batch());
    world.need("a");
    let mut other = batch();
    other["name"] = json!("other");
    world.policies = vec![policy("all", json!({ "gates": { "pods": [other] } }))];
    world.settle();
    assert_eq!(world.asked.len(), 2);
    let new = world.asked.pop().unwrap();
    world.answer_with(&Outcome::Open);
    assert_eq!((world.phase("a"), world.reason("a")), (None, Some("GateUnread")));
    world.asked = vec![new];
    world.answer_with(&Outcome::Open);
    assert_eq!(world.phase("a"), Some(Phase::Draining));
}
