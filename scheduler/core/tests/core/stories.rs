//! Stories that people tell, one by one.

use bellwether_proto::{Phase, Problem};
use bellwether_scheduler_core::{CancelEffect, Handled, Input, Policy};
use jiff::SignedDuration;

use crate::world::{World, bellwether, kured, name};

const MINUTE: SignedDuration = SignedDuration::from_mins(1);

#[test]
fn a_node_that_needs_a_reboot_is_drained_rebooted_verified_uncordoned_and_soaked() {
    let mut world = World::new(1, &["a"]);
    world.need("a");
    world.drainer("a", true, 1);
    world.rebooter("a", true);
    world.drainer("a", true, 1);
    world.pass(world.policy.soak);
    let told = [
        "a Draining",
        "a Rebooting",
        "a Verifying",
        "a Uncordoning",
        "a Soaking",
        "a Done",
    ];
    assert_eq!(world.log, told);
    assert_eq!(world.reason("a"), None);
}

#[test]
fn nodes_go_one_at_a_time_oldest_need_first_control_plane_last() {
    let mut world = World::new(1, &["b", "a", "cp", "c"]);
    world.pause("collect");
    for node in ["cp", "c", "a", "b"] {
        world.need(node);
        world.pass(MINUTE);
    }
    assert_eq!(world.reason("c"), Some("Paused"));
    world.resume();
    world.settle();
    assert_eq!(world.reason("b"), Some("NoSlot"));
    world.work_until_quiet();
    let started: Vec<&str> = world
        .log
        .iter()
        .filter_map(|line| line.strip_suffix(" Draining"))
        .collect();
    assert_eq!(started, ["c", "a", "b", "cp"]);
}

#[test]
fn a_node_cordoned_by_somebody_else_waits_and_takes_a_slot() {
    let mut world = World::new(1, &["a", "b"]);
    world.host("a").foreign_cordon = true;
    world.host("a").view.unschedulable = true;
    world.need("a");
    world.need("b");
    assert_eq!(world.reason("a"), Some("ForeignCordon"));
    assert_eq!(world.reason("b"), Some("NoSlot"));
}

#[test]
fn a_node_that_is_down_takes_a_slot_and_the_rest_goes_on_if_one_is_left() {
    let mut world = World::new(2, &["a", "b", "c"]);
    world.host("a").view.ready = false;
    for node in ["a", "b", "c"] {
        world.need(node);
    }
    assert_eq!(world.reason("a"), Some("NotReady"));
    assert_eq!(world.phase("b"), Some(Phase::Draining));
    assert_eq!(world.reason("c"), Some("NoSlot"));
}

#[test]
fn a_drain_that_fails_is_rolled_back_frees_its_slot_and_is_tried_again_later() {
    let mut world = World::new(1, &["a", "b"]);
    world.need("a");
    world.need("b");
    world.drainer("a", false, 1);
    assert_eq!(world.phase("a"), Some(Phase::RollingBack));
    world.drainer("a", true, 1);
    assert!(world.host("a").view.cordoned_for.is_none());
    world.pass(Policy::LATE_EFFECT_MAX);
    assert_eq!(world.phase("a"), Some(Phase::Failed));
    assert_eq!(world.reason("a"), Some("CoolingDown"));
    assert_eq!(world.phase("b"), Some(Phase::Draining), "the next one goes at once");
    world.work_until_quiet();
    assert_eq!(world.phase("a"), Some(Phase::Done));
}

#[test]
fn a_drainer_that_never_answers_is_given_up() {
    let mut world = World::new(1, &["a"]);
    world.need("a");
    world.pass(world.policy.drain_timeout);
    assert_eq!(
        world.phase("a"),
        Some(Phase::Draining),
        "the drainer's own word comes first"
    );
    world.pass(MINUTE);
    assert_eq!(world.phase("a"), Some(Phase::RollingBack));
    world.pass(world.policy.uncordon_timeout);
    assert_eq!(world.phase("a"), Some(Phase::Failed));
}

