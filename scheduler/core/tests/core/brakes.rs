//! Stories of brakes: limits beyond which the reboots of a node, of similar nodes, or of all nodes of a policy stop.

use bellwether_proto::Phase;
use bellwether_scheduler_core::{CancelEffect, Handled};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::budgets::together;
use crate::world::{AtBoot, World, name, policy};

const MINUTE: SignedDuration = SignedDuration::from_mins(1);
const HOUR: SignedDuration = SignedDuration::from_hours(1);

/// One policy for all nodes, with these brakes.
fn under(brakes: &Value) -> World {
    let mut world = World::new(1, &["a"]);
    world.policies = vec![policy("all", json!({ "budget": together(), "brakes": brakes }))];
    world.settle();
    world
}

/// Takes the node from its drain to Done. Returns when the reboot began.
fn reboot(world: &mut World) -> Timestamp {
    assert_eq!(world.phase("a"), Some(Phase::Draining), "{:?}", world.reason("a"));
    world.drainer("a", true, 1);
    let began_at = world.now;
    world.rebooter("a", true);
    world.drainer("a", true, 1);
    world.pass(world.policy.soak);
    assert_eq!(world.phase("a"), Some(Phase::Done));
    began_at
}

#[test]
fn two_reboots_of_a_node_are_as_far_apart_as_the_policy_demands() {
    let mut world = under(&json!({ "minInterval": "36h" }));
    world.need("a");
    let began_at = reboot(&mut world);
    world.need("a");
    assert_eq!(world.reason("a"), Some("MinInterval"), "the longer wait is shown");
    let until = began_at + HOUR * 36;
    let message = world.message("a");
    assert!(
        message.contains("policy all") && message.contains(&format!("over at {until:.0}")),
        "{message}"
    );
    // Another leader knows, too.
    world.crash();
    world.pass(until.duration_since(world.now) - SignedDuration::from_nanos(1));
    assert_eq!(world.reason("a"), Some("MinInterval"));
    world.pass(SignedDuration::from_nanos(1));
    assert_eq!(world.phase("a"), Some(Phase::Draining));
}

#[test]
fn an_attempt_that_did_not_reboot_begins_no_interval() {
    let mut world = under(&json!({ "minInterval": "36h" }));
    world.need("a");
    world.drainer("a", false, 1);
    world.drainer("a", true, 1);
    world.pass(MINUTE);
    assert_eq!(world.reason("a"), Some("CoolingDown"));
    world.pass(HOUR);
    assert_eq!(world.phase("a"), Some(Phase::Draining));
}

/// A script writes the sentinel file at each boot; reboots until the node is held.
fn loop_until_held(world: &mut World) -> usize {
    world.host("a").at_boot = AtBoot::Comes;
    world.need("a");
    let mut reboots = 0;
    while world.reason("a") != Some("RebootLoop") {
        assert!(reboots < 10, "not held: {:?}", world.log);
        reboot(world);
        reboots += 1;
        // Longer than the delay after a reboot in vain.
        world.pass(HOUR);
    }
    reboots
}

#[test]
fn a_node_that_asks_for_a_reboot_at_each_boot_is_held_after_three_and_time_does_not_end_the_hold() {
    let mut world = under(&json!(null));
    assert_eq!(loop_until_held(&mut world), 3);
    let message = world.message("a");
    assert!(
        message.contains("3 reboots since 2026-01-01T00:00") && message.contains("cancel"),
        "{message}"
    );
    world.crash();
    world.pass(HOUR * 24 * 30);
    assert_eq!(world.reason("a"), Some("RebootLoop"));
    // Nor does a file that is written again in this boot.
    world.need("a");
    assert_eq!(world.reason("a"), Some("RebootLoop"));
}

