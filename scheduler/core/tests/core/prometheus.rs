//! Stories of gates that a Prometheus server answers: when the core asks, what counts, and what an answer changes.

use bellwether_proto::{Cause, Phase};
use bellwether_scheduler_core::Effect;
use bellwether_scheduler_core::reading::{Outcome, Query};
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::budgets::together;
use crate::world::{World, name, policy};

const SECOND: SignedDuration = SignedDuration::from_secs(1);
const MINUTE: SignedDuration = SignedDuration::from_mins(1);

/// Three nodes and two slots under one policy with these gates.
fn under(gates: &Value) -> World {
    let mut world = World::new(2, &["a", "b", "c"]);
    world.policies = vec![policy(
        "all",
        json!({ "budget": together(), "gates": { "prometheus": gates } }),
    )];
    world.settle();
    world
}

fn alerts() -> Value {
    json!([{ "name": "alerts", "url": "http://p", "alerts": {} }])
}

fn shut() -> Outcome {
    Outcome::Shut("1 alert is active: Fire".into())
}

fn failed() -> Outcome {
    Outcome::Failed("http://p cannot be reached".into())
}

/// How many queries the core has asked for.
fn queries(world: &World) -> usize {
    let effects = world.effects.iter();
    effects
        .filter(|(_, effect)| {
            matches!(
                effect,
                Effect::Read {
                    query: Query::Prometheus(_),
                    ..
                }
            )
        })
        .count()
}

/// The node's drain is taken back before the reboot, for a reason with these words.
fn taken_back(world: &World, node: &str, words: &str) {
    assert_eq!(world.phase(node), Some(Phase::RollingBack));
    let ending = world.records[&name(node)].ending.clone().unwrap();
    assert_eq!(ending.cause, Cause::NotFit);
    assert!(ending.message.contains(words), "{}", ending.message);
}

#[test]
fn nothing_is_asked_while_no_node_needs_a_reboot() {
    let mut world = under(&alerts());
    world.pass(MINUTE * 60);
    assert_eq!(queries(&world), 0);
}

#[test]
fn a_node_starts_once_the_first_answer_is_open() {
    let mut world = under(&alerts());
    world.need("a");
    assert_eq!(world.reason("a"), Some("GateUnread"));
    let [(Query::Prometheus(gate), at)] = &world.asked[..] else {
        panic!("{:?}", world.asked);
    };
    assert_eq!((gate.name.as_str(), *at), ("alerts", world.now));
    world.answer_with(&Outcome::Open);
    assert_eq!(world.phase("a"), Some(Phase::Draining));
}

#[test]
fn a_shut_gate_holds_every_node_of_the_policy_and_is_asked_again_every_half_minute() {
    let mut world = under(&alerts());
    world.answer = Some(shut());
    for node in ["a", "b", "c"] {
        world.need(node);
        assert_eq!(world.reason(node), Some("PrometheusShut"));
    }
    let message = world.message("b");
    assert!(
        message.contains("policy all") && message.contains("alerts") && message.contains("Fire"),
        "{message}"
    );
    assert_eq!(queries(&world), 1, "one for all nodes");
    world.pass(SECOND * 29);
    assert_eq!(queries(&world), 1);
    world.pass(SECOND);
    assert_eq!(queries(&world), 2);
    world.answer = Some(Outcome::Open);
    world.pass(SECOND * 30);
    let draining = ["a", "b", "c"].map(|node| world.phase(node) == Some(Phase::Draining));
    assert_eq!(draining, [true, true, false], "two slots");
    assert_eq!(world.reason("c"), Some("NoSlot"));
}

#[test]
fn a_gate_that_shuts_while_a_node_waits_for_a_slot_holds_the_node() {
    let mut world = under(&alerts());
    world.answer = Some(Outcome::Open);
    for node in ["a", "b", "c"] {
        world.need(node);
    }
    world.answer = Some(shut());
    world.pass(SECOND * 30);
    assert_eq!(world.reason("c"), Some("PrometheusShut"));
    // No node waits any more, so nothing is asked.
    world.host("c").need = Ok(None);
    world.settle();
    let before = queries(&world);
    world.pass(MINUTE);
    assert_eq!(queries(&world), before);
}

