//! What the core notes of needs, cordons and clocks, for decisions that come much later.

use bellwether_proto::{Cause, Fact, NodeEvent, Phase};
use bellwether_scheduler_core::{CancelEffect, Handled, Input, Policy};
use jiff::SignedDuration;

use crate::world::{AtBoot, World, name};

const MINUTE: SignedDuration = SignedDuration::from_mins(1);
const HOUR: SignedDuration = SignedDuration::from_hours(1);

/// A drain of node `a` fails, and its cordon is taken away.
fn drain_fails(world: &mut World) {
    world.need("a");
    world.drainer("a", false, 1);
    world.drainer("a", true, 1);
    world.pass(Policy::LATE_EFFECT_MAX);
    assert_eq!(world.phase("a"), Some(Phase::Failed));
}

#[test]
fn a_cordon_that_only_a_view_shows_is_noted() {
    let mut world = World::new(1, &["a"]);
    world.need("a");
    let record = world.records[&name("a")].clone();
    assert_eq!(record.cordoned_at, None);
    world.host("a").view.unschedulable = true;
    world.host("a").view.cordoned_for = Some(record.id);
    world.settle();
    assert_eq!(world.records[&name("a")].cordoned_at, Some(world.now));
}

#[test]
fn a_need_that_is_renewed_after_the_end_is_noted_only_while_the_host_may_still_reboot() {
    let mut world = World::new(1, &["a"]);
    drain_fails(&mut world);
    let before = world.records[&name("a")].clone();
    world.pass(SignedDuration::from_secs(1));
    world.need("a");
    assert_eq!(world.records[&name("a")], before, "its reboot was never ordered");

    let mut world = World::new(1, &["a"]);
    world.host("a").at_boot = AtBoot::Survives;
    world.need("a");
    world.drainer("a", true, 1);
    world.rebooter("a", false);
    world.pass(world.policy.reboot_timeout);
    world.drainer("a", true, 1);
    assert_eq!(world.reason("a"), Some("RebootIgnored"));
    world.need("a");
    assert_eq!(
        world.records[&name("a")].need_since,
        world.now,
        "it may go down at any moment"
    );
}

#[test]
fn a_reboot_by_others_after_an_order_that_was_taken_back_is_not_our_own() {
    let mut world = World::new(1, &["a"]);
    world.host("a").at_boot = AtBoot::Survives;
    world.need("a");
    world.drainer("a", true, 1);
    world.cancel("a", "");
    world.drainer("a", true, 1);
    world.pass(Policy::LATE_EFFECT_MAX);
    assert_eq!(world.phase("a"), Some(Phase::Cancelled));
    world.boot("a", true);
    assert_eq!(world.records[&name("a")].last_reboot, None);
    world.pass(HOUR);
    assert_eq!(world.phase("a"), Some(Phase::Draining), "our reboot was not tried yet");
}

#[test]
fn a_report_without_need_that_comes_after_the_reboot_was_noted_is_noted_itself() {
    let mut world = World::new(1, &["a"]);
    let old = world.now - HOUR;
    world.need("a");
    world.drainer("a", true, 1);
    world.host("a").at_boot = AtBoot::Survives;
    world.rebooter("a", true);
    let cleared = |world: &World| world.records[&name("a")].last_reboot.as_ref().unwrap().need_cleared;
    assert!(!cleared(&world));
    world.host("a").need = Ok(None);
    world.settle();
    assert!(cleared(&world));
    // The next leader hears of the next need only.
    world.host("a").need = Ok(Some(old));
    world.crash();
    world.drainer("a", true, 1);
    world.pass(MINUTE);
    world.pass(HOUR);
    assert_eq!(world.phase("a"), Some(Phase::Draining));
}

#[test]
fn a_command_of_an_older_generation_that_is_lost_is_not_asked_for_again() {
    let mut world = World::new(1, &["a"]);
    world.need("a");
    world.commands.clear();
    world.pass(Policy::REMINDER);
    let before = world.records[&name("a")].clone();
    world.give(Input::CommandLost {
        node: name("a"),
        attempt: before.id,
        generation: before.generation.0 - 1,
    });
    world.do_effects();
    world.settle();
    assert_eq!(world.records[&name("a")], before);
}