#[test]
fn a_cancel_ends_the_hold_and_the_count_begins_from_one() {
    let mut world = under(&json!({ "maxRebootsPerDay": 2 }));
    assert_eq!(loop_until_held(&mut world), 2);
    world.pass(HOUR * 24);
    assert_eq!(
        world.cancel("a", "script removed"),
        Handled::Cancelled(CancelEffect::WaitEnded)
    );
    world.settle();
    reboot(&mut world);
    world.pass(HOUR);
    reboot(&mut world);
    world.pass(HOUR);
    assert_eq!(world.reason("a"), Some("RebootLoop"));
}

#[test]
fn a_script_that_asks_some_minutes_after_each_boot_is_a_loop_too() {
    let mut world = under(&json!({ "maxRebootsPerDay": 2 }));
    for _ in 0..2 {
        world.pass(MINUTE * 12);
        world.need("a");
        reboot(&mut world);
    }
    world.pass(MINUTE * 12);
    world.need("a");
    assert_eq!(world.reason("a"), Some("RebootLoop"));
    // The need is gone and the next one comes a day after the last reboot: that one is not of the loop.
    world.host("a").need = Ok(None);
    world.pass(HOUR * 24);
    world.need("a");
    assert_eq!(world.phase("a"), Some(Phase::Draining));
}

#[test]
fn reboots_that_are_more_than_a_day_apart_are_no_loop() {
    let mut world = under(&json!({ "maxRebootsPerDay": 2 }));
    for _ in 0..4 {
        world.need("a");
        reboot(&mut world);
        world.pass(HOUR * 24);
    }
    let earlier = |world: &World| {
        let record = &world.records[&name("a")];
        record.last_reboot.as_ref().unwrap().earlier.len()
    };
    assert_eq!(earlier(&world), 3);
    for _ in 0..9 {
        world.need("a");
        reboot(&mut world);
        world.pass(HOUR * 24);
    }
    assert_eq!(earlier(&world), 9, "the list has a limit");
}

#[test]
fn a_host_that_boots_twice_on_its_way_up_was_rebooted_once() {
    let mut world = under(&json!({ "maxRebootsPerDay": 2 }));
    world.need("a");
    world.drainer("a", true, 1);
    world.rebooter_then("a", true, false);
    world.boot("a", false);
    world.boot("a", true);
    world.drainer("a", true, 1);
    world.pass(world.policy.soak);
    world.pass(MINUTE * 12);
    world.need("a");
    reboot(&mut world);
    let last = world.records[&name("a")].last_reboot.clone().unwrap();
    assert_eq!(last.earlier.len(), 1);
}

#[test]
fn without_a_policy_a_loop_is_only_slowed_down() {
    let mut world = World::new(1, &["a"]);
    world.host("a").at_boot = AtBoot::Comes;
    world.need("a");
    for _ in 0..4 {
        reboot(&mut world);
        world.pass(HOUR * 8);
    }
    assert_eq!(world.phase("a"), Some(Phase::Draining));
}

/// Nodes of one policy with these brakes; `c` has no labels, and each other node those of its name: type and zone.
fn fleet(slots: u32, brakes: &Value, nodes: &[&str]) -> World {
    let mut world = World::new(slots, nodes);
    world.policies = vec![policy("all", json!({ "budget": together(), "brakes": brakes }))];
    for node in nodes.iter().filter(|node| node.len() == 2) {
        let (kind, zone) = node.split_at(1);
        let labels = [("type", kind), ("zone", zone)];
        world.host(node).view.labels = labels.map(|(label, value)| (label.to_owned(), value.to_owned())).into();
    }
    world.settle();
    world
}

/// The node needs a reboot, and does not come back from it. Its slot is kept.
fn fail(world: &mut World, node: &str) {
    world.need(node);
    assert_eq!(world.phase(node), Some(Phase::Draining), "{:?}", world.reason(node));
    world.drainer(node, true, 1);
    world.rebooter(node, false);
    world.host(node).view.ready = false;
    world.pass(world.policy.reboot_timeout);
    assert_eq!(world.reason(node), Some("NodeNotBack"));
}

fn stopped(world: &World) -> Option<String> {
    world.fleet.policies().remove(0).stopped
}