#[test]
fn a_server_that_cannot_be_asked_shuts_the_gate_unless_the_policy_allows() {
    let mut world = under(&alerts());
    world.answer = Some(failed());
    world.need("a");
    assert_eq!(world.reason("a"), Some("GateFailed"));
    let message = world.message("a");
    assert!(message.contains("cannot be reached"), "{message}");
    world.pass(SECOND * 15);
    assert_eq!(queries(&world), 2, "asked again soon");
    let allowing = json!([{ "name": "alerts", "url": "http://p", "alerts": {}, "onError": "Allow" }]);
    world.policies = vec![policy(
        "all",
        json!({ "budget": together(), "gates": { "prometheus": allowing } }),
    )];
    world.settle();
    assert_eq!(world.phase("a"), Some(Phase::Draining));
}

#[test]
fn a_query_without_an_answer_is_asked_again_and_an_old_answer_does_not_count() {
    let mut world = under(&alerts());
    for node in ["a", "b", "c"] {
        world.need(node);
    }
    world.answer_with(&Outcome::Open);
    assert_eq!(world.reason("c"), Some("NoSlot"));
    // The next query, half a minute later, is lost.
    world.pass(SECOND * 30);
    assert_eq!(world.asked.len(), 1);
    world.pass(SECOND * 29);
    assert_eq!(world.reason("c"), Some("NoSlot"), "an answer counts for a minute");
    world.pass(SECOND);
    assert_eq!(world.reason("c"), Some("GateUnread"));
    world.asked.clear();
    world.pass(SECOND * 30);
    assert_eq!(world.asked.len(), 1);
    world.answer_with(&Outcome::Open);
    assert_eq!(world.reason("c"), Some("NoSlot"));
}

#[test]
fn an_alert_that_fires_between_drain_and_reboot_stops_the_reboot() {
    let mut world = under(&alerts());
    world.answer = Some(Outcome::Open);
    world.need("a");
    world.answer = Some(shut());
    world.pass(SECOND);
    assert_eq!(world.phase("a"), Some(Phase::Draining), "a drain does not hurt");
    world.drainer("a", true, 1);
    taken_back(&world, "a", "Fire");
    world.drainer("a", true, 1);
    world.pass(MINUTE);
    assert_eq!(world.phase("a"), Some(Phase::Cancelled));
}

#[test]
fn only_an_answer_to_a_query_after_the_drain_lets_the_reboot_be_ordered() {
    let mut world = under(&alerts());
    for node in ["a", "b", "c"] {
        world.need(node);
    }
    world.answer_with(&Outcome::Open);
    assert_eq!(world.reason("c"), Some("NoSlot"));
    world.pass(SECOND * 30);
    // Asked for before the end of the drain, and answered after it.
    assert_eq!(world.asked.len(), 1);
    let early = std::mem::take(&mut world.asked);
    world.pass(SECOND);
    world.drainer("a", true, 1);
    let late = std::mem::replace(&mut world.asked, early);
    world.answer_with(&Outcome::Open);
    assert_eq!(world.phase("a"), Some(Phase::Draining));
    assert_eq!(world.reason("a"), Some("WaitsForGateReading"));
    assert!(world.message("a").contains("alerts"), "{}", world.message("a"));
    world.asked = late;
    world.answer_with(&Outcome::Open);
    assert_eq!(world.phase("a"), Some(Phase::Rebooting));
}

#[test]
fn a_drained_node_waits_two_minutes_for_a_server_that_restarts() {
    let mut world = under(&alerts());
    world.answer = Some(Outcome::Open);
    world.need("a");
    world.answer = Some(failed());
    world.drainer("a", true, 1);
    assert_eq!(world.reason("a"), Some("WaitsForGateReading"));
    world.pass(SECOND * 119);
    assert_eq!(world.phase("a"), Some(Phase::Draining));
    world.pass(SECOND);
    taken_back(&world, "a", "cannot be reached");
}

