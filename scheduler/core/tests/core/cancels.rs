//! Stories of cancels: a reboot that can no longer be taken back keeps its slot, and each refusal says why.

use bellwether_proto::{Attempt, Cause, Fact, NeedReport, NodeEvent, OrderChange, Phase, Problem};
use bellwether_scheduler_core::{CancelEffect, CancelRefusal, Effect, Handled, Input, Policy};
use jiff::SignedDuration;

use crate::world::{World, name};

const MINUTE: SignedDuration = SignedDuration::from_mins(1);

/// An attempt that is cancelled just after its rebooter has read the record. Returns the record
/// that the rebooter read.
fn cancelled_too_late(world: &mut World) -> Attempt {
    world.need("a");
    world.need("b");
    // The time for the reboot begins with the order and not with the drain.
    world.pass(MINUTE * 5);
    world.drainer("a", true, 1);
    let ordered = world.records[&name("a")].clone();
    assert_eq!(ordered.phase, Phase::Rebooting);
    assert_eq!(world.cancel("a", ""), Handled::Cancelled(CancelEffect::RolledBack));
    ordered
}

fn reboot_started(world: &mut World, ordered: &Attempt) {
    let fact = Fact::RebootStarted {
        boot_id: ordered.boot_before.clone(),
        method: "logind".into(),
    };
    world.say(&name("a"), fact, ordered.generation, ordered.id);
}

fn keeps_its_slot(world: &World) {
    assert_eq!(world.phase("a"), Some(Phase::RollingBack));
    assert_eq!(world.reason("a"), Some("WaitsForUnwantedReboot"));
    assert_eq!(world.reason("b"), Some("NoSlot"));
}

#[test]
fn a_reboot_that_began_in_a_rollback_keeps_the_slot_until_the_node_is_back() {
    let mut world = World::new(1, &["a", "b"]);
    let ordered = cancelled_too_late(&mut world);
    reboot_started(&mut world, &ordered);
    world.drainer("a", true, 1);
    assert!(world.host("a").view.cordoned_for.is_none());
    keeps_its_slot(&world);
    world.host("a").view.ready = false;
    world.settle();
    keeps_its_slot(&world);
    world.boot("a", false);
    keeps_its_slot(&world);
    world.host("a").view.ready = true;
    world.settle();
    assert_eq!(world.phase("a"), Some(Phase::Cancelled));
    assert_eq!(world.phase("b"), Some(Phase::Draining));
}

#[test]
fn a_sentinel_in_the_new_boot_beside_an_old_view_of_the_node_does_not_free_the_slot() {
    let mut world = World::new(1, &["a", "b"]);
    let ordered = cancelled_too_late(&mut world);
    reboot_started(&mut world, &ordered);
    world.drainer("a", true, 1);
    let mut report = world.fleet.sentinel(&name("a")).unwrap().clone();
    report.report.boot_id = "boot-new".parse().unwrap();
    world.give(Input::Sentinel(report));
    world.advance();
    // The kubelet is not up yet: the view of the node is as it was before.
    keeps_its_slot(&world);
}

#[test]
fn a_reboot_that_is_reported_after_the_end_of_the_attempt_takes_the_slot_again() {
    let mut world = World::new(1, &["a", "b"]);
    world.pause("the other node has to wait");
    world.resume();
    let ordered = cancelled_too_late(&mut world);
    world.host("b").preflight = Some(Problem::unclassified("not yet"));
    world.settle();
    world.drainer("a", true, 1);
    world.pass(Policy::LATE_EFFECT_MAX);
    assert_eq!(world.phase("a"), Some(Phase::Cancelled));
    reboot_started(&mut world, &ordered);
    world.host("b").preflight = None;
    world.settle();
    keeps_its_slot(&world);
    world.drainer("a", true, 1);
    keeps_its_slot(&world);
    world.boot("a", true);
    assert_eq!(world.phase("a"), Some(Phase::Cancelled));
    assert_eq!(world.records[&name("a")].failures_in_row, 1, "one attempt, one failure");
    // The same event once more changes nothing.
    reboot_started(&mut world, &ordered);
    assert_eq!(world.phase("a"), Some(Phase::Cancelled));
}

#[test]
fn a_reboot_that_is_reported_late_to_a_new_leader_finds_the_slot_of_its_cancelled_attempt_kept() {
    // The announcement was taken by a leader that leads no more, and comes again after the ack wait.
    let mut world = World::new(1, &["a", "b"]);
    let ordered = cancelled_too_late(&mut world);
    world.drainer("a", true, 1);
    world.drainer("a", true, 1);
    world.crash();
    world.pass(SignedDuration::from_secs(20));
    assert_eq!(
        (world.phase("a"), world.reason("a"), world.reason("b")),
        (Some(Phase::RollingBack), Some("WaitsForLateEffect"), Some("NoSlot"))
    );
    reboot_started(&mut world, &ordered);
    world.pass(MINUTE);
    keeps_its_slot(&world);
}