#[test]
fn after_so_many_failed_reboots_no_node_of_the_policy_starts_before_an_operator_has_cancelled_one() {
    let mut world = fleet(4, &json!({ "maxFailures": 2 }), &["a1", "a2", "a3", "b1"]);
    fail(&mut world, "a1");
    world.need("b1");
    assert_eq!(world.phase("b1"), Some(Phase::Draining), "one failure is not too many");
    fail(&mut world, "a2");
    world.need("a3");
    assert_eq!(world.reason("a3"), Some("PolicyStopped"));
    let message = world.message("a3");
    assert!(
        message.contains("policy all is stopped")
            && message.contains("2 nodes failed: a1 (NodeNotBack), a2 (NodeNotBack)"),
        "{message}"
    );
    assert_eq!(
        stopped(&world).unwrap(),
        "the reboots of 2 nodes failed: a1 (NodeNotBack), a2 (NodeNotBack)"
    );
    // The drain that was under way ends without a reboot.
    world.drainer("b1", true, 1);
    assert_eq!(world.phase("b1"), Some(Phase::RollingBack));
    // The next leader knows, and time ends nothing.
    world.crash();
    world.pass(HOUR * 24 * 30);
    assert_eq!(world.reason("a3"), Some("PolicyStopped"));
    world.cancel("a1", "disk replaced");
    world.settle();
    assert_eq!((world.phase("a3"), stopped(&world)), (Some(Phase::Draining), None));
}

#[test]
fn a_failure_counts_until_the_next_completed_reboot_though_its_slot_is_free() {
    let mut world = fleet(4, &json!({ "maxFailures": 1 }), &["a1", "a2"]);
    world.need("a1");
    world.drainer("a1", true, 1);
    world.rebooter_refuses("a1");
    world.drainer("a1", true, 1);
    world.pass(MINUTE);
    assert_eq!(
        world.reason("a1"),
        Some("PolicyStopped"),
        "the node itself is no exception"
    );
    world.need("a2");
    world.pass(HOUR);
    assert_eq!(world.reason("a2"), Some("PolicyStopped"));
    // A policy that permits more lets the node try again; meanwhile its failure is known.
    world.policies = vec![policy(
        "all",
        json!({ "budget": together(), "brakes": { "maxFailures": 2 } }),
    )];
    world.settle();
    assert_eq!(world.phase("a1"), Some(Phase::Draining));
    assert!(world.records[&name("a1")].failed_reboot.is_some());
    world.work_until_quiet();
    assert_eq!(world.phase("a1"), Some(Phase::Done));
    assert_eq!(world.records[&name("a1")].failed_reboot, None);
    world.policies = vec![policy(
        "all",
        json!({ "budget": together(), "brakes": { "maxFailures": 1 } }),
    )];
    world.pass(HOUR);
    world.need("a2");
    assert_eq!(world.phase("a2"), Some(Phase::Draining));
}

#[test]
fn a_cancel_ends_a_failure_that_keeps_no_slot_and_is_refused_for_a_second_time() {
    let mut world = fleet(4, &json!({ "maxFailures": 1 }), &["a1", "a2"]);
    world.need("a1");
    world.drainer("a1", true, 1);
    world.rebooter_refuses("a1");
    world.drainer("a1", true, 1);
    world.pass(HOUR);
    world.host("a1").need = Ok(None);
    world.need("a2");
    assert_eq!(world.reason("a2"), Some("PolicyStopped"));
    assert_eq!(world.cancel("a1", ""), Handled::Cancelled(CancelEffect::WaitEnded));
    world.settle();
    assert_eq!(world.phase("a2"), Some(Phase::Draining));
    assert!(matches!(world.cancel("a1", ""), Handled::Refused(_)));
}

