//! Stories of canaries: nodes that reboot before the others of their policy.

use bellwether_proto::{Cause, Phase, Problem};
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::budgets::together;
use crate::world::{World, name, policy};

const MINUTE: SignedDuration = SignedDuration::from_mins(1);
const HOUR: SignedDuration = SignedDuration::from_hours(1);

/// Nodes of one policy, of which those whose names begin with `k` are canaries.
fn fleet(soak: &str, nodes: &[&str]) -> World {
    let mut world = World::new(4, nodes);
    world.policies = vec![policy("all", spec(soak))];
    for node in nodes.iter().filter(|node| node.starts_with('k')) {
        label(&mut world, node);
    }
    world.settle();
    world
}

fn spec(soak: &str) -> Value {
    json!({ "budget": together(), "canaries": { "nodeSelector": { "matchLabels": { "canary": "yes" } }, "soak": soak } })
}

fn label(world: &mut World, node: &str) {
    let labels = &mut world.host(node).view.labels;
    labels.insert("canary".to_owned(), "yes".to_owned());
}

#[test]
fn the_other_nodes_start_once_every_canary_is_back_and_the_soak_is_over() {
    let mut world = fleet("12h", &["a", "k1", "k2"]);
    world.need("a");
    world.need("k2");
    world.need("k1");
    assert_eq!(world.reason("a"), Some("CanaryFirst"));
    let message = world.message("a");
    assert!(
        message.contains("canary k1 has to be rebooted first, and its attempt"),
        "{message}"
    );
    world.reboot("k1");
    assert!(world.message("a").contains("canary k2"), "{}", world.message("a"));
    world.reboot("k2");
    let done_at = world.now;
    assert_eq!(world.reason("a"), Some("CanarySoaking"));
    let until = done_at + HOUR * 12;
    assert!(
        world.message("a").contains(&format!("{until:.0}")),
        "{}",
        world.message("a")
    );
    // The next leader knows, and a canary that is drained in vain later does not shorten the soak.
    world.crash();
    world.pass(HOUR * 12 - SignedDuration::from_nanos(1));
    assert_eq!(world.reason("a"), Some("CanarySoaking"));
    world.pass(SignedDuration::from_nanos(1));
    assert_eq!(world.phase("a"), Some(Phase::Draining));
}

#[test]
fn a_canary_that_needs_a_reboot_meanwhile_comes_before_the_nodes_that_wait() {
    let mut world = fleet("1h", &["a", "b", "k"]);
    world.need("k");
    world.reboot("k");
    world.need("a");
    world.pass(HOUR);
    assert_eq!(world.phase("a"), Some(Phase::Draining));
    world.host("k").preflight = Some(Problem::unclassified("no"));
    world.need("k");
    world.need("b");
    assert_eq!(world.reason("b"), Some("CanaryFirst"));
    assert!(
        world.message("b").contains("it needs a reboot"),
        "{}",
        world.message("b")
    );
    // The attempt that is under way continues.
    world.reboot("a");
    world.host("k").need = Ok(None);
    world.pass(HOUR);
    assert_eq!(world.phase("b"), Some(Phase::Draining));
}

#[test]
fn a_canary_whose_reboot_fails_stops_the_other_nodes_until_an_operator_has_cancelled() {
    let mut world = fleet("0s", &["a", "b", "k1", "k2"]);
    world.need("a");
    assert_eq!(
        world.phase("a"),
        Some(Phase::Draining),
        "no canary needs a reboot, and there is no soak"
    );
    world.need("k1");
    world.drainer("k1", true, 1);
    world.rebooter("k1", false);
    world.host("k1").view.ready = false;
    world.pass(world.policy.reboot_timeout);
    assert_eq!(world.reason("k1"), Some("NodeNotBack"));
    world.need("b");
    assert_eq!(world.reason("b"), Some("CanaryFailed"));
    let message = world.message("b");
    assert!(message.contains("canary k1 failed (NodeNotBack)"), "{message}");
    world.need("k2");
    assert_eq!(world.reason("k2"), Some("CanaryFailed"), "other canaries stop, too");
    let standing = world.fleet.policies().remove(0);
    assert_eq!(standing.failed_canary, Some((name("k1"), Cause::NodeNotBack)));
    // The drain that was under way ends without a reboot.
    world.drainer("a", true, 1);
    assert_eq!(world.phase("a"), Some(Phase::RollingBack));
    world.crash();
    world.pass(HOUR * 24 * 30);
    assert_eq!(world.reason("b"), Some("CanaryFailed"));
    world.cancel("k1", "power supply replaced");
    world.host("k1").need = Ok(None);
    world.host("k2").need = Ok(None);
    world.settle();
    assert_eq!(world.phase("b"), Some(Phase::Draining));
    assert_eq!(world.fleet.policies().remove(0).failed_canary, None);
}