#[test]
fn a_reboot_that_never_happens_after_a_cancel_frees_the_slot_at_the_deadline() {
    let mut world = World::new(1, &["a", "b"]);
    let ordered = cancelled_too_late(&mut world);
    reboot_started(&mut world, &ordered);
    world.drainer("a", true, 1);
    world.pass(world.policy.reboot_timeout - MINUTE);
    keeps_its_slot(&world);
    world.pass(MINUTE);
    assert_eq!(world.phase("a"), Some(Phase::Cancelled));
    assert_eq!(world.phase("b"), Some(Phase::Draining));
}

#[test]
fn a_host_whose_clock_is_behind_calls_after_the_end_of_the_order_and_keeps_the_slot_from_there() {
    let mut world = World::new(1, &["a", "b"]);
    world.need("a");
    world.need("b");
    world.drainer("a", true, 1);
    let ordered = world.records[&name("a")].clone();
    world.pass(world.policy.reboot_timeout - MINUTE);
    assert_eq!(world.cancel("a", ""), Handled::Cancelled(CancelEffect::RolledBack));
    reboot_started(&mut world, &ordered);
    world.drainer("a", true, 1);
    world.pass(world.policy.reboot_timeout - MINUTE);
    keeps_its_slot(&world);
    world.pass(MINUTE);
    assert_eq!(world.phase("b"), Some(Phase::Draining));
}

#[test]
fn a_host_that_calls_after_its_order_counts_as_ignored_keeps_the_slot_as_well() {
    let mut world = World::new(1, &["a", "b"]);
    world.need("a");
    world.need("b");
    world.drainer("a", true, 1);
    let ordered = world.records[&name("a")].clone();
    world.pass(world.policy.reboot_timeout);
    assert_eq!(world.phase("a"), Some(Phase::RollingBack));
    reboot_started(&mut world, &ordered);
    world.drainer("a", true, 1);
    world.pass(MINUTE);
    keeps_its_slot(&world);
    world.boot("a", true);
    assert_eq!(world.phase("b"), Some(Phase::Draining));
}

#[test]
fn a_node_that_never_comes_back_from_a_cancelled_reboot_fails_and_keeps_its_slot() {
    let mut world = World::new(1, &["a", "b"]);
    let ordered = cancelled_too_late(&mut world);
    reboot_started(&mut world, &ordered);
    world.drainer("a", true, 1);
    world.host("a").view.ready = false;
    world.pass(world.policy.reboot_timeout);
    assert_eq!(
        (world.phase("a"), world.reason("a")),
        (Some(Phase::Failed), Some("NodeNotBack"))
    );
    assert!(world.records[&name("a")].slot_held);
    assert_eq!(
        world.cancel("a", ""),
        Handled::Cancelled(CancelEffect::SlotReleased {
            still: Some(bellwether_scheduler_core::admission::budget::Holder::NotReady)
        })
    );
    world.settle();
    assert_eq!(world.reason("b"), Some("NoSlot"), "the node is down, released or not");
    // No phase was entered, so the trail of orders names the operator: before the record of the node changes.
    let effects = || world.effects.iter().map(|(_, effect)| effect);
    let noted = effects().position(|effect| {
        matches!(effect, Effect::StoreControl(_, Some(event))
            if event.change == OrderChange::SlotReleased && event.node == Some(name("a")))
    });
    let released = effects().position(|effect| {
        matches!(effect, Effect::StoreAttempt(attempt, None) if attempt.phase == Phase::Failed && !attempt.slot_held)
    });
    assert!(noted.is_some() && noted < released, "{noted:?} {released:?}");
}

#[test]
fn an_order_that_loses_its_preflight_is_no_different_from_a_cancel() {
    // The refusal of the rebooter and its call can cross: another rebooter pod had begun.
    let mut world = World::new(1, &["a", "b"]);
    world.need("a");
    world.need("b");
    world.drainer("a", true, 1);
    let ordered = world.records[&name("a")].clone();
    world.rebooter_refuses("a");
    reboot_started(&mut world, &ordered);
    world.drainer("a", true, 1);
    keeps_its_slot(&world);
    world.boot("a", true);
    assert_eq!(world.phase("a"), Some(Phase::Failed));
    assert_eq!(
        world.records[&name("a")].ending.as_ref().unwrap().cause,
        Cause::RebootRefused
    );
}

#[test]
fn a_cordon_that_may_still_come_keeps_the_slot_of_a_rollback_in_which_nothing_was_to_be_removed() {
    let mut world = World::new(1, &["a", "b"]);
    world.need("a");
    world.need("b");
    let attempt = world.records[&name("a")].id;
    world.commands.clear();
    world.cancel("a", "");
    world.drainer("a", true, 1);
    world.pass(SignedDuration::from_secs(20));
    assert_eq!(
        (world.phase("a"), world.reason("b")),
        (Some(Phase::RollingBack), Some("NoSlot"))
    );
    // The drainer's request was under way at a slow API server.
    world.host("a").view.cordoned_for = Some(attempt);
    world.host("a").view.unschedulable = true;
    world.pass(SignedDuration::from_secs(20));
    assert_eq!(
        (world.phase("a"), world.reason("a"), world.reason("b")),
        (Some(Phase::RollingBack), Some("WaitsForUncordon"), Some("NoSlot"))
    );
    world.pass(SignedDuration::from_secs(20));
    world.drainer("a", true, 1);
    assert_eq!(
        (world.phase("a"), world.phase("b")),
        (Some(Phase::Cancelled), Some(Phase::Draining))
    );
}