#[test]
fn a_host_that_ignores_the_reboot_fails_uncordoned_and_keeps_its_slot_until_released() {
    let mut world = World::new(1, &["a", "b"]);
    world.need("a");
    world.need("b");
    world.drainer("a", true, 1);
    world.rebooter("a", false);
    world.pass(world.policy.reboot_timeout);
    world.drainer("a", true, 1);
    assert_eq!(world.phase("a"), Some(Phase::Failed));
    assert!(world.host("a").view.cordoned_for.is_none(), "Way back");
    assert_eq!(world.reason("a"), Some("RebootIgnored"));
    assert_eq!(world.reason("b"), Some("NoSlot"));
    assert_eq!(
        world.cancel("a", "seen"),
        Handled::Cancelled(CancelEffect::SlotReleased { still: None })
    );
    world.settle();
    assert_eq!(world.phase("b"), Some(Phase::Draining), "it was not tried yet");
    assert_eq!(world.reason("a"), Some("NoSlot"));
}

#[test]
fn a_node_that_never_comes_back_stays_cordoned_and_goes_on_when_it_does() {
    let mut world = World::new(1, &["a", "b"]);
    world.need("a");
    world.drainer("a", true, 1);
    world.host("a").view.ready = false;
    world.pass(world.policy.reboot_timeout);
    assert_eq!(world.phase("a"), Some(Phase::Failed));
    assert!(world.host("a").view.cordoned_for.is_some());
    world.need("b");
    assert_eq!(world.reason("b"), Some("NoSlot"));
    world.boot("a", true);
    world.work_until_quiet();
    assert_eq!(world.phase("a"), Some(Phase::Done));
    assert_eq!(world.phase("b"), Some(Phase::Done));
}

#[test]
fn a_node_that_is_deleted_frees_its_slot_and_its_namesake_is_another_node() {
    let mut world = World::new(1, &["a", "b"]);
    world.need("a");
    world.need("b");
    world.leave("a");
    assert_eq!(world.phase("a"), None);
    assert_eq!(world.phase("b"), Some(Phase::Draining));
    world.join("a");
    world.drainer("a", true, 1);
    assert!(
        world.host("a").view.cordoned_for.is_none(),
        "an old command must not touch the newcomer"
    );
}

#[test]
fn a_need_that_vanishes_in_the_drain_ends_it_without_a_reboot() {
    let mut world = World::new(1, &["a"]);
    world.need("a");
    world.host("a").need = Ok(None);
    world.settle();
    world.work_until_quiet();
    assert_eq!(world.phase("a"), Some(Phase::Cancelled));
    assert!(world.ended_boots.is_empty());
}

#[test]
fn what_changed_during_the_drain_is_seen_right_before_the_reboot() {
    let mut world = World::new(1, &["a"]);
    world.need("a");
    world.host("a").preflight = Some(Problem::unclassified("logind says no"));
    world.drainer("a", true, 1);
    assert_eq!(world.phase("a"), Some(Phase::RollingBack));
    world.drainer("a", true, 1);
    world.pass(Policy::LATE_EFFECT_MAX);
    assert_eq!(world.reason("a"), Some("PreflightFailed"));
}

#[test]
fn a_node_whose_rebooter_cannot_reboot_is_never_drained() {
    let mut world = World::new(1, &["a"]);
    world.host("a").preflight = Some(Problem::unclassified("access denied"));
    world.need("a");
    assert_eq!(world.phase("a"), None);
    assert_eq!(world.reason("a"), Some("PreflightFailed"));
}

#[test]
fn a_host_that_cannot_be_looked_at_is_neither_in_need_nor_without() {
    let mut world = World::new(1, &["a"]);
    world.host("a").need = Err("permission denied".into());
    world.settle();
    assert_eq!(world.phase("a"), None);
    assert_eq!(world.reason("a"), Some("ProbeError"));
}

#[test]
fn a_cancel_before_the_reboot_rolls_back_and_does_not_start_again_at_once() {
    let mut world = World::new(1, &["a"]);
    world.need("a");
    world.drainer("a", true, 1);
    assert_eq!(world.cancel("a", ""), Handled::Cancelled(CancelEffect::RolledBack));
    world.rebooter("a", true);
    assert!(world.ended_boots.is_empty(), "the record has moved on");
    world.drainer("a", true, 1);
    world.pass(Policy::LATE_EFFECT_MAX);
    assert_eq!(world.phase("a"), Some(Phase::Cancelled));
    assert_eq!(world.reason("a"), Some("CoolingDown"));
}

#[test]
fn a_cancel_after_the_reboot_began_is_refused() {
    let mut world = World::new(1, &["a"]);
    world.need("a");
    world.drainer("a", true, 1);
    world.rebooter("a", false);
    let Handled::Refused(refusal) = world.cancel("a", "") else {
        panic!("the cancel was not refused");
    };
    assert!(refusal.to_string().contains("cannot be taken back"), "{refusal}");
    let Handled::Refused(refusal) = world.cancel("z", "") else {
        panic!("the cancel was not refused");
    };
    assert_eq!(refusal.to_string(), "there is no node z");
}

