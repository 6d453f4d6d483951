//! Stories of needs that survive their reboot: no reboot is repeated, and no new need is refused.

use bellwether_proto::Phase;
use bellwether_scheduler_core::Policy;
use jiff::{SignedDuration, Timestamp};

use crate::world::{AtBoot, World};

const HOUR: SignedDuration = SignedDuration::from_hours(1);

/// Takes the node from its drain to Done, and lets the wait after a reboot pass.
fn reboot(world: &mut World) {
    world.drainer("a", true, 1);
    world.rebooter("a", true);
    world.drainer("a", true, 1);
    world.pass(world.policy.soak);
    assert_eq!(world.phase("a"), Some(Phase::Done));
    world.pass(HOUR);
}

/// Takes the node from its drain to a reboot that its host ignores.
fn be_ignored(world: &mut World) {
    world.drainer("a", true, 1);
    world.rebooter("a", false);
    world.pass(world.policy.reboot_timeout);
    world.drainer("a", true, 1);
    assert_eq!(world.reason("a"), Some("RebootIgnored"));
}

fn need_since(world: &mut World, since: Timestamp) {
    world.host("a").need = Ok(Some(since));
    world.settle();
}

#[test]
fn a_need_that_began_at_the_very_begin_of_the_reboot_is_no_new_one() {
    let mut world = World::new(1, &["a"]);
    world.need("a");
    world.host("a").at_boot = AtBoot::Comes;
    // The file is written a second after the boot, by a clock that is ahead by that second.
    world.host("a").clock_ahead = SignedDuration::from_secs(1);
    world.drainer("a", true, 1);
    world.rebooter("a", true);
    world.drainer("a", true, 1);
    world.pass(SignedDuration::from_mins(1));
    assert_eq!(world.phase("a"), Some(Phase::Done));
    assert_eq!(world.reason("a"), Some("NeedSurvivedReboot"));
}

#[test]
fn a_need_that_survives_its_reboot_does_not_loop() {
    let mut world = World::new(1, &["a"]);
    world.host("a").at_boot = AtBoot::Survives;
    world.need("a");
    reboot(&mut world);
    assert_eq!(
        (world.phase("a"), world.reason("a")),
        (Some(Phase::Done), Some("NeedSurvivedReboot"))
    );
    world.need("a");
    assert_eq!(world.phase("a"), Some(Phase::Draining), "a newer need is another need");
}

#[test]
fn a_need_without_a_time_that_was_there_from_the_first_look_of_the_boot_on_does_not_loop() {
    for undated in [true, false] {
        let mut world = World::new(1, &["a"]);
        world.need("a");
        world.host("a").at_boot = AtBoot::Survives;
        world.drainer("a", true, 1);
        // The sentinel of the new boot notes its first look as the begin: a later time than any before.
        world.host("a").undated = undated;
        world.rebooter("a", true);
        world.pass(SignedDuration::from_secs(1));
        let now = world.now;
        need_since(&mut world, now);
        world.drainer("a", true, 1);
        world.pass(world.policy.soak);
        world.pass(HOUR);
        assert_eq!(world.reason("a") == Some("NeedSurvivedReboot"), undated);
        if !undated {
            assert_eq!(world.phase("a"), Some(Phase::Draining), "by its time it is a new one");
            continue;
        }
        world.host("a").undated = false;
        world.host("a").need = Ok(None);
        world.settle();
        world.need("a");
        assert_eq!(world.phase("a"), Some(Phase::Draining), "another need");
    }
}

#[test]
fn a_need_that_was_renewed_during_the_drain_and_survives_does_not_loop() {
    let mut world = World::new(1, &["a"]);
    world.host("a").at_boot = AtBoot::Survives;
    world.need("a");
    world.need("a");
    reboot(&mut world);
    assert_eq!(world.reason("a"), Some("NeedSurvivedReboot"));
}

#[test]
fn a_surviving_need_is_recognised_whatever_the_clocks_of_host_and_server_show() {
    // A report that waits for NATS makes the host's clock look behind, as does a clock that was set back.
    for behind in [-HOUR, HOUR] {
        let mut world = World::new(1, &["a"]);
        world.host("a").at_boot = AtBoot::Survives;
        world.need("a");
        world.pass(SignedDuration::from_mins(1));
        // Renewed in the drain.
        world.need("a");
        world.drainer("a", true, 1);
        world.host("a").clock_ahead = -behind;
        world.rebooter("a", true);
        world.drainer("a", true, 1);
        world.pass(world.policy.soak);
        world.pass(HOUR);
        assert_eq!(world.reason("a"), Some("NeedSurvivedReboot"), "{behind}");
    }
}

