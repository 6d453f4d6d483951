//! Stories of pods that come back to the cordoned node. Times are seconds since the begin.

use bellwether_drainer_core::pod::controller::Controller;
use bellwether_drainer_core::{Answer, CommandEnd, Drain, PodView};
use bellwether_proto::{ObstacleKind, ReturnedPods};

use crate::stories::held_up_by;
use crate::world::{Response, World, at, pod};

/// Seconds after which each pod of these stories has ended, once evicted.
const GRACE: i64 = 1;

#[test]
fn d51_a_pod_that_always_comes_back_is_evicted_four_times_then_stays_and_the_drain_ends() {
    let mut world = World::drain(600, &[pod("web-0")]);
    let evictions = evictions_by_second(&mut world, 40);
    assert_eq!(evictions, [(0, 1), (1, 2), (6, 3), (21, 4)]);
    let (ended_at, returning, sentence) = drained(&world);
    assert_eq!((ended_at, returning), (at(21), 1));
    let owner = "1 of ReplicaSet/r in namespace shop";
    assert!(sentence.ends_with(owner), "{sentence}");
    let Some((_, CommandEnd::Drained { report, staying, .. })) = &world.end else {
        unreachable!("{:?}", world.end)
    };
    let returned = ReturnedPods {
        namespace: "shop".to_owned(),
        owner: "ReplicaSet/r".to_owned(),
        pods: 4,
    };
    assert_eq!((&report.returned[..], report.staying), (&[returned][..], *staying));
    let numbers = (report.seconds, report.pods_gone, report.evictions, report.pods_left);
    assert_eq!(numbers, (21, 4, 4, 0));
}

#[test]
fn all_pods_of_an_owner_share_its_rounds() {
    let mut world = World::drain(600, &[pod("web-0"), pod("web-1"), pod("web-2")]);
    let evictions = evictions_by_second(&mut world, 40);
    // The first one that comes back begins the first round; those after it wait for the next one.
    assert_eq!(evictions, [(0, 3), (1, 4), (6, 7), (21, 10)]);
    let (_, returning, sentence) = drained(&world);
    assert_eq!(returning, 3);
    assert!(sentence.contains("3 of ReplicaSet/r"), "{sentence}");
}

#[test]
fn a_pod_between_two_rounds_keeps_the_drain_open_and_is_named_as_its_obstacle() {
    let mut world = World::drain(15, &[pod("web-0")]);
    evictions_by_second(&mut world, 14);
    let sentence = &held_up_by(&world)[0];
    assert!(
        sentence.contains("ReplicaSet/r puts pods onto the cordoned node"),
        "{sentence}"
    );
    world.pass(1);
    let Some((_, CommandEnd::DrainFailed { message, obstacle, .. })) = &world.end else {
        unreachable!("{:?}", world.end)
    };
    assert!(message.contains("1 still there"), "{message}");
    let obstacle = obstacle.clone().unwrap();
    assert_eq!(
        (obstacle.kind, &*obstacle.owner),
        (ObstacleKind::Returning, "ReplicaSet/r")
    );
}

#[test]
fn pods_without_a_controller_come_back_by_their_name() {
    let mut bare = pod("tool");
    bare.controller = None;
    let mut world = World::drain(600, &[bare]);
    let evictions = evictions_by_second(&mut world, 40);
    assert_eq!(evictions.last(), Some(&(21, 4)));
    assert!(drained(&world).2.contains("1 of pod tool in namespace shop"));
}

#[test]
fn a_pod_of_another_owner_or_of_one_whose_pods_were_not_evicted_has_not_come_back() {
    let mut world = World::drain(600, &[pod("web-0")]);
    world.eviction_answer = Answer::BudgetBlocked("b".to_owned());
    world.pass(3);
    // More pods come for good reason: none of them replaces an evicted one.
    for second in 0..6 {
        world.put_pod(pod(&format!("web-more-{second}")));
        world.pass(1);
    }
    assert!(
        world.evicted.iter().any(|uid| uid == "web-more-5"),
        "{:?}",
        world.evicted
    );
    world.eviction_answer = Answer::Accepted;
    evictions_by_second(&mut world, 60);
    let other = of_another_owner("other");
    let mut world = World::drain(600, &[pod("web-0")]);
    evictions_by_second(&mut world, 10);
    world.put_pod(other);
    world.pass(0);
    assert_eq!(world.evicted.last().unwrap(), "other", "at once");
}

