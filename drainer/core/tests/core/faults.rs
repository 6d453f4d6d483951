//! Stories of drains whose requests to the API server fail. Times are seconds since the begin.

use bellwether_drainer_core::{Answer, ApiFault, CommandEnd, Notice, WatchTarget};
use bellwether_proto::{Blocker, BlockerKind, DrainFailure, ObstacleKind};

use crate::stories::held_up_by;
use crate::world::{World, at, pod, staying};

#[test]
fn a_cordon_that_an_api_server_forbids_right_after_its_start_is_tried_again() {
    let mut world = World::drain(600, &[]);
    world.api_fault = Some(ApiFault::Forbidden("no".to_owned()));
    world.pass(50);
    assert_eq!((world.patches, &world.end), (0, &None));
    world.api_fault = None;
    world.pass(10);
    assert_eq!(world.drained(), 0);
}

#[test]
fn d28_a_pod_of_a_node_that_is_not_ready_is_never_taken_for_gone() {
    let mut world = World::drain(600, &[pod("a")]);
    world.pass(1);
    assert_eq!(world.evicted, ["a"]);
    world.change_node(|node| node.not_ready = Some("kubelet silent".to_owned()));
    world.pass(598);
    assert_eq!(world.end, None);
    world.pass(1);
    assert_eq!(world.failure(), DrainFailure::Timeout);
}

#[test]
fn a_cordon_that_is_forbidden_for_a_minute_ends_the_drain() {
    let mut world = World::drain(600, &[pod("a")]);
    world.api_fault = Some(ApiFault::Forbidden("no".to_owned()));
    // A record that cannot be read is no answer about the right; an API server that is down is one.
    world.pass(30);
    world.nats_answers = false;
    world.api_fault = None;
    world.pass(10);
    world.nats_answers = true;
    world.api_fault = Some(ApiFault::Forbidden("no".to_owned()));
    world.pass(19);
    assert_eq!(world.end, None);
    world.pass(9);
    assert_eq!(world.failure(), DrainFailure::Forbidden);
    assert_eq!((world.patches, world.facts.len()), (0, 0));
    let mut world = World::drain(600, &[]);
    for fault in [
        ApiFault::Forbidden("no".to_owned()),
        ApiFault::Unavailable("down".to_owned()),
        ApiFault::Forbidden("no".to_owned()),
    ] {
        world.api_fault = Some(fault);
        world.pass(50);
    }
    assert_eq!(world.end, None, "an answer between starts the minute again");
}

#[test]
fn a_403_to_evictions_is_fatal_only_after_a_minute() {
    let mut world = World::drain(600, &[pod("a")]);
    world.eviction_answer = Answer::Forbidden("no".to_owned());
    world.pass(50);
    assert_eq!(world.end, None);
    world.eviction_answer = Answer::Conflict;
    world.pass(60);
    world.eviction_answer = Answer::Forbidden("no".to_owned());
    world.pass(50);
    assert_eq!(world.end, None, "an answer between starts the minute again");
    world.pass(60);
    assert_eq!(world.failure(), DrainFailure::Forbidden);
}

#[test]
fn a_403_to_watches_is_fatal_only_after_a_minute() {
    let mut world = World::drain(600, &[pod("a")]);
    world.pass(1);
    world.watch_fails(WatchTarget::Pods, ApiFault::Forbidden("no".to_owned()));
    world.pass(60);
    world.watch_fails(WatchTarget::Pods, ApiFault::Forbidden("no".to_owned()));
    assert_eq!(world.end, None);
    world.pass(1);
    world.watch_fails(WatchTarget::Pods, ApiFault::Forbidden("no".to_owned()));
    assert_eq!(world.failure(), DrainFailure::Forbidden);
}

#[test]
fn a_watch_that_works_does_not_make_the_403_of_the_other_watch_a_passing_one() {
    for (forbidden, other) in [
        (WatchTarget::Pods, WatchTarget::Node),
        (WatchTarget::Node, WatchTarget::Pods),
    ] {
        let mut world = World::drain(600, &[pod("a")]);
        world.pass(1);
        let works = |world: &mut World<_>, target| match target {
            WatchTarget::Node => world.change_node(|_| ()),
            WatchTarget::Pods => world.put_pod(pod("b")),
        };
        world.watch_fails(forbidden, ApiFault::Forbidden("no".to_owned()));
        world.pass(40);
        works(&mut world, other);
        world.pass(21);
        assert_eq!(world.end, None);
        world.watch_fails(forbidden, ApiFault::Forbidden("no".to_owned()));
        assert_eq!(world.failure(), DrainFailure::Forbidden, "{forbidden:?}");

        let mut world = World::drain(600, &[pod("a")]);
        world.pass(1);
        world.watch_fails(forbidden, ApiFault::Forbidden("no".to_owned()));
        world.pass(40);
        works(&mut world, forbidden);
        world.pass(21);
        world.watch_fails(forbidden, ApiFault::Forbidden("no".to_owned()));
        assert_eq!(world.end, None, "{forbidden:?}: the minute begins again");
    }
}

