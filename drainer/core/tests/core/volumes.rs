//! Stories of a drain whose pods have volumes. Times are seconds since the begin.

use std::sync::Arc;
use std::time::Duration;

use bellwether_drainer_core::pod::PodFacts;
use bellwether_drainer_core::volume::Attached;
use bellwether_drainer_core::{CommandEnd, Drain, Looked, Machine as _, PodView, Unseen};
use bellwether_proto::{Blocker, BlockerKind, DrainTerms};
use jiff::Timestamp;

use crate::stories::held_up_by;
use crate::world::{World, at, pod};

/// The wait for volumes in these stories.
const WAIT: i64 = 60;

#[test]
fn d36_a_drain_waits_until_the_volumes_of_its_pods_are_detached_and_names_them() {
    let mut world = drain(600, &[with_claim("db-0", "data-db-0")]);
    attach(
        &mut world,
        Ok(vec![volume("pv-0", Some("data-db-0")), volume("pv-1", None)]),
    );
    world.pass(10);
    world.remove_pod("db-0");
    world.pass(5);
    assert_eq!((world.lists, &world.end), (0, &None));
    assert_eq!(
        held_up_by(&world),
        ["volumes are still attached: pv-0 of pod shop/db-0 (disk.example.com), pv-1 (disk.example.com)"]
    );
    let blockers = &world.progress.last().unwrap().blockers;
    assert_eq!(*blockers, [Blocker::of(BlockerKind::Volume, 0)]);
    attach(&mut world, Ok(vec![volume("pv-1", None)]));
    world.pass(3);
    assert_eq!(
        held_up_by(&world),
        ["volumes are still attached: pv-1 (disk.example.com)"]
    );
    attach(&mut world, Ok(vec![]));
    world.pass(0);
    assert_eq!(ended(&world), (at(18), String::new()));
}

#[test]
fn d36_volumes_of_pods_that_stay_stay_attached_and_those_of_finished_pods_do_not() {
    let agent = PodView {
        asks_to_stay: true,
        ..with_claim("agent", "cache")
    };
    let job = PodView {
        is_finished: true,
        ..with_claim("job", "result")
    };
    let mut world = drain(600, &[agent, job]);
    attach(
        &mut world,
        Ok(vec![volume("pv-0", Some("cache")), volume("pv-1", Some("result"))]),
    );
    world.pass(5);
    let sentence = "volumes are still attached: pv-1 of claim shop/result (disk.example.com)";
    assert_eq!((held_up_by(&world), &world.end), (&[sentence.to_owned()][..], &None));
    attach(&mut world, Ok(vec![volume("pv-0", Some("cache"))]));
    world.pass(0);
    assert_eq!(ended(&world), (at(5), String::new()));
}

#[test]
fn d36_volumes_of_a_pod_that_came_back_and_stays_stay_attached() {
    let mut world = drain(600, &[with_claim("db-0", "data")]);
    attach(&mut world, Ok(vec![volume("pv-0", Some("data"))]));
    for round in 1..60 {
        let ending: Vec<String> = world
            .pods
            .values()
            .filter(|pod| pod.deletion_at.is_some())
            .map(|pod| pod.uid.clone())
            .collect();
        for uid in ending {
            world.remove_pod(&uid);
            let back = with_claim("db-0", "data");
            world.put_pod(PodView {
                uid: format!("db-0-{round}"),
                ..back
            });
        }
        world.pass(1);
    }
    let (_, sentence) = ended(&world);
    assert_eq!(sentence, "");
    assert_eq!(world.evicted.len(), 4);
}

#[test]
fn d36_at_its_limit_the_wait_ends_and_the_node_is_drained_with_the_volumes_named() {
    let mut world = drain(600, &[with_claim("db-0", "data-db-0")]);
    let volumes = (0..5)
        .map(|number| volume(&format!("pv-{number}"), Some("data-db-0")))
        .collect();
    attach(&mut world, Ok(volumes));
    world.pass(10);
    world.remove_pod("db-0");
    world.pass(WAIT - 1);
    assert_eq!((world.lists, &world.end), (0, &None));
    world.pass(1);
    let (ended_at, sentence) = ended(&world);
    assert_eq!(ended_at, at(10 + WAIT));
    assert!(
        sentence.ends_with("pv-2 of pod shop/db-0 (disk.example.com) and 2 more"),
        "{sentence}"
    );
}

