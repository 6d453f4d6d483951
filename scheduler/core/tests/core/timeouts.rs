//! Stories of drains whose time is over: what follows is for the policy of the node to say.

use bellwether_proto::{AfterTimeout, Cause, Phase};
use bellwether_scheduler_core::reading::Outcome;
use bellwether_scheduler_core::{CancelEffect, Handled};
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::world::{World, name, policy};

const MINUTE: SignedDuration = SignedDuration::from_mins(1);

/// Two nodes that need a reboot, one of which is drained under this policy.
fn draining(drain: &Value) -> World {
    let mut world = World::new(1, &["a", "b"]);
    world.policies = vec![policy("p", json!({ "drain": drain, "budget": { "rampUp": "None" } }))];
    world.settle();
    world.need("a");
    world.need("b");
    assert_eq!(world.phase("a"), Some(Phase::Draining), "{:?}", world.reason("a"));
    world
}

/// The drainer reports that the time is over and pods are left.
fn time_is_over(world: &mut World) {
    world.drainer("a", false, 1);
    world.settle();
}

fn cause(world: &World) -> Option<Cause> {
    Some(world.records[&name("a")].ending.as_ref()?.cause)
}

#[test]
fn d50_restore_is_the_default() {
    let mut world = draining(&json!({}));
    assert_eq!(
        world.records[&name("a")].drain_terms.after_timeout,
        AfterTimeout::Restore
    );
    time_is_over(&mut world);
    assert_eq!(world.phase("a"), Some(Phase::RollingBack));
    assert_eq!(cause(&world), Some(Cause::DrainFailed));
}

#[test]
fn d50_force_is_the_drainers_work_and_what_is_left_after_that_is_restored() {
    let mut world = draining(&json!({ "onTimeout": "Force" }));
    assert_eq!(world.records[&name("a")].drain_terms.after_timeout, AfterTimeout::Force);
    time_is_over(&mut world);
    assert_eq!(world.phase("a"), Some(Phase::RollingBack));
}

#[test]
fn d50_hold_keeps_cordon_and_slot_until_an_operator_cancels() {
    let mut world = draining(&json!({ "onTimeout": "Hold" }));
    time_is_over(&mut world);
    let holds = |world: &mut World| {
        assert_eq!(world.phase("a"), Some(Phase::Failed));
        assert!(world.records[&name("a")].slot_held);
        assert!(world.host("a").view.cordoned_for.is_some());
        assert_eq!(world.reason("b"), Some("NoSlot"));
        let message = world.message("a");
        assert!(
            message.contains("held by the policy") && message.contains("a budget"),
            "{message}"
        );
    };
    holds(&mut world);
    world.pass(SignedDuration::from_hours(30));
    holds(&mut world);
    world.crash();
    world.settle();
    holds(&mut world);
    assert_eq!(world.cancel("a", "fixed"), Handled::Cancelled(CancelEffect::RolledBack));
    world.settle();
    assert_eq!(world.phase("a"), Some(Phase::RollingBack));
    world.drainer("a", true, 1);
    world.pass(MINUTE);
    assert_eq!(world.phase("a"), Some(Phase::Cancelled));
    assert!(world.host("a").view.cordoned_for.is_none());
    assert_eq!(world.phase("b"), Some(Phase::Draining));
}

#[test]
fn a_held_node_that_an_operator_uncordons_gives_its_slot_back() {
    let mut world = draining(&json!({ "onTimeout": "Hold" }));
    time_is_over(&mut world);
    let host = world.host("a");
    (host.view.cordoned_for, host.view.unschedulable) = (None, false);
    world.settle();
    assert!(!world.records[&name("a")].slot_held);
    assert_eq!(world.phase("b"), Some(Phase::Draining));
}

#[test]
fn d3_a_node_that_an_operator_cordons_after_an_uncordon_keeps_that_cordon() {
    // `kubectl uncordon` leaves our mark.
    let mut world = draining(&json!({}));
    world.drainer("a", true, 1);
    world.rebooter_then("a", true, false);
    world.host("a").view.unschedulable = false;
    world.settle();
    let removed = world.records[&name("a")].cordon_removed_at;
    assert!(removed.is_some(), "{:?}", world.phase("a"));
    let host = world.host("a");
    (host.view.unschedulable, host.view.ready) = (true, true);
    world.settle();
    assert_eq!(world.phase("a"), Some(Phase::Uncordoning), "{:?}", world.reason("a"));
    assert_eq!(
        world.records[&name("a")].cordon_removed_at,
        removed,
        "for the drainer to read"
    );
}