#[test]
fn a_rollback_of_a_node_with_a_silent_sentinel_is_done_once() {
    let mut world = World::new(1, &["a", "b"]);
    world.need("a");
    world.need("b");
    world.drainer("a", true, 1);
    world.rebooter("a", false);
    let mut view = world.host("a").view.clone();
    view.boot_id = Some("boot-new".parse().unwrap());
    world.give(Input::Node(view.clone()));
    world.now += world.policy.verify_timeout;
    world.advance();
    world.now += world.policy.verify_timeout;
    world.advance();
    assert_eq!(world.phase("a"), Some(Phase::RollingBack));
    let record = world.records[&name("a")].clone();
    for _ in 0..10 {
        let Attempt { id, generation, .. } = world.records[&name("a")];
        view.cordoned_for = None;
        view.unschedulable = false;
        world.give(Input::Node(view.clone()));
        let uncordoned = Fact::Uncordoned {
            left_unschedulable: false,
        };
        world.give(Input::Event(NodeEvent {
            node: name("a"),
            attempt: id,
            generation,
            at: world.now,
            source: "test".into(),
            fact: uncordoned,
        }));
        world.advance();
        world.now += world.policy.verify_timeout;
        world.advance();
    }
    let after = &world.records[&name("a")];
    assert_eq!(
        (after.phase, after.slot_held),
        (Phase::Failed, true),
        "its sentinel is silent"
    );
    assert_eq!(after.history.len(), record.history.len() + 1);
}

#[test]
fn the_slot_of_a_host_that_was_called_for_a_reboot_is_kept_though_its_need_is_gone() {
    let mut world = World::new(1, &["a", "b"]);
    world.need("a");
    world.need("b");
    world.drainer("a", true, 1);
    world.rebooter("a", false);
    world.pass(world.policy.reboot_timeout);
    world.drainer("a", true, 1);
    world.host("a").need = Ok(None);
    world.pass(MINUTE * 10);
    assert_eq!(world.reason("b"), Some("NoSlot"), "it may go down at any moment");
    world.boot("a", true);
    world.pass(world.policy.soak);
    assert_eq!(world.phase("b"), Some(Phase::Draining));
}

#[test]
fn a_kept_slot_is_not_released_by_a_needless_sentinel_beside_an_old_view_of_the_node() {
    let mut world = World::new(1, &["a", "b"]);
    world.need("a");
    world.need("b");
    world.drainer("a", true, 1);
    world.rebooter("a", false);
    // The host goes down right before the deadline, and its node is still called Ready.
    world.pass(world.policy.reboot_timeout);
    world.drainer("a", true, 1);
    assert_eq!(world.reason("a"), Some("RebootIgnored"));
    let mut report = world.fleet.sentinel(&name("a")).unwrap().clone();
    report.report.boot_id = "boot-new".parse().unwrap();
    report.report.need = NeedReport::NotRequired;
    world.give(Input::Sentinel(report));
    world.now += MINUTE;
    world.advance();
    assert_eq!(world.reason("b"), Some("NoSlot"));
    world.boot("a", true);
    world.pass(world.policy.soak);
    assert_eq!(world.phase("b"), Some(Phase::Draining));
}

#[test]
fn a_cancel_names_its_consequence() {
    let freed = CancelEffect::SlotReleased { still: None };
    let still = CancelEffect::SlotReleased {
        still: Some(bellwether_scheduler_core::admission::budget::Holder::NotReady),
    };
    for (effect, consequence) in [
        (CancelEffect::RolledBack, "our cordon is taken away"),
        (freed, "its slot is free"),
        (still, "still takes one: not Ready"),
        (CancelEffect::WaitEnded, "tried again at once"),
    ] {
        let message = effect.message();
        assert!(message.contains(consequence), "{message}");
    }
}

#[test]
fn a_cancel_says_what_it_finds() {
    let mut world = World::new(1, &["a"]);
    assert_eq!(
        world.cancel("a", ""),
        Handled::Refused(CancelRefusal::NoAttempt(name("a")))
    );
    world.need("a");
    world.cancel("a", "");
    assert_eq!(
        world.cancel("a", ""),
        Handled::Refused(CancelRefusal::RollingBack(name("a")))
    );
    world.drainer("a", true, 1);
    world.drainer("a", true, 1);
    world.pass(MINUTE / 2);
    assert_eq!(world.reason("a"), Some("CoolingDown"));
    assert_eq!(world.cancel("a", ""), Handled::Cancelled(CancelEffect::WaitEnded));
    world.settle();
    assert_eq!(world.phase("a"), Some(Phase::Draining));
}
