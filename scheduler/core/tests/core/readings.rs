//! What operators and metrics read of the fleet: each reading is of the node that was asked for, and of now.

use bellwether_proto::{DrainFailure, DrainProgress, DrainReport, Fact, Phase};
use jiff::SignedDuration;

use crate::world::{World, kured, name};

#[test]
fn the_readings_of_an_empty_fleet_are_empty() {
    let world = World::new(3, &["a"]);
    assert_eq!(world.fleet.slots(), 3);
    assert_eq!(world.fleet.control(), None);
    assert_eq!(world.fleet.rivals(), None);
    assert_eq!(world.fleet.attempt(&name("a")), None);
    assert_eq!(world.fleet.attempts().count(), 0);
    assert_eq!(world.fleet.drain(&name("a")), None);
    assert_eq!(world.fleet.rebooter(&name("b")), None);
}

#[test]
fn each_reading_is_of_the_node_that_was_asked_for() {
    let mut world = World::new(2, &["a", "b"]);
    world.need("a");
    assert_eq!(world.fleet.rebooter(&name("a")).unwrap().report.node, name("a"));
    assert_eq!(world.fleet.attempt(&name("a")), world.records.get(&name("a")));
    assert_eq!(
        world.fleet.attempts().collect::<Vec<_>>(),
        world.records.values().collect::<Vec<_>>()
    );
    world.pause("looking");
    let orders = &world.fleet.control().unwrap().orders;
    assert_eq!(orders[0].reason, "looking");
    world.rivals.insert(kured());
    world.settle();
    assert!(world.fleet.rivals().unwrap().message().contains("kured"));
}

#[test]
fn the_progress_of_a_drain_is_read_while_the_node_drains_and_is_the_reason_for_that_time() {
    let mut world = World::new(1, &["a"]);
    world.need("a");
    let record = world.records[&name("a")].clone();
    let progress = Fact::DrainProgressed(DrainProgress {
        pods_left: 2,
        pods_gone: 5,
        held_up_by: vec!["budget web".into()],
        blockers: vec![],
    });
    world.say(&name("a"), progress, record.generation, record.id);
    let drain = world.fleet.drain(&name("a")).unwrap();
    assert_eq!((drain.pods_left, drain.pods_gone), (2, 5));
    assert_eq!(world.message("a"), "2 pods left, 5 gone; held up by budget web");
    world.drainer("a", true, 1);
    assert_eq!(world.phase("a"), Some(Phase::Rebooting));
    assert_eq!(world.fleet.drain(&name("a")), None);
    assert!(!world.message("a").contains("after:"), "{}", world.message("a"));
    world.cancel("a", "not tonight");
    world.settle();
    assert!(
        world.message("a").ends_with(", after: cancelled by me: not tonight"),
        "{}",
        world.message("a")
    );
}

#[test]
fn d51_the_report_of_a_drain_stays_with_its_attempt_and_the_next_attempt_begins_without_one() {
    let report = |seconds| {
        Some(Box::new(DrainReport {
            seconds,
            pods_gone: 3,
            ..DrainReport::default()
        }))
    };
    let mut world = World::new(1, &["a"]);
    world.need("a");
    let record = world.records[&name("a")].clone();
    let drained = |seconds| Fact::Drained {
        pods_gone: 3,
        pods_left: 0,
        pods_returning: 0,
        message: String::new(),
        report: report(seconds),
    };
    world.say(&name("a"), drained(7), record.generation, record.id);
    assert_eq!(world.records[&name("a")].drain_report, report(7));
    let failed = Fact::DrainFailed {
        failure: DrainFailure::Timeout,
        message: "a budget".into(),
        obstacle: None,
        report: report(90),
    };
    world.say(&name("a"), failed, record.generation, record.id);
    assert_eq!(world.phase("a"), Some(Phase::RollingBack));
    world.say(&name("a"), drained(8), record.generation, record.id);
    assert_eq!(
        world.records[&name("a")].drain_report,
        report(90),
        "of another generation"
    );
    // The command to drain that is void, then the one to uncordon.
    world.drainer("a", true, 1);
    world.drainer("a", true, 1);
    world.pass(SignedDuration::from_mins(1));
    let ended = world.records[&name("a")].clone();
    assert_eq!((ended.phase, ended.drain_report), (Phase::Failed, report(90)));
    world.pass(SignedDuration::from_mins(10));
    let next = &world.records[&name("a")];
    assert_ne!(next.id, record.id);
    assert_eq!(next.drain_report, None);
}
