//! Stories of drains whose policy has pods deleted once their time ends. Times are seconds since the begin.

use bellwether_drainer_core::{Answer, CommandEnd, Drain};
use bellwether_proto::{AfterTimeout, DrainFailure, Phase};

use crate::stories::held_up_by;
use crate::world::{Response, World, at, pod};

/// A drain of half an hour of one pod whose budget never lets it go. Its pods have a grace of 30 s.
fn blocked(after_timeout: AfterTimeout) -> World<Drain> {
    let mut world = World::drain_by(after_timeout, 1800, &[pod("a")]);
    world.eviction_answer = Answer::BudgetBlocked("web needs 1".to_owned());
    world
}

#[test]
fn d50_a_pod_that_its_budget_keeps_is_deleted_in_time_for_its_grace_and_named() {
    let mut world = blocked(AfterTimeout::Force);
    world.pass(1709);
    assert_eq!(world.deleted, [""; 0]);
    world.pass(2);
    assert_eq!(world.deleted, ["a"]);
    let evictions = world.evicted.len();
    world.remove_pod("a");
    world.pass(10);
    let Some((
        _,
        CommandEnd::Drained {
            pods_gone: 1, remarks, ..
        },
    )) = &world.end
    else {
        unreachable!("{:?}", world.end)
    };
    assert!(remarks.contains("deleted") && remarks.contains("shop/a"), "{remarks}");
    assert_eq!(world.evicted.len(), evictions, "no eviction after the deletion");
}

#[test]
fn d50_no_pod_is_deleted_by_other_policies() {
    for after_timeout in [AfterTimeout::Restore, AfterTimeout::Hold, AfterTimeout::Proceed] {
        let mut world = blocked(after_timeout);
        world.pass(1801);
        assert_eq!(world.deleted, [""; 0], "{after_timeout:?}");
        let Some((_, CommandEnd::DrainFailed { failure, .. })) = &world.end else {
            unreachable!("{:?}", world.end)
        };
        assert_eq!(*failure, DrainFailure::Timeout);
    }
}

#[test]
fn d1_no_pod_is_deleted_once_the_record_has_moved_on() {
    let mut world = blocked(AfterTimeout::Force);
    world.pass(1709);
    world.phase = Phase::RollingBack;
    world.pass(90);
    assert_eq!(world.deleted, [""; 0]);
}

#[test]
fn d50_a_pod_with_an_endless_grace_belongs_to_its_budget_for_half_of_the_time() {
    let mut patient = pod("a");
    patient.facts = std::sync::Arc::new(bellwether_drainer_core::pod::PodFacts {
        grace: std::time::Duration::from_secs(86_400),
        ..Default::default()
    });
    let mut world = World::drain_by(AfterTimeout::Force, 1800, &[patient]);
    world.eviction_answer = Answer::BudgetBlocked("web needs 1".to_owned());
    world.pass(899);
    assert_eq!(world.deleted, [""; 0]);
    world.pass(2);
    assert_eq!(world.deleted, ["a"]);
}

#[test]
fn a_deletion_waits_for_the_eviction_under_way_and_is_tried_again_if_it_shows_no_effect() {
    let mut world = blocked(AfterTimeout::Force);
    world.pass(1700);
    world.now = at(1715);
    let is_eviction = |response: &Response| matches!(response, Response::Evicted(..));
    world.settle();
    assert_eq!(world.deleted, ["a"]);
    assert!(!world.responses.iter().any(is_eviction));
    // The API server accepts, and the pod is as it was.
    world.put_pod(pod("a"));
    world.pass(15);
    assert_eq!(world.deleted.len(), 1);
    world.pass(30);
    assert_eq!(world.deleted.len(), 2);
}

#[test]
fn operators_read_that_pods_are_deleted_while_the_api_server_refuses_that() {
    let mut world = blocked(AfterTimeout::Force);
    world
        .eviction_answers
        .insert("a".to_owned(), Answer::AdmissionDenied("no".to_owned()));
    world.refuses_deletions = true;
    world.pass(1715);
    assert!(
        held_up_by(&world)[0].contains("whatever their budgets say"),
        "{:?}",
        held_up_by(&world)
    );
    world.pass(90);
    let Some((_, CommandEnd::DrainFailed { failure, message, .. })) = &world.end else {
        unreachable!("{:?}", world.end)
    };
    assert_eq!(*failure, DrainFailure::Timeout);
    assert!(
        message.contains("1 still there") && message.contains(": no"),
        "{message}"
    );
}