#[test]
fn d9_a_second_cordon_lets_the_rounds_begin_again() {
    let mut world = World::drain(600, &[pod("web-0")]);
    evictions_by_second(&mut world, 14);
    assert_eq!(world.evicted.len(), 3);
    // An operator uncordons the node: any pod may come.
    world.change_node(|node| node.is_unschedulable = false);
    world.pass(0);
    assert_eq!(world.evicted.len(), 4, "without a wait");
    evictions_by_second(&mut world, 60);
    assert_eq!(world.evicted.len(), 7, "three rounds more");
    assert_eq!(drained(&world).1, 1);
}

#[test]
fn a_pod_of_a_round_that_a_budget_blocks_is_tried_again_and_does_not_stay() {
    let mut world = World::drain(600, &[pod("web-0")]);
    evictions_by_second(&mut world, 20);
    assert_eq!(world.evicted.len(), 3);
    world.eviction_answer = Answer::BudgetBlocked("b".to_owned());
    world.pass(100);
    assert_eq!(world.end, None, "the last round is open");
    world.eviction_answer = Answer::Accepted;
    world.pass(60);
    evictions_by_second(&mut world, 10);
    assert_eq!(drained(&world).1, 1);
}

#[test]
fn a_round_without_an_eviction_is_none() {
    // A pod of another owner keeps the drain open.
    let keeper = of_another_owner("keeper");
    let mut world = World::drain(7200, &[pod("web-0"), keeper]);
    let blocked = Answer::BudgetBlocked("b".to_owned());
    world.eviction_answers.insert("keeper".to_owned(), blocked);
    world.pass(1);
    world.remove_pod("web-0");
    // Four pods that come back end before the API server accepts an eviction of theirs.
    world.eviction_answer = Answer::Failed("x".to_owned());
    for name in ["brief-0", "brief-1", "brief-2", "brief-3"] {
        world.put_pod(pod(name));
        world.pass(15);
        world.remove_pod(name);
        world.pass(0);
    }
    world.eviction_answer = Answer::Accepted;
    world.put_pod(pod("web-1"));
    evictions_by_second(&mut world, 60);
    assert_eq!(world.accepted.len(), 4, "{:?}", world.accepted);
}

#[test]
fn a_clock_that_is_set_back_delays_no_round() {
    // A pod that a webhook keeps holds the drain open until the late hour.
    let mut world = World::drain(7200, &[of_another_owner("kept")]);
    let denied = Answer::AdmissionDenied("no".to_owned());
    world.eviction_answers.insert("kept".to_owned(), denied);
    world.pass(3600);
    world.put_pod(pod("web-0"));
    evictions_by_second(&mut world, 7);
    let accepted = world.accepted.len();
    assert!((2..4).contains(&accepted), "{accepted}");
    world.now = at(10);
    evictions_by_second(&mut world, 3600);
    assert_eq!(world.accepted.len(), 4);
}

fn of_another_owner(uid: &str) -> PodView {
    PodView {
        controller: Some(Controller {
            kind: "ReplicaSet".to_owned(),
            api_version: "apps/v1".to_owned(),
            name: "other".to_owned(),
        }),
        ..pod(uid)
    }
}

/// Lets seconds pass in which each evicted pod ends after its grace, and its owner puts a new one onto the node at once.
/// Returns each second with an eviction, and the evictions so far.
fn evictions_by_second(world: &mut World<Drain>, seconds: i64) -> Vec<(i64, usize)> {
    let mut counts: Vec<(i64, usize)> = Vec::new();
    for _ in 0..seconds / GRACE {
        world.settle();
        let evicted = world.evicted.len();
        if counts.last().is_none_or(|(_, before)| *before < evicted) {
            counts.push((world.now.as_second(), evicted));
        }
        if world.end.is_some() {
            break;
        }
        world.pass(GRACE);
        let ended: Vec<PodView> = world
            .pods
            .values()
            .filter(|pod| pod.deletion_at.is_some())
            .cloned()
            .collect();
        for pod in ended {
            let successor = PodView {
                uid: format!("{}'", pod.uid),
                deletion_at: None,
                ..pod.clone()
            };
            world.remove_pod(&pod.uid);
            world.put_pod(successor);
        }
    }
    let is_late = |response: &Response| matches!(response, Response::Evicted(..));
    assert!(!world.responses.iter().any(is_late));
    counts
}

/// When the drain ended, how many pods came back and stay, and the sentence about them.
fn drained(world: &World<Drain>) -> (jiff::Timestamp, u32, &str) {
    match &world.end {
        Some((at, CommandEnd::Drained { staying, remarks, .. })) => (*at, staying.returning, remarks),
        end => unreachable!("{end:?}"),
    }
}