#[test]
fn drains_that_fail_and_uncordons_that_are_stuck_stop_nothing() {
    let mut world = fleet(4, &json!({ "maxFailures": 1 }), &["a1", "a2", "a3"]);
    world.need("a1");
    world.drainer("a1", false, 1);
    world.drainer("a1", true, 1);
    world.pass(MINUTE);
    assert_eq!(world.phase("a1"), Some(Phase::Failed));
    world.need("a2");
    world.drainer("a2", true, 1);
    world.rebooter("a2", true);
    world.pass(world.policy.uncordon_timeout);
    assert_eq!(world.reason("a2"), Some("UncordonStuck"));
    world.need("a3");
    assert_eq!(world.phase("a3"), Some(Phase::Draining));
}

#[test]
fn an_ignored_reboot_counts_though_its_uncordon_is_stuck() {
    let mut world = fleet(4, &json!({ "maxFailures": 1 }), &["a1", "a2"]);
    world.need("a1");
    world.drainer("a1", true, 1);
    world.rebooter("a1", false);
    world.pass(world.policy.reboot_timeout);
    world.pass(world.policy.uncordon_timeout);
    assert_eq!(world.reason("a1"), Some("UncordonStuck"));
    world.need("a2");
    assert_eq!(world.reason("a2"), Some("PolicyStopped"));
    assert!(
        world.message("a2").contains("a1 (RebootIgnored)"),
        "{}",
        world.message("a2")
    );
}

#[test]
fn failures_more_than_a_week_apart_do_not_add_up_and_a_node_that_is_gone_does_not_count() {
    let mut world = fleet(4, &json!({ "maxFailures": 2 }), &["a1", "a2", "a3", "b1", "b2"]);
    fail(&mut world, "a1");
    world.pass(HOUR * 24 * 7);
    fail(&mut world, "a2");
    world.need("b1");
    assert_eq!(world.phase("b1"), Some(Phase::Draining));
    world.work_until_quiet();
    fail(&mut world, "a3");
    world.need("b2");
    assert_eq!(world.reason("b2"), Some("PolicyStopped"));
    assert!(
        world.message("b2").contains("3 nodes failed"),
        "{}",
        world.message("b2")
    );
    world.leave("a2");
    assert_eq!(world.phase("b2"), Some(Phase::Draining));
}

#[test]
fn failures_count_for_the_policy_that_governs_their_nodes_now() {
    let mut world = fleet(4, &json!({ "maxFailures": 1 }), &["a1", "b1"]);
    fail(&mut world, "a1");
    world.need("b1");
    assert_eq!(world.reason("b1"), Some("PolicyStopped"));
    let of_type_a = json!({ "nodeSelector": { "matchLabels": { "type": "a" } }, "priority": 1 });
    world.policies.push(policy("of-type-a", of_type_a));
    world.settle();
    assert_eq!(world.phase("b1"), Some(Phase::Draining));
}

#[test]
fn a_cohort_that_failed_twice_stops_alone() {
    let cohort = json!({ "cohort": { "labels": ["type", "zone"] } });
    let mut world = fleet(9, &cohort, &["a1", "a2", "a3", "b3", "c", "b1", "b2"]);
    fail(&mut world, "a1");
    fail(&mut world, "a2");
    world.need("a3");
    assert_eq!(world.reason("a3"), Some("CohortStopped"));
    let message = world.message("a3");
    assert!(
        message.contains("starts no node with type=a, since the reboots of 2 nodes failed: a1"),
        "{message}"
    );
    let standing = world.fleet.policies().remove(0);
    assert_eq!(standing.stopped, None);
    assert_eq!(standing.stopped_cohorts.len(), 1);
    assert!(standing.stopped_cohorts[0].starts_with("type=a: "), "{standing:?}");
    for node in ["b3", "c"] {
        world.need(node);
        assert_eq!(
            world.phase(node),
            Some(Phase::Draining),
            "{node} is of no cohort that failed"
        );
    }
    // The other label: a1 and b1 are of one zone.
    fail(&mut world, "b1");
    world.need("b2");
    assert_eq!(world.phase("b2"), Some(Phase::Draining));
    let labels = world.host("b2").view.labels.clone();
    assert_eq!(labels["zone"], "2");
    world.crash();
    assert_eq!(world.reason("a3"), Some("CohortStopped"));
    world.cancel("a2", "");
    world.settle();
    assert_eq!(world.phase("a3"), Some(Phase::Draining));
}