#[test]
fn a_read_that_is_forbidden_for_a_minute_ends_the_proof_although_the_watches_work() {
    let mut world = World::drain(600, &[]);
    world.pass(1);
    world.api_fault = Some(ApiFault::Forbidden("no".to_owned()));
    for _ in 0..6 {
        world.pass(10);
        world.change_node(|_| ());
        world.put_pod(staying("d"));
    }
    assert_eq!(world.end, None);
    world.pass(3);
    assert_eq!(world.failure(), DrainFailure::Forbidden);
}

#[test]
fn a_pod_that_a_budget_blocks_does_not_make_the_403_to_other_pods_a_passing_one() {
    let mut world = World::drain(600, &[pod("a"), pod("b")]);
    world
        .eviction_answers
        .insert("a".to_owned(), Answer::BudgetBlocked("b".to_owned()));
    world
        .eviction_answers
        .insert("b".to_owned(), Answer::Forbidden("no".to_owned()));
    world.pass(60);
    assert_eq!(world.end, None);
    world.pass(40);
    assert_eq!(world.failure(), DrainFailure::Forbidden);
}

#[test]
fn a_drain_that_is_blind_names_the_failed_watch_until_the_watch_works_again() {
    for (target, blocker) in [
        (WatchTarget::Pods, "pods cannot be watched: down"),
        (WatchTarget::Node, "the node cannot be watched: down"),
    ] {
        let mut world = World::drain(600, &[pod("a")]);
        world.pass(60);
        let is_named = |world: &World<_>| held_up_by(world).iter().any(|sentence| sentence == blocker);
        assert!(!is_named(&world));
        world.watch_fails(target, ApiFault::Unavailable("down".to_owned()));
        world.pass(5);
        assert!(is_named(&world), "{:?}", held_up_by(&world));
        match target {
            WatchTarget::Node => world.change_node(|_| ()),
            WatchTarget::Pods => world.put_pod(staying("d")),
        }
        world.pass(5);
        assert!(!is_named(&world), "{:?}", held_up_by(&world));
    }
}

#[test]
fn a_drain_that_has_never_found_its_pods_reports_the_fault_of_its_watch() {
    let mut world = World::drain(600, &[pod("a")]);
    world.is_blind = true;
    world.pass(5);
    assert_eq!(world.progress.last(), None);
    world.watch_fails(WatchTarget::Pods, ApiFault::Unavailable("down".to_owned()));
    world.pass(1);
    let progress = world.progress.last().unwrap();
    assert_eq!(progress.held_up_by, ["pods cannot be watched: down"]);
    assert_eq!(progress.blockers, [Blocker::of(BlockerKind::Look, 0)]);
}

#[test]
fn a_cordon_that_fails_names_its_fault_in_the_log() {
    let mut world = World::drain(600, &[]);
    world.api_fault = Some(ApiFault::Unavailable("the API server is down".to_owned()));
    world.pass(1);
    let fault = "the API server is down".to_owned();
    assert_eq!(world.notices[0], Notice::NodeEditFailed(fault));
    let mut world = World::drain(600, &[]);
    world.nats_answers = false;
    world.pass(1);
    let fault = "the attempt's record could not be read: no answer from NATS".to_owned();
    assert_eq!(world.notices[0], Notice::NodeEditFailed(fault));
}

#[test]
fn a_cordon_that_fails_is_tried_again_before_the_next_read_of_the_record() {
    let mut world = World::drain(600, &[]);
    world.api_fault = Some(ApiFault::Unavailable("down".to_owned()));
    world.settle();
    world.api_fault = None;
    world.pass(60);
    assert!(world.cordoned_at.unwrap() < at(1), "{:?}", world.cordoned_at);
}

#[test]
fn a_pod_of_which_the_api_server_answers_wrongly_that_it_is_gone_costs_few_requests_and_is_named() {
    let mut world = World::drain(600, &[pod("a")]);
    world.eviction_answer = Answer::Gone;
    world.pass(599);
    assert_eq!(world.lists, 1, "the first list contradicts the answer");
    let evictions = world.evicted.len();
    assert!((20..=26).contains(&evictions), "{evictions}");
    world.pass(1);
    let Some((_, CommandEnd::DrainFailed { message, obstacle, .. })) = world.end else {
        unreachable!("{:?}", world.end)
    };
    assert!(
        message.contains("1 still there: pod shop/a: the API server answers"),
        "{message}"
    );
    assert_eq!(
        obstacle.map(|obstacle| obstacle.kind),
        Some(ObstacleKind::EvictionFailed)
    );
}

#[test]
fn d24_a_pod_that_is_gone_ends_the_drain_although_the_watch_is_silent() {
    let mut world = World::drain(600, &[pod("a")]);
    world.eviction_answer = Answer::Gone;
    world.pass(1);
    // The pod has ended, and no event of the watch comes any more.
    world.pods.clear();
    world.now = at(2);
    world.act();
    // The list takes longer than the answer to the eviction is believed.
    world.now = at(20);
    world.settle();
    world.pass(5);
    assert_eq!(world.drained(), 1);
}