#[test]
fn a_cancel_ends_the_wait_of_a_failed_node_and_is_refused_once_the_wait_is_over() {
    let mut world = World::new(1, &["a"]);
    drain_fails(&mut world);
    let until = world.records[&name("a")].retry_not_before.unwrap();
    let mut waiting = world.fleet.clone();
    let cancel = Input::Cancel {
        node: name("a"),
        by: "me".into(),
        reason: String::new(),
    };
    let handled = waiting.handle_input(cancel.clone(), until - SignedDuration::from_nanos(1));
    assert_eq!(handled, Handled::Cancelled(CancelEffect::WaitEnded));
    assert!(matches!(world.fleet.handle_input(cancel, until), Handled::Refused(_)));
}

#[test]
fn a_clock_that_was_ahead_when_the_node_was_observed_does_not_keep_the_node_from_being_ready() {
    let mut world = World::new(1, &["a"]);
    world.now += HOUR;
    world.crash();
    world.now -= HOUR;
    world.need("a");
    world.drainer("a", true, 1);
    world.rebooter("a", true);
    world.drainer("a", true, 1);
    world.pass(world.policy.soak);
    assert_eq!(world.phase("a"), Some(Phase::Done));
}

#[test]
fn nodes_that_are_tried_for_the_first_time_take_no_place_of_those_that_are_tried_again() {
    let mut world = World::new(3, &["a", "b", "c"]);
    drain_fails(&mut world);
    world.need("b");
    world.need("c");
    world.pass(MINUTE * 11);
    let phases = ["a", "b", "c"].map(|node| world.phase(node));
    assert_eq!(phases, [Some(Phase::Draining); 3]);
}

#[test]
fn a_node_without_an_attempt_is_not_forgotten_while_its_agents_are_silent() {
    let mut world = World::new(1, &["a"]);
    world.now += HOUR;
    world.advance();
    assert_eq!(world.reason("a"), Some("ReportStale"));
}

fn ending_of_a(world: &World) -> (Option<Phase>, Option<Cause>) {
    let ending = world.records[&name("a")].ending.as_ref();
    (world.phase("a"), ending.map(|ending| ending.cause))
}

#[test]
fn a_need_that_is_gone_ends_the_drain_at_once_and_one_that_is_not_known_ends_it_at_the_last_look() {
    let mut world = World::new(1, &["a"]);
    world.need("a");
    world.host("a").need = Ok(None);
    world.settle();
    assert_eq!(
        ending_of_a(&world),
        (Some(Phase::RollingBack), Some(Cause::NeedCleared))
    );

    let mut world = World::new(1, &["a"]);
    world.need("a");
    world.host("a").need = Err("permission denied".into());
    world.settle();
    assert_eq!(world.phase("a"), Some(Phase::Draining), "the need may well last");
    world.drainer("a", true, 1);
    assert_eq!(ending_of_a(&world), (Some(Phase::RollingBack), Some(Cause::NotFit)));
}

#[test]
fn a_report_that_has_become_stale_does_not_count_at_the_last_look() {
    let mut world = World::new(1, &["a"]);
    world.need("a");
    let record = world.records[&name("a")].clone();
    // The sentinel is silent, and the rebooter is not.
    world.now += MINUTE * 20;
    let mut rebooter = world.fleet.rebooter(&name("a")).unwrap().clone();
    rebooter.stored_at = world.now;
    world.give(Input::Rebooter(rebooter));
    world.host("a").view.unschedulable = true;
    world.host("a").view.cordoned_for = Some(record.id);
    let view = world.host("a").view.clone();
    world.give(Input::Node(view));
    world.give(Input::Event(NodeEvent {
        node: name("a"),
        attempt: record.id,
        generation: record.generation,
        at: world.now,
        source: "test".into(),
        fact: Fact::Drained {
            pods_gone: 1,
            pods_left: 0,
            pods_returning: 0,
            message: String::new(),
            report: None,
        },
    }));
    world.advance();
    assert_eq!(ending_of_a(&world), (Some(Phase::RollingBack), Some(Cause::NotFit)));
}