#[test]
fn a_cordon_of_ours_without_a_record_is_taken_away() {
    let mut world = World::new(1, &["a"]);
    world.need("a");
    world.drainer("a", true, 1);
    world.records.clear();
    world.crash();
    assert_eq!(world.phase("a"), Some(Phase::RollingBack));
    world.drainer("a", true, 1);
    assert!(world.host("a").view.cordoned_for.is_none(), "Way back");
    world.work_until_quiet();
    assert_eq!(world.phase("a"), Some(Phase::Done));
}

#[test]
fn beside_a_rival_nothing_starts_what_is_under_way_goes_on_and_every_need_says_why() {
    let mut world = World::new(1, &["a", "b", "c"]);
    world.need("a");
    world.rivals = [kured(), bellwether()].into();
    world.need("b");
    assert_eq!(world.reason("b"), Some("RivalFound"));
    let said = world.message("b");
    assert!(said.contains("rebooter") && said.contains("and 1 more"), "{said}");
    assert_eq!(world.reason("c"), None, "it needs nothing");
    world.work_until_quiet();
    assert_eq!(world.phase("a"), Some(Phase::Done), "it was under way");
    assert_eq!(world.phase("b"), None);
    world.rivals = [kured()].into();
    world.settle();
    let said = world.message("b");
    assert!(
        said.contains("kube-system/kured") && said.contains("held by node-3"),
        "{said}"
    );
    world.rivals.clear();
    world.settle();
    assert_eq!(world.phase("b"), Some(Phase::Draining));
}

#[test]
fn a_rival_that_is_tolerated_holds_nothing() {
    let mut world = World::new(1, &["a"]);
    world.policy.tolerate_rivals = true;
    world.crash();
    world.rivals = [kured()].into();
    world.need("a");
    assert_eq!(world.phase("a"), Some(Phase::Draining));
}

#[test]
fn the_cordons_of_another_bellwether_stay_even_if_it_is_tolerated() {
    for tolerated in [false, true] {
        let mut world = World::new(2, &["a", "b"]);
        world.policy.tolerate_rivals = tolerated;
        world.crash();
        world.rivals = [bellwether()].into();
        world.rival_cordons("a", true);
        world.pass(MINUTE);
        assert_eq!(world.phase("a"), None);
        // Once it is gone, its mark is an orphan as any other.
        world.rivals.clear();
        world.settle();
        assert_eq!(world.phase("a"), Some(Phase::RollingBack));
    }
}

#[test]
fn a_late_cordon_of_our_own_is_taken_away_beside_another_bellwether() {
    let mut world = World::new(1, &["a"]);
    world.need("a");
    world.host("a").need = Ok(None);
    world.settle();
    world.work_until_quiet();
    assert_eq!(world.phase("a"), Some(Phase::Cancelled));
    // The drainer of that attempt was slow.
    let attempt = world.records[&name("a")].id;
    world.host("a").view.cordoned_for = Some(attempt);
    world.host("a").view.unschedulable = true;
    world.rivals = [bellwether()].into();
    world.pass(MINUTE);
    assert_eq!(world.phase("a"), Some(Phase::RollingBack));
}

#[test]
fn a_record_that_cannot_be_read_keeps_its_slot_and_its_node_is_left_alone() {
    let mut world = World::new(1, &["a", "b"]);
    world.give(Input::UnreadableAttempt {
        node: name("a"),
        problem: "field phase is wrong".into(),
    });
    world.need("a");
    world.need("b");
    assert_eq!(world.reason("a"), Some("RecordUnreadable"));
    assert_eq!(world.reason("b"), Some("NoSlot"));
}

#[test]
fn reports_that_stop_coming_are_not_acted_on() {
    let mut world = World::new(1, &["a"]);
    world.need("a");
    world.drainer("a", false, 1);
    world.drainer("a", true, 1);
    // Only the clock goes on: nobody reports.
    let later = world.now.checked_add(SignedDuration::from_hours(9)).unwrap();
    world.fleet.advance(later);
    let (_, standing) = world.fleet.standings().next().unwrap();
    assert_eq!(
        standing.reason.as_ref().map(bellwether_scheduler_core::Reason::code),
        Some("ReportStale")
    );
}