#[test]
fn a_held_node_is_rolled_back_by_kubectl_uncordon() {
    let mut world = draining(&json!({ "onTimeout": "Hold" }));
    time_is_over(&mut world);
    world.host("a").view.unschedulable = false;
    world.settle();
    assert_eq!(
        (world.phase("a"), cause(&world)),
        (Some(Phase::RollingBack), Some(Cause::Operator))
    );
    // This view may be one of before the end of the drain, since when the drainer has cordoned the node again.
    assert_eq!(world.records[&name("a")].cordon_removed_at, None);
}

#[test]
fn a_cordon_that_is_taken_away_in_the_drain_is_not_noted_since_the_drainer_cordons_again() {
    let mut world = draining(&json!({}));
    world.drainer("a", true, 0);
    world.settle();
    world.host("a").view.unschedulable = false;
    world.settle();
    assert_eq!(world.phase("a"), Some(Phase::RollingBack));
    assert_eq!(world.records[&name("a")].cordon_removed_at, None);
}

#[test]
fn a_held_node_is_uncordoned_once_its_host_was_rebooted_by_others() {
    let mut world = draining(&json!({ "onTimeout": "Hold" }));
    time_is_over(&mut world);
    world.boot("a", true);
    world.pass(MINUTE);
    assert_eq!(world.phase("a"), Some(Phase::RollingBack), "{:?}", world.reason("a"));
    world.drainer("a", true, 1);
    world.pass(MINUTE);
    assert_eq!(world.phase("a"), Some(Phase::Failed));
    assert!(!world.records[&name("a")].slot_held);
}

#[test]
fn d50_proceed_orders_the_reboot_and_says_which_pods_were_left() {
    let mut world = draining(&json!({ "onTimeout": "Proceed" }));
    time_is_over(&mut world);
    let record = &world.records[&name("a")];
    assert_eq!(record.phase, Phase::Rebooting, "{:?}", world.reason("a"));
    assert_eq!(record.left_behind, "a budget");
    assert!(record.drained_at.is_some());
    world.rebooter("a", true);
    world.drainer("a", true, 1);
    world.pass(MINUTE * 10);
    assert_eq!(world.phase("a"), Some(Phase::Done), "{:?}", world.reason("a"));
    assert_eq!(world.records[&name("a")].left_behind, "a budget");
}

#[test]
fn a_policy_that_overrides_budgets_starts_a_node_that_could_not_be_drained() {
    for (on_timeout, starts) in [("Restore", false), ("Hold", false), ("Proceed", true), ("Force", true)] {
        let mut world = World::new(1, &["a"]);
        world.drain_answer = Some(Outcome::Shut("a budget never allows that".into()));
        world.policies = vec![policy("p", json!({ "drain": { "onTimeout": on_timeout } }))];
        world.settle();
        world.need("a");
        assert_eq!(
            world.phase("a") == Some(Phase::Draining),
            starts,
            "{on_timeout}: {:?}",
            world.reason("a")
        );
    }
}

#[test]
fn proceed_orders_no_reboot_of_a_node_that_does_not_carry_our_cordon() {
    let mut world = draining(&json!({ "onTimeout": "Proceed" }));
    world.host("a").foreign_cordon = true;
    time_is_over(&mut world);
    assert_eq!(cause(&world), Some(Cause::ForeignCordon));
    let mut world = draining(&json!({ "onTimeout": "Proceed" }));
    time_is_over_without_cordon(&mut world);
    assert_eq!(world.phase("a"), Some(Phase::Draining));
    world.pass(MINUTE * 40);
    assert_eq!(cause(&world), Some(Cause::DrainFailed));
}

/// The drainer could not even cordon the node.
fn time_is_over_without_cordon(world: &mut World) {
    let record = world.records[&name("a")].clone();
    let fact = bellwether_proto::Fact::DrainFailed {
        failure: bellwether_proto::DrainFailure::Timeout,
        message: "no cordon".into(),
        obstacle: None,
        report: None,
    };
    world.say(&name("a"), fact, record.generation, record.id);
    world.settle();
}