#[test]
fn a_need_that_the_old_boot_wrote_in_its_last_seconds_and_never_reported_survives_and_does_not_loop() {
    let mut world = World::new(1, &["a"]);
    world.host("a").at_boot = AtBoot::Survives;
    world.need("a");
    world.drainer("a", true, 1);
    world.rebooter("a", false);
    world.now += SignedDuration::from_secs(1);
    // No report: the host goes down.
    let written = world.now;
    world.host("a").need = Ok(Some(written));
    world.now += SignedDuration::from_secs(1);
    world.boot("a", true);
    world.drainer("a", true, 1);
    world.pass(world.policy.soak);
    world.pass(HOUR);
    assert_eq!(
        (world.phase("a"), world.reason("a")),
        (Some(Phase::Done), Some("NeedSurvivedReboot"))
    );
    // The next boot is not ours, and its need came before any report.
    world.host("a").at_boot = AtBoot::Comes;
    world.boot("a", true);
    assert_eq!(world.phase("a"), Some(Phase::Draining));
}

#[test]
fn a_need_that_began_in_this_boot_before_any_report_is_new() {
    let mut world = World::new(1, &["a"]);
    world.host("a").at_boot = AtBoot::Comes;
    world.need("a");
    reboot(&mut world);
    assert_eq!(world.phase("a"), Some(Phase::Draining));
}

#[test]
fn a_report_without_need_is_not_forgotten_by_a_reload() {
    let mut world = World::new(1, &["a"]);
    world.need("a");
    let old = world.now - HOUR;
    be_ignored(&mut world);
    // The host reboots late, without a need; the next need comes before the slot is released.
    world.boot("a", true);
    need_since(&mut world, old);
    world.reload();
    world.pass(world.policy.soak);
    world.pass(HOUR);
    assert_eq!(world.phase("a"), Some(Phase::Draining));
}

#[test]
fn a_late_report_of_the_old_boot_counts_for_a_reboot_that_the_kubelet_has_shown_already() {
    let mut world = World::new(1, &["a"]);
    world.host("a").at_boot = AtBoot::Survives;
    world.need("a");
    world.drainer("a", true, 1);
    world.rebooter("a", false);
    // The view of the new boot is here before the old boot's last report.
    let mut view = world.host("a").view.clone();
    view.boot_id = Some("boot-new".parse().unwrap());
    view.ready = false;
    world.give(bellwether_scheduler_core::Input::Node(view));
    world.advance();
    assert_eq!(world.phase("a"), Some(Phase::Verifying));
    world.now += SignedDuration::from_secs(1);
    let renewed = world.now;
    need_since(&mut world, renewed);
    // The clock of the host looks behind.
    world.host("a").clock_ahead = -HOUR;
    world.host("a").view.boot_id = Some("boot-new".parse().unwrap());
    world.settle();
    world.drainer("a", true, 1);
    world.pass(world.policy.soak);
    world.pass(HOUR);
    assert_eq!(
        (world.phase("a"), world.reason("a")),
        (Some(Phase::Done), Some("NeedSurvivedReboot"))
    );
}

#[test]
fn a_need_with_an_older_file_time_is_new_if_this_boot_was_without_need_before() {
    let mut world = World::new(1, &["a"]);
    let old = world.now - HOUR;
    world.need("a");
    reboot(&mut world);
    need_since(&mut world, old);
    assert_eq!(world.phase("a"), Some(Phase::Draining));
}

#[test]
fn what_this_boot_reported_is_known_to_the_next_leader() {
    let mut world = World::new(1, &["a"]);
    let old = world.now - HOUR;
    world.need("a");
    reboot(&mut world);
    // The report without a need is replaced by one with a need before the next leader loads.
    world.host("a").need = Ok(Some(old));
    world.crash();
    assert_eq!(world.phase("a"), Some(Phase::Draining));
}

#[test]
fn the_clock_of_the_host_makes_no_surviving_need_new_and_no_new_one_old() {
    for hours in [-1, 1] {
        let ahead = SignedDuration::from_hours(hours);
        let mut world = World::new(1, &["a"]);
        world.host("a").clock_ahead = ahead;
        world.host("a").at_boot = AtBoot::Survives;
        let (first, renewed) = (world.now + ahead, world.now + SignedDuration::from_secs(1) + ahead);
        need_since(&mut world, first);
        world.pass(SignedDuration::from_secs(1));
        need_since(&mut world, renewed);
        reboot(&mut world);
        assert_eq!(world.reason("a"), Some("NeedSurvivedReboot"), "{hours} h");
        let now = world.now;
        need_since(&mut world, now + ahead);
        assert_eq!(world.phase("a"), Some(Phase::Draining), "{hours} h");
    }
}

