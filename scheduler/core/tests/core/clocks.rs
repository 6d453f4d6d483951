//! Stories of clocks: of a host that is ahead or behind, and of a leader whose clock was wrong for a moment.

use bellwether_proto::Phase;
use bellwether_scheduler_core::Policy;
use jiff::SignedDuration;

use crate::world::{World, name};

const YEAR: SignedDuration = SignedDuration::from_hours(24 * 365);

#[test]
fn a_reload_does_not_begin_a_soak_again() {
    let mut world = World::new(1, &["a"]);
    world.need("a");
    world.drainer("a", true, 1);
    world.rebooter("a", true);
    world.drainer("a", true, 1);
    assert_eq!(world.phase("a"), Some(Phase::Soaking));
    world.pass(world.policy.soak / 2);
    world.reload();
    world.pass(world.policy.soak / 2);
    assert_eq!(world.phase("a"), Some(Phase::Done));
}

#[test]
fn the_soak_is_measured_by_the_schedulers_clock() {
    for ahead in [-SignedDuration::from_hours(1), SignedDuration::from_hours(1)] {
        let mut world = World::new(1, &["a"]);
        world.need("a");
        world.drainer("a", true, 1);
        world.rebooter("a", true);
        let now = world.now;
        world.host("a").view.ready_since = Some(now + ahead);
        world.drainer("a", true, 1);
        assert_eq!(world.phase("a"), Some(Phase::Soaking));
        world.pass(world.policy.soak - SignedDuration::from_secs(1));
        assert_eq!(world.phase("a"), Some(Phase::Soaking), "{ahead:#}");
        world.pass(SignedDuration::from_secs(1));
        assert_eq!(world.phase("a"), Some(Phase::Done), "{ahead:#}");
    }
}

/// Something is written while the leader's clock is a year ahead; then the clock is right again, for the
/// same leader and for the next one.
fn with_a_wrong_clock(happens: impl Fn(&mut World)) -> [World; 2] {
    [false, true].map(|crash| {
        let mut world = World::new(1, &["a"]);
        let right = world.now;
        world.now += YEAR;
        happens(&mut world);
        world.now = right + SignedDuration::from_mins(1);
        if crash {
            world.crash();
        } else {
            world.settle();
        }
        world
    })
}

#[test]
fn a_wait_that_a_wrong_clock_wrote_ends_as_any_other() {
    let worlds = with_a_wrong_clock(|world| {
        world.need("a");
        world.drainer("a", false, 1);
        world.drainer("a", true, 1);
        world.pass(Policy::LATE_EFFECT_MAX);
        assert_eq!(world.phase("a"), Some(Phase::Failed));
    });
    for mut world in worlds {
        assert_eq!(world.reason("a"), Some("CoolingDown"));
        world.pass(world.policy.retry_delay);
        assert_eq!(world.phase("a"), Some(Phase::Draining));
    }
}

#[test]
fn a_deadline_that_a_wrong_clock_wrote_ends_as_any_other() {
    let worlds = with_a_wrong_clock(|world| world.need("a"));
    for mut world in worlds {
        assert_eq!(world.phase("a"), Some(Phase::Draining));
        world.pass(world.policy.drain_timeout + SignedDuration::from_mins(1));
        assert_eq!(world.phase("a"), Some(Phase::RollingBack));
    }
    let worlds = with_a_wrong_clock(|world| {
        world.need("a");
        world.drainer("a", true, 1);
        assert_eq!(world.phase("a"), Some(Phase::Rebooting));
    });
    for world in worlds {
        let record = &world.records[&name("a")];
        let latest = world.now + world.policy.reboot_start_timeout;
        assert!(
            record.reboot_not_after.unwrap() <= latest,
            "the rebooter may act for a year"
        );
        assert!(record.history.iter().all(|entered| entered.at <= world.now));
    }
}

#[test]
fn a_cordon_that_was_left_behind_is_taken_away_though_a_wrong_clock_ended_its_attempt() {
    let worlds = with_a_wrong_clock(|world| {
        world.need("a");
        world.drainer("a", false, 1);
        world.drainer("a", true, 1);
    });
    for mut world in worlds {
        let attempt = world.records[&name("a")].id;
        world.host("a").view.cordoned_for = Some(attempt);
        world.host("a").view.unschedulable = true;
        world.pass(SignedDuration::from_mins(1));
        assert_eq!(world.phase("a"), Some(Phase::RollingBack));
    }
}

#[test]
fn a_new_leader_is_patient_for_its_grace_and_not_for_a_year() {
    let mut world = World::new(1, &["a"]);
    world.need("a");
    let right = world.now;
    world.now += YEAR;
    world.crash();
    world.now = right;
    world.settle();
    world.pass(world.policy.drain_timeout + SignedDuration::from_mins(2));
    assert_eq!(world.phase("a"), Some(Phase::RollingBack));
}