#[test]
fn d36_volumes_alone_never_make_a_drain_fail_by_its_time() {
    let mut world = drain(50, &[with_claim("db-0", "data-db-0")]);
    attach(&mut world, Ok(vec![volume("pv-0", Some("data-db-0"))]));
    world.pass(10);
    world.remove_pod("db-0");
    world.pass(100);
    let (ended_at, sentence) = ended(&world);
    assert_eq!(ended_at, at(40), "ten seconds remain for the proof");
    assert!(sentence.contains("pv-0"), "{sentence}");
}

#[test]
fn d36_a_pod_that_comes_during_the_wait_begins_it_again() {
    let mut world = drain(600, &[]);
    attach(&mut world, Ok(vec![volume("pv-0", None)]));
    world.pass(WAIT - 1);
    world.put_pod(pod("late"));
    world.pass(10);
    world.remove_pod("late");
    world.pass(WAIT - 1);
    assert_eq!((world.lists, &world.end), (0, &None));
    world.pass(1);
    assert_eq!(ended(&world).0, at(WAIT + 9 + WAIT));
}

#[test]
fn d36_a_passing_fault_is_waited_for_and_a_missing_right_is_not() {
    let mut world = drain(600, &[]);
    attach(&mut world, Err(Unseen::passing("the API server is down")));
    world.pass(10);
    assert_eq!(
        (held_up_by(&world), world.lists),
        (
            &["whether volumes are still attached is not known: the API server is down".to_owned()][..],
            0
        )
    );
    attach(
        &mut world,
        Err(Unseen {
            reason: "no right".to_owned(),
            lasts: true,
        }),
    );
    world.pass(0);
    let sentence = "whether volumes are still attached is not known: no right".to_owned();
    assert_eq!(ended(&world), (at(10), sentence));
    let mut world = drain(600, &[]);
    attach(&mut world, Err(Unseen::passing("the API server is down")));
    world.pass(WAIT);
    assert_eq!(ended(&world).0, at(WAIT));
}

#[test]
fn d36_without_a_wait_by_policy_the_volumes_are_only_named() {
    let terms = DrainTerms {
        detach_wait: Some(Duration::ZERO),
        ..DrainTerms::default()
    };
    let mut world = World::drain_with(terms, 600, &[]);
    attach(&mut world, Ok(vec![volume("pv-0", None)]));
    world.pass(2);
    let sentence = "volumes are still attached: pv-0 (disk.example.com)".to_owned();
    assert_eq!(ended(&world), (at(2), sentence));
    let mut world = World::drain_with(terms, 600, &[]);
    attach(&mut world, Err(Unseen::passing("the API server is down")));
    world.pass(2);
    assert_eq!(ended(&world), (at(2), String::new()));
}

#[test]
fn d36_a_clock_that_is_set_back_does_not_prolong_the_wait() {
    let mut world = drain(6000, &[pod("a")]);
    attach(&mut world, Ok(vec![volume("pv-0", None)]));
    world.pass(5);
    world.now = at(1000);
    world.remove_pod("a");
    world.pass(10);
    world.now = at(100);
    world.pass(WAIT);
    assert_eq!(ended(&world).0, at(100 + WAIT));
}

fn drain(not_after: i64, pods: &[PodView]) -> World<Drain> {
    let terms = DrainTerms {
        detach_wait: Some(Duration::from_secs(WAIT.unsigned_abs())),
        ..DrainTerms::default()
    };
    World::drain_with(terms, not_after, pods)
}

fn attach(world: &mut World<Drain>, attached: Looked<Vec<Attached>>) {
    world.machine.handle_attached(attached);
    world.act();
}

fn with_claim(uid: &str, claim: &str) -> PodView {
    PodView {
        facts: Arc::new(PodFacts {
            claims: vec![claim.to_owned()],
            ..PodFacts::default()
        }),
        ..pod(uid)
    }
}

fn volume(name: &str, claim: Option<&str>) -> Attached {
    Attached {
        volume: name.to_owned(),
        driver: "disk.example.com".to_owned(),
        claim: claim.map(|claim| ("shop".to_owned(), claim.to_owned())),
    }
}

fn ended(world: &World<Drain>) -> (Timestamp, String) {
    match &world.end {
        Some((at, CommandEnd::Drained { attached, .. })) => (*at, attached.clone()),
        end => unreachable!("{end:?}"),
    }
}
