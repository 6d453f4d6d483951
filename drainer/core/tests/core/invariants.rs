//! Properties of every drain: any order of mishaps and of late answers.
//!
//! 1. A drain never ends as drained while the machine knows a pod that has to go, or while the last
//!    consistent list contained one, but for the pods that it reports as returning, after three more evictions.
//! 2. Never before the node has carried our cordon for two seconds, and never without it.
//! 3. Never after the machine has learned that the record moved on; nor does it evict or patch then.
//! 4. Every drain ends by its `not_after`.
//! 5. A pod is evicted only while the machine knows it as evictable.
//! 6. Without the terms for that, no pod is deleted; with them, none in the first half of the time.
//! 7. Once all works again and its time suffices, a drain ends well, unless it may not.

use bellwether_drainer_core::{Answer, ApiFault, CommandEnd, Drain, PodView};
use bellwether_proto::{AfterTimeout, DrainFailure, Phase};
use jiff::SignedDuration;
use proptest::prelude::*;
use std::time::Duration;

use crate::world::{World, at, attempt, has_to_go, pod, staying};

#[derive(Debug, Clone)]
enum Happening {
    /// The answer with this number comes in.
    Deliver(usize),
    /// All answers come in.
    Settle,
    /// Time passes; answers come in only at its end.
    Pass(i64),
    PodComes(usize),
    StayingPodComes(usize),
    PodGoes(usize),
    Evictions(usize),
    ApiFails(bool),
    ApiForbids,
    NatsAnswers(bool),
    MovesOn,
    Uncordoned,
    CordonedByOthers,
    NodeTouched,
    NodeDeleted,
    Hint,
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        20 => (0_usize..6).prop_map(Happening::Deliver),
        10 => Just(Happening::Settle),
        12 => (0_i64..20).prop_map(Happening::Pass),
        4 => (0_usize..5).prop_map(Happening::PodComes),
        2 => (0_usize..5).prop_map(Happening::StayingPodComes),
        8 => (0_usize..5).prop_map(Happening::PodGoes),
        4 => (0_usize..6).prop_map(Happening::Evictions),
        2 => any::<bool>().prop_map(Happening::ApiFails),
        1 => Just(Happening::ApiForbids),
        2 => any::<bool>().prop_map(Happening::NatsAnswers),
        1 => Just(Happening::MovesOn),
        3 => Just(Happening::Uncordoned),
        1 => Just(Happening::CordonedByOthers),
        3 => Just(Happening::NodeTouched),
        1 => Just(Happening::NodeDeleted),
        2 => Just(Happening::Hint),
    ]
}

fn happen(world: &mut World<Drain>, happening: &Happening) {
    match happening {
        Happening::Deliver(index) => world.deliver(*index),
        Happening::Settle => world.settle(),
        Happening::Pass(seconds) => {
            world.now += SignedDuration::from_secs(*seconds);
            world.act();
        }
        Happening::PodComes(number) => world.put_pod(pod(&format!("p{number}"))),
        Happening::StayingPodComes(number) => world.put_pod(staying(&format!("s{number}"))),
        Happening::PodGoes(number) => world.remove_pod(&format!("p{number}")),
        Happening::Evictions(number) => {
            world.eviction_answer = [
                Answer::Accepted,
                Answer::Conflict,
                Answer::BudgetBlocked("b".to_owned()),
                Answer::Throttled(Duration::from_secs(3)),
                Answer::Forbidden("f".to_owned()),
                Answer::Failed("x".to_owned()),
            ][*number]
                .clone();
        }
        Happening::ApiFails(fails) => {
            world.api_fault = fails.then(|| ApiFault::Unavailable("down".to_owned()));
        }
        Happening::ApiForbids => world.api_fault = Some(ApiFault::Forbidden("no".to_owned())),
        Happening::NatsAnswers(answers) => world.nats_answers = *answers,
        Happening::MovesOn => world.phase = Phase::RollingBack,
        Happening::Uncordoned => world.change_node(|node| node.is_unschedulable = false),
        Happening::CordonedByOthers => world.change_node(|node| {
            node.is_unschedulable = true;
            node.mark = None;
        }),
        Happening::NodeTouched => world.change_node(|_| ()),
        Happening::NodeDeleted => world.delete_node(),
        Happening::Hint => world.hint(),
    }
}

/// Plays the happenings, and checks after each of them.
fn play(world: &mut World<Drain>, not_after: i64, happenings: &[Happening]) {
    world.act();
    for happening in happenings {
        let before = (removals(world), world.patches, world.known_phase);
        happen(world, happening);
        if let (evicted, patches, Some(Phase::RollingBack)) = before {
            assert_eq!(
                (removals(world), world.patches),
                (evicted, patches),
                "after the record moved on"
            );
        }
        check(world, not_after);
        if world.end.is_some() {
            return;
        }
    }
}

