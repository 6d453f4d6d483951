//! Stories of attempts that end at the same obstacle again and again.

use bellwether_proto::{Obstacle, ObstacleKind, Phase};
use bellwether_scheduler_core::{CancelEffect, Handled};
use jiff::SignedDuration;

use crate::world::{World, name};

const MINUTE: SignedDuration = SignedDuration::from_mins(1);

#[expect(clippy::unnecessary_wraps, reason = "the field that it fills is optional")]
fn budget(owner: &str, pod: &str) -> Option<Obstacle> {
    Some(Obstacle {
        kind: ObstacleKind::Budget,
        namespace: "shop".into(),
        owner: owner.into(),
        pod: pod.into(),
    })
}

fn needing() -> World {
    let mut world = World::new(1, &["a"]);
    world.need("a");
    world
}

/// The drain of the node fails at this obstacle, and the attempt ends.
fn fail_at(world: &mut World, obstacle: Option<Obstacle>) {
    assert_eq!(world.phase("a"), Some(Phase::Draining), "{:?}", world.reason("a"));
    world.host("a").obstacle = obstacle;
    world.drainer("a", false, 1);
    world.drainer("a", true, 1);
    world.pass(MINUTE);
    assert_eq!(world.phase("a"), Some(Phase::Failed));
}

/// Waits for the next try, and returns how long that took.
fn next_try(world: &mut World) -> SignedDuration {
    let began = world.now;
    let until = world.records[&name("a")].retry_not_before.unwrap();
    world.pass(until.duration_since(began));
    assert_eq!(world.phase("a"), Some(Phase::Draining));
    until.duration_since(began)
}

#[test]
fn from_the_third_time_on_a_node_that_ends_at_one_obstacle_is_left_alone_for_the_longest_time() {
    let mut world = needing();
    for (pod, minutes) in [("web-1", 10), ("web-2", 20)] {
        fail_at(&mut world, budget("ReplicaSet/web", pod));
        assert_eq!(world.reason("a"), Some("CoolingDown"));
        assert_eq!(next_try(&mut world), MINUTE * minutes);
    }
    // Another leader continues the count.
    world.crash();
    fail_at(&mut world, budget("ReplicaSet/web", "web-3"));
    assert_eq!(world.reason("a"), Some("SameObstacle"));
    let message = world.message("a");
    let words = "3 attempts in a row ended at the disruption budget of ReplicaSet/web in namespace shop (pod web-3)";
    assert!(message.starts_with(words), "{message}");
    assert_eq!(next_try(&mut world), SignedDuration::from_hours(8));
    fail_at(&mut world, budget("ReplicaSet/web", "web-4"));
    assert!(world.message("a").starts_with("4 attempts"), "{}", world.message("a"));
}

#[test]
fn a_cancel_ends_the_wait_and_the_count() {
    let mut world = needing();
    for _ in 0..3 {
        fail_at(&mut world, budget("ReplicaSet/web", "web-1"));
        if world.reason("a") == Some("CoolingDown") {
            next_try(&mut world);
        }
    }
    assert_eq!(world.reason("a"), Some("SameObstacle"));
    assert_eq!(world.cancel("a", ""), Handled::Cancelled(CancelEffect::WaitEnded));
    world.settle();
    fail_at(&mut world, budget("ReplicaSet/web", "web-1"));
    assert_eq!(world.reason("a"), Some("CoolingDown"));
}

#[test]
fn another_obstacle_begins_a_count_of_its_own_and_so_does_an_end_without_one() {
    let mut world = needing();
    let web = || budget("ReplicaSet/web", "web-1");
    for obstacle in [
        web(),
        web(),
        budget("StatefulSet/db", "db-0"),
        web(),
        web(),
        None,
        web(),
        web(),
    ] {
        fail_at(&mut world, obstacle.clone());
        assert_eq!(world.reason("a"), Some("CoolingDown"), "{obstacle:?}");
        next_try(&mut world);
    }
    fail_at(&mut world, web());
    assert_eq!(world.reason("a"), Some("SameObstacle"));
}

#[test]
fn a_drainer_that_falls_silent_neither_counts_nor_ends_the_count() {
    let mut world = needing();
    let web = || budget("ReplicaSet/web", "web-1");
    fail_at(&mut world, web());
    next_try(&mut world);
    fail_at(&mut world, web());
    next_try(&mut world);
    world.commands.clear();
    world.pass(world.policy.drain_timeout + MINUTE);
    // Those of the drain are out of date by now.
    while world.commands.values().any(|commands| !commands.is_empty()) {
        world.drainer("a", true, 1);
    }
    world.pass(MINUTE);
    assert_eq!(world.phase("a"), Some(Phase::Failed), "{:?}", world.reason("a"));
    assert_eq!(world.reason("a"), Some("CoolingDown"));
    next_try(&mut world);
    fail_at(&mut world, web());
    assert_eq!(world.reason("a"), Some("SameObstacle"));
}

#[test]
fn a_completed_reboot_ends_the_count() {
    let mut world = needing();
    let web = || budget("ReplicaSet/web", "web-1");
    for _ in 0..2 {
        fail_at(&mut world, web());
        next_try(&mut world);
    }
    world.work_until_quiet();
    assert_eq!(world.phase("a"), Some(Phase::Done));
    assert_eq!(world.records[&name("a")].obstacle_run, None);
    world.pass(MINUTE * 60);
    world.need("a");
    fail_at(&mut world, web());
    assert_eq!(world.reason("a"), Some("CoolingDown"));
}
