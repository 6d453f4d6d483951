//! Stories of brakes: limits beyond which the reboots of a node, of similar nodes, or of all nodes of a policy stop.

use bellwether_proto::Phase;
use bellwether_scheduler_core::{CancelEffect, Handled};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::world::{AtBoot, World, name, policy};

const MINUTE: SignedDuration = SignedDuration::from_mins(1);
const HOUR: SignedDuration = SignedDuration::from_hours(1);

/// One policy for all nodes, with these brakes.
fn under(brakes: &Value) -> World {
    let mut world = World::new(1, &["a"]);
    world.policies = vec![policy("all", json!({ "brakes": brakes }))];
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