#[test]
fn a_canary_whose_reboot_was_refused_may_try_again_and_frees_the_others_by_a_success() {
    let mut world = fleet("0s", &["a", "k"]);
    world.need("k");
    world.drainer("k", true, 1);
    world.rebooter_refuses("k");
    world.drainer("k", true, 1);
    world.pass(MINUTE);
    world.need("a");
    assert_eq!(world.reason("a"), Some("CanaryFailed"));
    world.pass(HOUR);
    assert_eq!(world.reason("a"), Some("CanaryFailed"), "while it tries again, too");
    world.reboot("k");
    assert_eq!(world.phase("a"), Some(Phase::Draining));
}

#[test]
fn a_canary_that_does_not_report_or_cannot_be_drained_keeps_the_others_waiting() {
    let mut world = fleet("0s", &["a", "k"]);
    world.host("k").need = Err("no mount".into());
    world.need("a");
    assert_eq!(world.reason("a"), Some("CanaryFirst"));
    assert!(
        world.message("a").contains("no report states"),
        "{}",
        world.message("a")
    );
    world.need("k");
    world.drainer("k", false, 1);
    world.drainer("k", true, 1);
    world.pass(MINUTE);
    assert_eq!(
        (world.phase("k"), world.reason("a")),
        (Some(Phase::Failed), Some("CanaryFirst"))
    );
    world.pass(MINUTE * 10);
    world.reboot("k");
    assert_eq!(world.phase("a"), Some(Phase::Draining));
}

#[test]
fn without_a_canary_among_the_nodes_of_the_policy_no_node_starts() {
    let mut world = fleet("0s", &["a", "b", "k"]);
    world.policies.push(policy(
        "other",
        json!({ "priority": 1, "nodeSelector": { "matchLabels": { "canary": "yes" } } }),
    ));
    world.need("a");
    assert_eq!(world.reason("a"), Some("NoCanary"), "the canary is of another policy");
    label(&mut world, "b");
    world.policies.truncate(1);
    world.settle();
    assert_eq!(world.phase("a"), Some(Phase::Draining));
    world.work_until_quiet();
    world.leave("k");
    world.leave("b");
    world.need("a");
    world.pass(HOUR);
    assert_eq!(world.reason("a"), Some("NoCanary"));
    world.join("k");
    label(&mut world, "k");
    world.settle();
    assert_eq!(world.phase("a"), Some(Phase::Draining));
}

#[test]
fn a_canary_has_an_hour_to_report_the_need_that_another_node_has_already() {
    let mut world = fleet("12h", &["a", "k"]);
    world.need("a");
    assert_eq!(world.reason("a"), Some("CanarySoaking"));
    world.pass(MINUTE * 59);
    assert_eq!(world.reason("a"), Some("CanarySoaking"));
    let mut late = fleet("12h", &["a", "k"]);
    late.need("a");
    late.pass(MINUTE * 59);
    late.need("k");
    late.pass(MINUTE * 20);
    assert_eq!(late.reason("a"), Some("CanaryFirst"));
    world.pass(MINUTE);
    assert_eq!(
        world.phase("a"),
        Some(Phase::Draining),
        "the canary does not need what this node needs"
    );
    // A file time in the future is no reason to wait.
    let mut future = fleet("12h", &["a", "k"]);
    let since = future.now + HOUR * 1000;
    future.host("a").need = Ok(Some(since));
    future.settle();
    assert_eq!(future.phase("a"), Some(Phase::Draining));
}

#[test]
fn the_soak_lasts_from_the_last_reboot_of_a_canary_though_an_attempt_without_a_reboot_followed() {
    let mut world = fleet("12h", &["a", "k"]);
    world.need("k");
    world.reboot("k");
    world.pass(HOUR);
    world.need("k");
    assert_eq!(world.phase("k"), Some(Phase::Draining));
    world.host("k").need = Ok(None);
    world.settle();
    world.drainer("k", true, 1);
    world.drainer("k", true, 1);
    world.pass(MINUTE);
    assert_eq!(world.phase("k"), Some(Phase::Cancelled));
    world.need("a");
    world.pass(HOUR * 10);
    assert_eq!(world.reason("a"), Some("CanarySoaking"));
    world.pass(HOUR);
    assert_eq!(world.phase("a"), Some(Phase::Draining));
}