#[test]
fn the_guard_outlives_the_attempts_that_follow_the_reboot() {
    // An orphan's record, a failed drain and a cancel: each replaces the record of the reboot.
    let orphan = |world: &mut World| {
        let attempt = world.records.values().next().unwrap().id;
        world.host("a").view.cordoned_for = Some(attempt);
        world.host("a").view.unschedulable = true;
        world.pass(SignedDuration::from_mins(1));
        assert_eq!(world.phase("a"), Some(Phase::RollingBack));
        world.drainer("a", true, 1);
    };
    let failed = |world: &mut World| {
        world.need("a");
        world.drainer("a", false, 1);
        world.drainer("a", true, 1);
        world.pass(Policy::LATE_EFFECT_MAX);
        assert_eq!(world.phase("a"), Some(Phase::Failed));
    };
    for (name, replaces) in [("orphan", orphan as fn(&mut World)), ("failed drain", failed)] {
        let mut world = World::new(1, &["a"]);
        world.host("a").at_boot = AtBoot::Survives;
        world.need("a");
        let since = world.now;
        reboot(&mut world);
        replaces(&mut world);
        need_since(&mut world, since);
        world.pass(HOUR);
        assert_eq!(world.reason("a"), Some("NeedSurvivedReboot"), "{name}");
    }
}

#[test]
fn a_reboot_after_the_end_of_its_attempt_counts_for_the_guard() {
    let mut world = World::new(1, &["a"]);
    world.need("a");
    world.host("a").at_boot = AtBoot::Survives;
    be_ignored(&mut world);
    // The shutdown took longer than the deadline.
    world.boot("a", true);
    world.pass(HOUR);
    assert_eq!(world.reason("a"), Some("NeedSurvivedReboot"));
}

#[test]
fn a_reboot_after_an_operator_has_released_its_slot_counts_for_the_guard() {
    // The host comes back with our cordon, which an orphan's record takes away, or without.
    for cordoned in [false, true] {
        let mut world = World::new(1, &["a"]);
        world.host("a").at_boot = AtBoot::Survives;
        world.need("a");
        world.drainer("a", true, 1);
        world.rebooter("a", false);
        world.host("a").view.ready = false;
        world.pass(world.policy.reboot_timeout);
        assert_eq!(world.reason("a"), Some("NodeNotBack"));
        world.cancel("a", "");
        if !cordoned {
            world.host("a").view.unschedulable = false;
            world.host("a").view.cordoned_for = None;
        }
        world.pass(SignedDuration::from_mins(1));
        world.boot("a", true);
        world.pass(SignedDuration::from_mins(1));
        world.drainer("a", true, 1);
        world.pass(HOUR);
        assert_eq!(world.reason("a"), Some("NeedSurvivedReboot"), "cordoned: {cordoned}");
    }
}

#[test]
fn a_reboot_by_others_after_the_proof_is_not_taken_for_our_own() {
    let mut world = World::new(1, &["a"]);
    world.need("a");
    let old = world.now - HOUR;
    world.drainer("a", true, 1);
    world.rebooter("a", true);
    world.drainer("a", true, 1);
    assert_eq!(world.phase("a"), Some(Phase::Soaking));
    world.boot("a", true);
    need_since(&mut world, old);
    world.pass(world.policy.soak);
    assert_eq!(world.phase("a"), Some(Phase::Done));
    world.pass(HOUR);
    assert_eq!(world.phase("a"), Some(Phase::Draining), "the need came in another boot");
}

#[test]
fn a_need_that_came_before_the_proof_of_the_reboot_and_after_a_report_without_need_is_new() {
    let mut world = World::new(1, &["a"]);
    world.need("a");
    let old = world.now - HOUR;
    world.drainer("a", true, 1);
    // The sentinel reports no need in the new boot; then the need comes, and only then is the node Ready.
    world.rebooter_then("a", true, false);
    need_since(&mut world, old);
    world.host("a").view.ready = true;
    world.settle();
    world.drainer("a", true, 1);
    world.pass(world.policy.soak);
    assert_eq!(world.phase("a"), Some(Phase::Done));
    world.pass(HOUR);
    assert_eq!(world.phase("a"), Some(Phase::Draining));
}

#[test]
fn a_reboot_that_was_not_proved_counts_for_the_guard() {
    // The kubelet is back in a new boot, and the sentinel only after the attempt was rolled back.
    let mut world = World::new(1, &["a"]);
    world.need("a");
    let since = world.now;
    world.drainer("a", true, 1);
    world.rebooter("a", false);
    let mut view = world.host("a").view.clone();
    view.boot_id = Some("boot-new".parse().unwrap());
    world.give(bellwether_scheduler_core::Input::Node(view.clone()));
    world.advance();
    assert_eq!(world.phase("a"), Some(Phase::Verifying));
    world.now += world.policy.verify_timeout;
    world.advance();
    assert_eq!(world.phase("a"), Some(Phase::RollingBack));
    world.host("a").view.boot_id = view.boot_id;
    world.host("a").need = Ok(Some(since));
    world.drainer("a", true, 1);
    world.pass(HOUR);
    assert_eq!(
        (world.phase("a"), world.reason("a")),
        (Some(Phase::Failed), Some("NeedSurvivedReboot"))
    );
}