#[test]
fn the_time_of_a_drain_is_that_of_the_policy_also_under_another_leader() {
    let mut world = draining(&json!({ "timeout": "2h" }));
    let deadline = world.records[&name("a")].deadline.unwrap();
    let left = deadline.duration_since(world.now);
    assert_eq!(left.round(jiff::Unit::Second).unwrap(), SignedDuration::from_hours(2));
    world.crash();
    world.settle();
    assert_eq!(world.records[&name("a")].deadline, Some(deadline));
    world.pass(SignedDuration::from_mins(119));
    assert_eq!(world.phase("a"), Some(Phase::Draining));
    world.pass(MINUTE * 3);
    assert_ne!(world.phase("a"), Some(Phase::Draining));
}

#[test]
fn another_policy_changes_nothing_for_a_drain_under_way() {
    let mut world = draining(&json!({ "onTimeout": "Hold" }));
    world.policies = vec![policy("p", json!({ "drain": { "onTimeout": "Proceed" } }))];
    world.settle();
    time_is_over(&mut world);
    assert_eq!(world.phase("a"), Some(Phase::Failed));
    assert!(world.records[&name("a")].slot_held);
}

/// Node a drained under this policy.
fn drained(drain: &Value) -> World {
    let mut world = draining(drain);
    world.drainer("a", true, 1);
    world.settle();
    world
}

#[test]
fn a_delayed_reboot_is_ordered_after_its_delay_and_after_another_drain() {
    let mut world = drained(&json!({ "rebootDelay": "5m" }));
    let until = world.now + MINUTE * 5;
    assert_eq!(world.reason("a"), Some("WaitsForRebootDelay"));
    assert!(
        world.message("a").contains(&format!("until {until:.0}")),
        "{}",
        world.message("a")
    );
    let generation = world.records[&name("a")].generation;
    world.pass(MINUTE * 5 - SignedDuration::from_secs(1));
    assert_eq!(world.reason("a"), Some("WaitsForRebootDelay"));
    // The next leader continues the delay.
    world.crash();
    world.settle();
    assert_eq!(world.reason("a"), Some("WaitsForRebootDelay"));
    world.pass(SignedDuration::from_secs(1));
    let record = &world.records[&name("a")];
    assert_eq!((record.phase, record.drained_at), (Phase::Draining, None));
    assert_eq!(record.generation, generation.next());
    world.drainer("a", true, 1);
    world.settle();
    assert_eq!(
        world.phase("a"),
        Some(Phase::Rebooting),
        "delayed once: {:?}",
        world.reason("a")
    );
}

#[test]
fn a_delay_is_no_time_of_the_drain_and_the_drain_after_it_has_all_its_time() {
    for delay in [30, 90] {
        let mut world = draining(&json!({ "timeout": "2m", "rebootDelay": format!("{delay}s") }));
        let almost = MINUTE * 2 - SignedDuration::from_secs(1);
        world.pass(almost);
        world.drainer("a", true, 1);
        world.settle();
        let deadline = world.records[&name("a")].deadline.unwrap();
        assert_eq!(deadline, world.now + SignedDuration::from_secs(delay) + MINUTE * 2);
        world.pass(SignedDuration::from_secs(delay));
        if world.records[&name("a")].drained_at.is_none() {
            world.pass(almost);
            assert_eq!(world.phase("a"), Some(Phase::Draining), "{:?}", world.reason("a"));
            world.drainer("a", true, 1);
            world.settle();
        }
        assert_eq!(world.phase("a"), Some(Phase::Rebooting), "{:?}", world.reason("a"));
    }
}

#[test]
fn an_operator_ends_a_delay_by_a_cancel() {
    let mut world = drained(&json!({ "rebootDelay": "1h" }));
    world.pass(MINUTE * 30);
    assert_eq!(world.phase("a"), Some(Phase::Draining));
    assert_eq!(
        world.cancel("a", "not today"),
        Handled::Cancelled(CancelEffect::RolledBack)
    );
    world.settle();
    assert_eq!(world.phase("a"), Some(Phase::RollingBack));
}