fn removals(world: &World<Drain>) -> usize {
    world.evicted.len() + world.deleted.len()
}

fn check(world: &World<Drain>, not_after: i64) {
    assert!(world.wrong_evictions.is_empty(), "{:?}", world.wrong_evictions);
    let is_first_half = world.now < at(not_after / 2);
    assert!(
        world.deleted.is_empty() || (world.forces && !is_first_half),
        "{:?} at {}",
        world.deleted,
        world.now
    );
    let Some((ended_at, end)) = &world.end else {
        assert!(world.now < at(not_after), "not over at {}", world.now);
        return;
    };
    let CommandEnd::Drained { staying, .. } = end else {
        return;
    };
    let returning = usize::try_from(staying.returning).unwrap();
    let known: Vec<&PodView> = world.known.values().filter(|pod| has_to_go(pod)).collect();
    assert_eq!(known.len(), returning, "known: {known:?}");
    assert_eq!(world.listed_to_go, Some(returning), "in the last list");
    assert!(
        returning == 0 || world.accepted.len() > 3,
        "{returning} came back after {:?}",
        world.accepted
    );
    let listed_at = world.listed_at.unwrap();
    let cordoned_at = world.cordoned_at_read.unwrap();
    assert!(
        listed_at >= cordoned_at + SignedDuration::from_secs(2),
        "{listed_at} after {cordoned_at}"
    );
    assert_eq!(world.known_phase, Some(Phase::Draining));
    assert!(*ended_at < at(not_after));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_drain_ends_as_drained_only_if_it_is_and_always_by_its_time(
        not_after in 1_i64..200,
        forces in any::<bool>(),
        happenings in prop::collection::vec(happening(), 1..120),
    ) {
        let after_timeout = if forces { AfterTimeout::Force } else { AfterTimeout::Restore };
        let mut world = World::drain_by(after_timeout, not_after, &[pod("p0"), pod("p1"), staying("s0")]);
        play(&mut world, not_after, &happenings);
        // No answer comes in any more: the drain ends all the same.
        world.now = world.now.max(at(not_after));
        world.act();
        check(&world, not_after);
        prop_assert!(world.end.is_some());
    }

    #[test]
    fn once_all_works_again_a_drain_ends_well_unless_it_may_not(
        happenings in prop::collection::vec(happening(), 1..80),
    ) {
        let not_after = 100_000;
        let mut world = World::drain(not_after, &[pod("p0"), pod("p1")]);
        play(&mut world, not_after, &happenings);
        world.nats_answers = true;
        world.api_fault = None;
        world.eviction_answer = Answer::Accepted;
        for _ in 0..20 {
            world.pass(120);
            let terminating: Vec<String> = world
                .pods
                .values()
                .filter(|pod| pod.deletion_at.is_some())
                .map(|pod| pod.uid.clone())
                .collect();
            for uid in terminating {
                world.remove_pod(&uid);
            }
        }
        check(&world, not_after);
        let (_, end) = world.end.unwrap();
        match end {
            CommandEnd::Drained { .. } => (),
            CommandEnd::PermitLost { .. } => prop_assert_eq!(world.phase, Phase::RollingBack),
            CommandEnd::DrainFailed { failure: DrainFailure::NodeGone, .. } => prop_assert!(world.node.is_none()),
            CommandEnd::DrainFailed { failure: DrainFailure::ForeignCordon, .. } => {
                prop_assert!(happenings.iter().any(|h| matches!(h, Happening::CordonedByOthers)));
            }
            CommandEnd::DrainFailed { failure: DrainFailure::Forbidden, .. } => {
                prop_assert!(happenings.iter().any(|h| matches!(h, Happening::ApiForbids | Happening::Evictions(4))));
            }
            end @ (CommandEnd::DrainFailed { failure: DrainFailure::Timeout, .. }
            | CommandEnd::Uncordoned { .. }
            | CommandEnd::UncordonFailed { .. }
            | CommandEnd::Interrupted
            | CommandEnd::Postponed { .. }) => prop_assert!(false, "{:?}", end),
        }
    }

    #[test]
    fn the_same_facts_always_give_the_same_actions(happenings in prop::collection::vec(happening(), 1..60)) {
        let played = || {
            let mut world = World::drain(100, &[pod("p0"), pod("p1")]);
            play(&mut world, 100, &happenings);
            (world.evicted, world.patches, world.lists, world.facts, world.progress, world.throttles, world.end)
        };
        prop_assert_eq!(played(), played());
    }
}

#[test]
fn the_attempt_of_these_tests_is_the_one_in_the_mark() {
    let mut world = World::drain(600, &[]);
    world.pass(1);
    assert_eq!(world.node.unwrap().mark, Some(attempt().attempt.to_string()));
}
