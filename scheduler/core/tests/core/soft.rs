//! Stories of soft reboots: the boot id stays, so the number of soft reboots of the boot is the proof.

use bellwether_proto::{Cause, KindPreflight, Phase, RebootKind};
use bellwether_scheduler_core::Policy;
use jiff::SignedDuration;
use serde_json::json;

use crate::world::{World, name, policy};

const SECOND: SignedDuration = SignedDuration::from_secs(1);

/// One node that needs a reboot, under a policy that wants soft ones; its boot has had two.
fn governed() -> World {
    let mut world = World::new(1, &["a"]);
    world.policies = vec![policy("p", json!({ "rebootKind": "Soft" }))];
    let host = world.host("a");
    host.kinds = vec![KindPreflight {
        kind: RebootKind::Soft,
        problem: None,
    }];
    host.soft_reboots = Some(2);
    world.settle();
    world.need("a");
    assert_eq!(world.phase("a"), Some(Phase::Draining), "{:?}", world.reason("a"));
    world
}

/// The same with the order to reboot.
fn ordered() -> World {
    let mut world = governed();
    world.drainer("a", true, 1);
    world.settle();
    let record = &world.records[&name("a")];
    assert_eq!((record.phase, record.soft_reboots_before), (Phase::Rebooting, Some(2)));
    world
}

/// The same with a host that was called for it.
fn called() -> World {
    let mut world = ordered();
    world.rebooter("a", false);
    world.settle();
    assert!(world.records[&name("a")].reboot_started_at.is_some());
    world
}

/// User space starts again, and its rebooter reports that. The kubelet's view of the node stays as it was.
fn restarts(world: &mut World) {
    world.host("a").soft_reboots = Some(3);
    world.settle();
}

/// The node goes from the proof to Done.
fn goes_on(world: &mut World) {
    world.pass(Policy::READY_STALE_MAX);
    assert_eq!(world.phase("a"), Some(Phase::Uncordoning), "{}", world.message("a"));
    world.drainer("a", true, 1);
    world.pass(world.policy.soak);
    assert_eq!(world.phase("a"), Some(Phase::Done));
}

#[test]
fn a_soft_reboot_is_proved_by_a_larger_number_in_the_same_boot_and_a_node_that_stays_ready_for_a_minute() {
    let mut world = called();
    restarts(&mut world);
    assert_eq!(world.phase("a"), Some(Phase::Verifying));
    // The view may be the one from before: a kubelet that is gone lets its node be Ready for a while.
    world.pass(Policy::READY_STALE_MAX - SECOND);
    assert_eq!(world.phase("a"), Some(Phase::Verifying));
    goes_on(&mut world);
    let record = &world.records[&name("a")];
    assert_eq!(record.boot_after.as_ref(), Some(&record.boot_before));
    let last = record.last_reboot.as_ref().unwrap();
    assert_eq!((&last.boot_id, last.soft_reboots), (&record.boot_before, Some(3)));
}

#[test]
fn a_short_time_to_verify_is_not_over_before_ready_counts() {
    let mut world = called();
    world.policy.verify_timeout = SignedDuration::from_secs(40);
    world.crash();
    world.settle();
    restarts(&mut world);
    world.pass(Policy::READY_STALE_MAX - SECOND);
    assert_eq!(world.phase("a"), Some(Phase::Verifying));
    goes_on(&mut world);
}

#[test]
fn a_node_that_is_not_ready_after_its_soft_reboot_is_not_proved() {
    let mut world = called();
    restarts(&mut world);
    world.host("a").view.ready = false;
    world.settle();
    world.pass(SignedDuration::from_mins(2));
    assert_eq!(world.phase("a"), Some(Phase::Verifying));
    world.host("a").view.ready = true;
    world.settle();
    assert_eq!(world.phase("a"), Some(Phase::Verifying), "a minute from Ready on");
    goes_on(&mut world);
}

#[test]
fn the_same_number_a_smaller_one_and_none_prove_nothing() {
    for shown in [Some(2), Some(1), None] {
        let mut world = called();
        world.host("a").soft_reboots = shown;
        world.settle();
        world.pass(world.policy.reboot_timeout - SECOND);
        assert_eq!(world.phase("a"), Some(Phase::Rebooting), "{shown:?}");
        world.pass(SignedDuration::from_mins(1));
        assert_eq!(world.phase("a"), Some(Phase::RollingBack), "{shown:?}");
        let cause = world.records[&name("a")].ending.as_ref().map(|ending| ending.cause);
        assert_eq!(cause, Some(Cause::RebootIgnored));
    }
}

#[test]
fn a_full_reboot_instead_of_the_soft_one_is_more_and_proves_it_at_once() {
    let mut world = called();
    world.host("a").soft_reboots = Some(0);
    world.boot("a", true);
    assert_eq!(world.phase("a"), Some(Phase::Uncordoning));
    let record = &world.records[&name("a")];
    assert_ne!(record.boot_after.as_ref(), Some(&record.boot_before));
    assert_eq!(record.last_reboot.as_ref().unwrap().soft_reboots, None);
}