#[test]
fn a_server_that_restarts_in_the_delay_of_a_reboot_costs_nothing() {
    let mut world = World::new(1, &["a"]);
    let spec = json!({ "drain": { "rebootDelay": "30m" }, "gates": { "prometheus": alerts() } });
    world.policies = vec![policy("all", spec)];
    world.settle();
    world.answer = Some(Outcome::Open);
    world.need("a");
    world.drainer("a", true, 1);
    world.pass(MINUTE * 5);
    world.answer = Some(failed());
    world.pass(MINUTE * 5);
    assert_eq!(world.reason("a"), Some("WaitsForRebootDelay"));
    world.answer = Some(Outcome::Open);
    world.pass(MINUTE * 20);
    world.drainer("a", true, 1);
    world.settle();
    assert_eq!(world.phase("a"), Some(Phase::Rebooting), "{:?}", world.message("a"));
}

#[test]
fn a_drained_node_continues_when_the_server_is_back_in_time() {
    let mut world = under(&alerts());
    world.answer = Some(Outcome::Open);
    world.need("a");
    world.answer = Some(failed());
    world.drainer("a", true, 1);
    world.answer = Some(Outcome::Open);
    world.pass(SECOND * 15);
    assert_eq!(world.phase("a"), Some(Phase::Rebooting));
}

#[test]
fn a_drained_node_is_taken_back_at_its_deadline_if_no_answer_comes_at_all() {
    let mut world = under(&alerts());
    world.need("a");
    world.answer_with(&Outcome::Open);
    world.drainer("a", true, 1);
    world.pass(world.policy.drain_timeout);
    world.pass(MINUTE);
    assert_eq!(world.phase("a"), Some(Phase::RollingBack));
    let ending = world.records[&name("a")].ending.clone().unwrap();
    assert!(ending.message.contains("not in time: policy all"), "{}", ending.message);
}

#[test]
fn the_next_core_asks_again() {
    let mut world = under(&alerts());
    world.answer = Some(shut());
    world.need("a");
    world.answer = None;
    world.reload();
    assert_eq!(world.reason("a"), Some("GateUnread"));
    world.answer_with(&shut());
    world.crash();
    assert_eq!(world.reason("a"), Some("GateUnread"));
    assert_eq!(world.asked.len(), 1);
}

#[test]
fn a_clock_that_is_set_back_has_the_gate_read_again() {
    let mut world = under(&alerts());
    world.answer = Some(shut());
    world.need("a");
    world.answer = None;
    world.pass(-MINUTE);
    assert_eq!(world.reason("a"), Some("GateUnread"));
    assert_eq!(world.asked.len(), 1);
}

#[test]
fn a_gate_that_another_policy_has_too_is_asked_once_and_a_changed_one_again() {
    let mut world = under(&alerts());
    world.answer = Some(shut());
    let workers = json!({ "matchLabels": { "pool": "w" } });
    let of_workers = json!({ "nodeSelector": workers, "priority": 1, "gates": { "prometheus": alerts() } });
    world.policies.push(policy("workers", of_workers));
    world.settle();
    world.need("a");
    world.need("c");
    assert_eq!(queries(&world), 1);
    assert!(world.message("a").contains("policy workers"), "{}", world.message("a"));
    assert!(world.message("c").contains("policy all"), "{}", world.message("c"));
    world.policies = vec![policy(
        "all",
        json!({
            "budget": together(),
            "gates": { "prometheus": [{ "name": "alerts", "url": "http://q", "alerts": {} }] },
        }),
    )];
    world.answer = Some(Outcome::Open);
    world.settle();
    assert_eq!(queries(&world), 2);
    assert_eq!(world.phase("c"), Some(Phase::Draining));
}