#[test]
fn a_kernel_whose_update_failed_twice_stops_the_nodes_that_run_it_and_no_others() {
    let mut world = fleet(9, &json!({ "cohort": {} }), &["a1", "a2", "a3", "a4", "b1"]);
    // By the other labels of the default no two nodes are alike.
    for node in ["a1", "a2", "a3", "a4", "b1"] {
        world.host(node).view.labels.clear();
    }
    for node in ["a4", "b1"] {
        world.host(node).view.kernel = "6.12".into();
    }
    world.settle();
    fail(&mut world, "a1");
    fail(&mut world, "a2");
    world.need("a3");
    assert_eq!(world.reason("a3"), Some("CohortStopped"));
    let message = world.message("a3");
    assert!(
        message.contains("starts no node with bellwether.dev/kernel-version=6.1, since the reboots of 2 nodes"),
        "{message}"
    );
    // The new kernel comes up on a node, which is not Ready in it: it is the update of the old one that failed.
    world.host("a1").view.kernel = "6.12".into();
    world.settle();
    assert_eq!(world.reason("a3"), Some("CohortStopped"));
    world.need("b1");
    assert_eq!(world.phase("b1"), Some(Phase::Draining));
    world.crash();
    assert_eq!(world.reason("a3"), Some("CohortStopped"));
    // Another program updates the node.
    world.host("a3").view.kernel = "6.6".into();
    world.settle();
    assert_eq!(world.phase("a3"), Some(Phase::Draining));
}

#[test]
fn a_node_whose_kernel_is_not_known_is_of_no_cohort_by_kernel() {
    let mut world = fleet(9, &json!({ "cohort": { "maxFailures": 1 } }), &["a1", "a2"]);
    for node in ["a1", "a2"] {
        let view = &mut world.host(node).view;
        view.labels.clear();
        view.kernel.clear();
    }
    world.settle();
    fail(&mut world, "a1");
    world.need("a2");
    assert_eq!(world.phase("a2"), Some(Phase::Draining));
}

#[test]
fn a_node_that_leaves_a_stopped_cohort_starts() {
    let mut world = fleet(
        9,
        &json!({ "cohort": { "labels": ["type"], "maxFailures": 1 } }),
        &["a1", "a2"],
    );
    fail(&mut world, "a1");
    world.need("a2");
    assert_eq!(world.reason("a2"), Some("CohortStopped"));
    world.host("a2").view.labels.insert("type".to_owned(), "b".to_owned());
    world.settle();
    assert_eq!(world.phase("a2"), Some(Phase::Draining));
}

#[test]
fn a_clock_that_was_ahead_during_reboots_holds_no_node_for_as_long_as_it_was_ahead() {
    let mut world = under(&json!({ "minInterval": "1h" }));
    let ahead = HOUR * 1000;
    world.now += ahead;
    world.need("a");
    reboot(&mut world);
    world.pass(HOUR);
    world.need("a");
    reboot(&mut world);
    world.now -= ahead;
    world.settle();
    let last = world.records[&name("a")].last_reboot.clone().unwrap();
    assert!(last.began_at <= world.now && last.earlier[0] <= world.now, "{last:?}");
    world.pass(HOUR);
    world.need("a");
    assert_eq!(world.phase("a"), Some(Phase::Draining));
}

#[test]
fn a_failure_that_a_clock_ahead_noted_is_of_now() {
    let mut world = fleet(4, &json!({ "maxFailures": 2 }), &["a1", "a2", "a3"]);
    let ahead = HOUR * 1000;
    world.now += ahead;
    fail(&mut world, "a1");
    world.now -= ahead;
    world.settle();
    fail(&mut world, "a2");
    world.need("a3");
    assert_eq!(world.reason("a3"), Some("PolicyStopped"));
}