#[test]
fn a_full_reboot_after_the_soft_one_is_the_same_reboot() {
    let mut world = called();
    restarts(&mut world);
    world.host("a").soft_reboots = Some(0);
    world.boot("a", true);
    assert_eq!(world.phase("a"), Some(Phase::Uncordoning));
    let last = world.records[&name("a")].last_reboot.clone().unwrap();
    assert_eq!((last.soft_reboots, last.earlier.len()), (None, 0));
}

#[test]
fn schedulers_that_start_again_in_between_lose_nothing() {
    let mut world = called();
    world.crash();
    world.settle();
    assert_eq!(world.phase("a"), Some(Phase::Rebooting));
    restarts(&mut world);
    world.crash();
    world.settle();
    assert_eq!(world.phase("a"), Some(Phase::Verifying));
    // The next one counts the minute again, since it does not know when the first report came.
    world.pass(Policy::READY_STALE_MAX - SECOND);
    world.crash();
    world.settle();
    world.pass(Policy::READY_STALE_MAX - SECOND);
    assert_eq!(world.phase("a"), Some(Phase::Verifying));
    world.pass(SECOND + SECOND);
    assert_eq!(world.phase("a"), Some(Phase::Uncordoning));
}

#[test]
fn a_report_that_comes_after_the_deadline_is_a_late_return() {
    let mut world = called();
    world.host("a").view.ready = false;
    world.settle();
    world.pass(world.policy.reboot_timeout + SECOND);
    assert_eq!(world.phase("a"), Some(Phase::Failed));
    assert!(world.records[&name("a")].slot_held);
    world.host("a").view.ready = true;
    restarts(&mut world);
    goes_on(&mut world);
}

#[test]
fn a_need_that_survives_its_soft_reboot_is_not_served_again_though_the_boot_was_without_a_need_once() {
    // The sentinel has reported in this very boot that no reboot is required, before the need came.
    let mut world = called();
    restarts(&mut world);
    goes_on(&mut world);
    world.pass(SignedDuration::from_hours(1));
    assert_eq!(world.reason("a"), Some("NeedSurvivedReboot"));
    assert!(!world.records[&name("a")].last_reboot.as_ref().unwrap().need_cleared);
    // Under another scheduler too.
    world.crash();
    world.settle();
    world.pass(SignedDuration::from_mins(1));
    assert_eq!(world.reason("a"), Some("NeedSurvivedReboot"));
    // Once it is gone, the next one is new, in the same boot.
    world.host("a").need = Ok(None);
    world.settle();
    assert!(world.records[&name("a")].last_reboot.as_ref().unwrap().need_cleared);
    world.need("a");
    assert_eq!(world.phase("a"), Some(Phase::Draining), "{:?}", world.reason("a"));
    world.drainer("a", true, 1);
    world.settle();
    assert_eq!(world.records[&name("a")].soft_reboots_before, Some(3));
}

#[test]
fn a_second_soft_reboot_of_a_boot_is_another_one_and_counts_for_the_loop_guard() {
    let mut world = called();
    world.host("a").need = Ok(None);
    restarts(&mut world);
    goes_on(&mut world);
    world.pass(SignedDuration::from_hours(1));
    world.need("a");
    world.drainer("a", true, 1);
    world.rebooter("a", false);
    world.settle();
    world.host("a").soft_reboots = Some(4);
    world.settle();
    goes_on(&mut world);
    let last = world.records[&name("a")].last_reboot.clone().unwrap();
    assert_eq!((last.soft_reboots, last.earlier.len()), (Some(4), 1));
}

#[test]
fn without_the_number_a_node_is_neither_drained_nor_ordered() {
    let mut world = governed();
    world.host("a").soft_reboots = None;
    world.settle();
    world.drainer("a", true, 1);
    world.settle();
    let cause = world.records[&name("a")].ending.as_ref().map(|ending| ending.cause);
    assert_eq!(
        (world.phase("a"), cause),
        (Some(Phase::RollingBack), Some(Cause::NotFit))
    );
    world.drainer("a", true, 1);
    world.pass(SignedDuration::from_hours(1));
    assert_eq!(world.reason("a"), Some("PreflightFailed"));
    assert!(
        world.message("a").contains("how many soft reboots"),
        "{}",
        world.message("a")
    );
}

#[test]
fn a_number_proves_nothing_for_an_order_of_another_kind() {
    let mut world = World::new(1, &["a"]);
    world.host("a").soft_reboots = Some(2);
    world.settle();
    world.need("a");
    world.drainer("a", true, 1);
    world.rebooter("a", false);
    world.settle();
    restarts(&mut world);
    world.pass(SignedDuration::from_mins(2));
    let record = &world.records[&name("a")];
    assert_eq!((record.phase, record.soft_reboots_before), (Phase::Rebooting, None));
}
