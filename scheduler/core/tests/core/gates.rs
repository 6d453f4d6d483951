//! Stories of the gates of policies: what keeps a node from starting, and its reboot from being ordered.

use bellwether_proto::{Cause, Phase};
use bellwether_scheduler_core::{NodeCondition, Taint};
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::budgets::together;
use crate::world::{World, name, policy};

const MINUTE: SignedDuration = SignedDuration::from_mins(1);

/// Two nodes under one policy with these gates.
fn under(gates: &Value) -> World {
    let mut world = World::new(2, &["a", "c"]);
    world.policies = vec![policy("all", json!({ "budget": together(), "gates": gates }))];
    world.settle();
    world
}

fn set_condition(world: &mut World, node: &str, type_: &str, status: &str) {
    let condition = NodeCondition {
        status: status.into(),
        since: None,
    };
    let conditions = &mut world.host(node).view.conditions;
    conditions.insert(type_.into(), condition);
    world.settle();
}

fn set_taint(world: &mut World, node: &str, key: &str, effect: &str) {
    let taint = Taint {
        key: key.into(),
        value: String::new(),
        effect: effect.into(),
    };
    world.host(node).view.taints.push(taint);
    world.settle();
}

/// The node's drain is taken back before the reboot, for a reason with these words.
fn taken_back(world: &World, node: &str, words: &str) {
    assert_eq!(world.phase(node), Some(Phase::RollingBack));
    let ending = world.records[&name(node)].ending.clone().unwrap();
    assert_eq!(ending.cause, Cause::NotFit);
    assert!(ending.message.contains(words), "{}", ending.message);
}

#[test]
fn a_node_with_a_condition_of_a_gate_waits_until_the_condition_is_gone() {
    let mut world = under(&json!({ "conditions": [{ "type": "DiskPressure" }] }));
    set_condition(&mut world, "a", "DiskPressure", "True");
    world.need("a");
    assert_eq!(world.reason("a"), Some("ConditionFound"));
    let message = world.message("a");
    assert!(
        message.contains("policy all") && message.contains("DiskPressure=True"),
        "{message}"
    );
    // Another status is no hit.
    set_condition(&mut world, "a", "DiskPressure", "False");
    assert_eq!(world.phase("a"), Some(Phase::Draining));
}

#[test]
fn a_condition_that_comes_during_the_drain_stops_the_reboot() {
    let mut world = under(&json!({ "conditions": [{ "type": "KernelDeadlock" }] }));
    world.need("a");
    set_condition(&mut world, "a", "KernelDeadlock", "True");
    assert_eq!(world.phase("a"), Some(Phase::Draining), "a drain does not hurt");
    world.drainer("a", true, 1);
    taken_back(&world, "a", "KernelDeadlock=True");
}

#[test]
fn a_node_with_a_taint_of_a_gate_waits_until_the_taint_is_gone() {
    let mut world = under(&json!({ "taints": [{ "key": "example.com/work", "effect": "NoExecute" }] }));
    set_taint(&mut world, "a", "example.com/work", "NoExecute");
    // Another effect, and another key.
    set_taint(&mut world, "c", "example.com/work", "NoSchedule");
    set_taint(&mut world, "c", "example.com/other", "NoExecute");
    world.need("a");
    assert_eq!(world.reason("a"), Some("TaintFound"));
    let message = world.message("a");
    assert!(message.contains("example.com/work:NoExecute"), "{message}");
    world.need("c");
    assert_eq!(world.phase("c"), Some(Phase::Draining));
    world.host("a").view.taints.clear();
    world.pass(MINUTE);
    assert_eq!(world.phase("a"), Some(Phase::Draining));
}

#[test]
fn a_taint_that_comes_during_the_drain_stops_the_reboot() {
    let mut world = under(&json!({ "taints": [{ "key": "example.com/work" }] }));
    world.need("a");
    set_taint(&mut world, "a", "example.com/work", "NoSchedule");
    world.drainer("a", true, 1);
    taken_back(&world, "a", "example.com/work:NoSchedule");
}

#[test]
fn the_gates_of_another_policy_do_not_count() {
    let mut world = under(&json!({ "conditions": [{ "type": "DiskPressure" }] }));
    let workers = json!({ "nodeSelector": { "matchLabels": { "pool": "w" } }, "priority": 1 });
    world.policies.push(policy("workers", workers));
    set_condition(&mut world, "a", "DiskPressure", "True");
    world.need("a");
    assert_eq!(world.phase("a"), Some(Phase::Draining));
}