#[test]
fn a_new_leader_hears_what_was_said_before_it_calls_anything_overdue() {
    let mut world = World::new(1, &["a"]);
    world.need("a");
    world.drainer("a", true, 1);
    world.rebooter("a", true);
    assert_eq!(world.phase("a"), Some(Phase::Uncordoning));
    // Nobody leads for an hour; the drainer has uncordoned, and its word waits.
    world.now = world.now.checked_add(SignedDuration::from_hours(1)).unwrap();
    world.crash();
    assert_eq!(world.phase("a"), Some(Phase::Uncordoning));
    world.drainer("a", true, 1);
    assert_eq!(world.phase("a"), Some(Phase::Soaking));
}

#[test]
fn a_node_that_was_not_ready_in_its_soak_soaks_on() {
    let mut world = World::new(1, &["a"]);
    world.need("a");
    world.drainer("a", true, 1);
    world.rebooter("a", true);
    world.drainer("a", true, 1);
    world.pass(SignedDuration::from_secs(20));
    let now = world.now;
    world.host("a").view.ready_since = Some(now);
    world.settle();
    world.pass(world.policy.soak - SignedDuration::from_secs(1));
    assert_eq!(world.phase("a"), Some(Phase::Soaking));
    world.pass(SignedDuration::from_secs(1));
    assert_eq!(world.phase("a"), Some(Phase::Done));
}

#[test]
fn a_new_boot_without_a_ready_node_is_no_success() {
    let mut world = World::new(1, &["a"]);
    world.need("a");
    world.drainer("a", true, 1);
    world.rebooter_then("a", true, false);
    assert_eq!(world.phase("a"), Some(Phase::Verifying));
    world.pass(world.policy.verify_timeout);
    assert_eq!(world.phase("a"), Some(Phase::Failed));
    assert!(
        world.host("a").view.cordoned_for.is_some(),
        "nothing is scheduled to it"
    );
    world.host("a").view.ready = true;
    world.settle();
    assert_eq!(world.phase("a"), Some(Phase::Uncordoning), "it came back late");
}

#[test]
fn a_late_return_without_its_sentinel_is_rolled_back_in_time_though_nothing_else_happens() {
    let mut world = World::new(1, &["a"]);
    world.need("a");
    world.drainer("a", true, 1);
    world.host("a").view.ready = false;
    world.pass(world.policy.reboot_timeout);
    assert_eq!(world.reason("a"), Some("NodeNotBack"));
    // The kubelet comes back in a new boot; the sentinel never does.
    let mut view = world.host("a").view.clone();
    view.boot_id = Some("boot-late".parse().unwrap());
    view.ready = true;
    view.ready_since = Some(world.now);
    world.give(Input::Node(view));
    world.advance();
    let due = world.now + world.policy.verify_timeout;
    assert_eq!(world.fleet.poll_timeout(), Some(due));
    world.now = due;
    world.advance();
    assert_eq!(world.phase("a"), Some(Phase::RollingBack));
}

#[test]
fn a_pause_with_an_end_ends_by_itself() {
    let mut world = World::new(1, &["a"]);
    world.pause("disks");
    let mut control = world.control.clone().unwrap();
    let until = world.now + MINUTE;
    control.orders[0].until = Some(until);
    world.control = Some(control);
    world.crash();
    world.need("a");
    assert_eq!(world.reason("a"), Some("Paused"));
    assert!(world.message("a").contains("until"), "{}", world.message("a"));
    world.now = until;
    world.settle();
    assert_eq!(world.phase("a"), Some(Phase::Draining));
    assert!(
        !world.control.as_ref().unwrap().paused(),
        "the stored order is gone too"
    );
}

#[test]
fn the_place_in_the_queue_is_that_of_the_moment_in_which_it_is_read() {
    let mut world = World::new(1, &["a", "b", "c"]);
    for node in ["a", "b", "c"] {
        world.need(node);
    }
    assert!(
        world.message("c").contains("number 2 in the queue"),
        "{}",
        world.message("c")
    );
    assert!(world.message("c").contains("a (Draining)"), "{}", world.message("c"));
    world.host("b").need = Ok(None);
    world.drainer("a", true, 1);
    assert!(
        world.message("c").contains("number 1 in the queue"),
        "{}",
        world.message("c")
    );
    assert!(world.message("c").contains("a (Rebooting)"), "{}", world.message("c"));
}
