//! Tests of the plan: pods and answers in, steps out. Times are seconds since the epoch.

use std::time::Duration;

use bellwether_proto::{Obstacle, ObstacleKind};
use jiff::Timestamp;

use super::*;
use crate::answer::Answer;
use crate::pod::{Class, NodePod, PodFacts, StayReason};

#[test]
fn every_pod_that_has_to_go_is_evicted_and_the_others_stay() {
    let mut plan = Plan::new(10);
    let pods = [
        pod("a"),
        staying("b", StayReason::DaemonSet),
        staying("c", StayReason::Static),
        staying("d", StayReason::Finished),
    ];
    let step = plan.step(at(0), &pods, None);
    assert_eq!(uids(&step), ["a"]);
    assert_eq!((step.pods_left, step.pods_staying, step.pods_gone), (1, 3, 0));
}

#[test]
fn d49_nothing_is_left_only_when_every_pod_is_gone() {
    let mut plan = Plan::new(10);
    assert_eq!(plan.step(at(0), &[pod("a"), pod("b")], None).pods_left, 2);
    plan.answered(at(0), "a", Answer::Accepted, same);
    let step = plan.step(at(1), &[terminating_at("a", 30), pod("b")], None);
    assert_eq!((step.pods_left, step.pods_gone), (2, 0), "accepted is not gone");
    let step = plan.step(at(2), &[pod("b")], None);
    assert_eq!((step.pods_left, step.pods_gone), (1, 1));
    let step = plan.step(at(3), &[], None);
    assert_eq!((step.pods_left, step.pods_gone), (0, 2));
}

#[test]
fn d16_a_blocked_pod_that_moved_away_is_never_tried_again() {
    // The StatefulSet put a pod of the same name elsewhere, with another UID.
    let mut plan = Plan::new(10);
    plan.step(at(0), &[pod("a")], None);
    plan.answered(at(0), "a", blocked(), same);
    let step = plan.step(at(60), &[], None);
    assert_eq!((uids(&step), step.pods_gone), (vec![], 1));
}

#[test]
fn d24_gone_is_by_uid_and_the_successor_of_the_same_name_is_another_pod() {
    let mut plan = Plan::new(10);
    let mut old = pod("a");
    old.name = "web-0".to_owned();
    let mut new = pod("b");
    new.name = "web-0".to_owned();
    plan.step(at(0), &[old.clone()], None);
    plan.started("a");
    plan.answered(at(0), "a", Answer::Gone, same);
    assert_eq!(plan.step(at(0), &[old], None).pods_left, 0, "the watch is only late");
    let step = plan.step(at(1), &[new], None);
    assert_eq!((uids(&step), step.pods_gone), (vec!["b".to_owned()], 1));
}

#[test]
fn d24_an_answer_that_a_pod_is_gone_is_believed_once_while_the_watch_shows_the_pod() {
    let mut plan = Plan::new(10);
    plan.step(at(0), &[pod("a")], None);
    let mut waits = Vec::new();
    let mut now = 0;
    for is_believed in [true, false, false, false, false] {
        plan.answered(at(now), "a", Answer::Gone, same);
        let step = plan.step(at(now), &[pod("a")], None);
        let counts = (step.pods_left, step.pods_gone, step.held_up_by.len());
        assert_eq!(counts, if is_believed { (0, 1, 0) } else { (1, 0, 1) });
        let next = step.look_again.unwrap().as_second();
        assert_eq!(uids(&plan.step(at(next), &[pod("a")], None)), ["a"]);
        waits.push(next - now);
        now = next;
    }
    assert_eq!(waits, [5, 10, 20, 30, 30]);
    let step = plan.step(at(now), &[pod("a")], None);
    let sentence = "pod shop/a: the API server answers to its eviction that the pod is gone, and still shows the pod";
    assert_eq!(step.held_up_by, [sentence]);
    assert_eq!(step.obstacle.unwrap().kind, ObstacleKind::EvictionFailed);
    let step = plan.step(at(now), &[terminating_at("a", now + 30)], None);
    assert_eq!((step.pods_left, uids(&step)), (1, vec![]), "it ends after all");
    // Another answer between: the next one about the end is believed again.
    plan.answered(at(now), "a", Answer::Conflict, same);
    plan.answered(at(now), "a", Answer::Gone, same);
    assert_eq!(plan.step(at(now), &[pod("a")], None).pods_left, 0);
}

#[test]
fn d24_a_consistent_list_proves_that_a_pod_is_gone_or_that_the_answer_was_wrong() {
    let mut plan = Plan::new(10);
    let pods = [pod("a"), pod("b"), pod("c")];
    plan.step(at(0), &pods, None);
    for uid in ["a", "b"] {
        plan.answered(at(0), uid, Answer::Gone, same);
    }
    assert_eq!(plan.listed(&[pod("a")]), ["b"], "about c there is no answer");
    let step = plan.step(at(0), &pods, None);
    assert_eq!((step.pods_left, step.pods_gone), (2, 1));
    assert!(step.held_up_by[0].starts_with("pod shop/a: "), "{:?}", step.held_up_by);
}

#[test]
fn d47_a_new_plan_only_waits_for_terminating_pods() {
    let mut plan = Plan::new(10);
    let step = plan.step(at(0), &[terminating_at("a", 30), pod("b")], None);
    assert_eq!(uids(&step), ["b"]);
    assert_eq!(step.pods_left, 2);
    assert_eq!(
        plan.step(at(1000), &[terminating_at("a", 30)], None).evict,
        [],
        "D33: however long it takes"
    );
}

#[test]
fn a_block_is_reported_with_its_budget_and_tried_again_ever_later() {
    let mut plan = Plan::new(10);
    plan.step(at(0), &[pod("a")], None);
    let mut waits = Vec::new();
    let mut now = 0;
    for _ in 0..5 {
        plan.answered(at(now), "a", blocked(), same);
        let step = plan.step(at(now), &[pod("a")], None);
        assert_eq!(step.held_up_by, ["pod shop/a: budget web needs 2 and has 2"]);
        let next = step.look_again.unwrap().as_second();
        assert_eq!(step.evict, []);
        assert_eq!(uids(&plan.step(at(next), &[pod("a")], None)), ["a"]);
        waits.push(next - now);
        now = next;
    }
    assert_eq!(waits, [5, 10, 20, 30, 30]);
}

#[test]
fn blocked_pods_do_not_starve_pods_without_a_try() {
    let mut plan = Plan::new(1);
    let pods = [pod("a"), pod("b")];
    plan.step(at(0), &pods, None);
    plan.started("a");
    assert_eq!(plan.step(at(0), &pods, None).evict, [], "one in flight is the limit");
    plan.answered(at(0), "a", blocked(), same);
    assert_eq!(uids(&plan.step(at(100), &pods, None)), ["b"]);
}

#[test]
fn an_eviction_in_flight_is_not_sent_twice() {
    let mut plan = Plan::new(10);
    plan.step(at(0), &[pod("a")], None);
    plan.started("a");
    assert_eq!(plan.step(at(500), &[pod("a")], None).evict, []);
}

#[test]
fn an_accepted_eviction_that_never_shows_is_sent_again() {
    let mut plan = Plan::new(10);
    plan.step(at(0), &[pod("a")], None);
    plan.answered(at(0), "a", Answer::Accepted, same);
    assert_eq!(plan.step(at(29), &[pod("a")], None).evict, []);
    assert_eq!(uids(&plan.step(at(30), &[pod("a")], None)), ["a"]);
}

#[test]
fn a_suspension_stops_all_evictions_and_names_its_reason() {
    let mut plan = Plan::new(10);
    let suspension = Suspension {
        until: at(5),
        reason: "the API server is busy".to_owned(),
    };
    let step = plan.step(at(0), &[pod("a")], Some(&suspension));
    assert_eq!((step.evict, step.look_again), (vec![], Some(at(5))));
    assert_eq!(step.held_up_by, ["the API server is busy"]);
    assert_eq!(uids(&plan.step(at(5), &[pod("a")], Some(&suspension))), ["a"]);
}

#[test]
fn a_suspension_is_no_blocker_while_no_pod_could_be_evicted_now() {
    let mut plan = Plan::new(10);
    let suspension = Suspension {
        until: at(5),
        reason: "the API server is busy".to_owned(),
    };
    plan.step(at(0), &[pod("a")], None);
    plan.answered(at(0), "a", Answer::Accepted, same);
    let step = plan.step(at(0), &[pod("a")], Some(&suspension));
    assert_eq!((step.held_up_by, step.look_again), (vec![], Some(at(30))));
}

#[test]
fn d26_the_sentence_about_a_stuck_pod_names_what_keeps_this_pod() {
    let sentence = |change: fn(&mut PodFacts)| {
        let mut pod = terminating_at("a", 30);
        change(std::sync::Arc::make_mut(&mut pod.facts));
        let step = Plan::new(10).step(at(90), &[pod], None);
        let (_, reason) = step.held_up_by[0].split_once("its grace; ").unwrap();
        reason.to_owned()
    };
    assert_eq!(
        sentence(|facts| facts.running = vec!["app".to_owned(), "log".to_owned()]),
        "not ended by the kubelet's report: container app, log (its preStop hook, its process, or the kubelet itself)"
    );
    let held = sentence(|facts| {
        facts.running = vec!["app".to_owned()];
        facts.finalizers = vec!["shop.example.com/bill".to_owned()];
    });
    assert!(
        held.contains("app") && held.ends_with("; kept by finalizer shop.example.com/bill"),
        "{held}"
    );
    let ended = "all its containers have ended, and the kubelet has not removed it";
    assert_eq!(sentence(|_| ()), ended);
    assert_eq!(
        sentence(|facts| facts.claims = vec!["data".to_owned()]),
        format!("{ended}: the volume of claim data may not unmount")
    );
}

#[test]
fn d32_a_pod_whose_grace_is_longer_than_the_drain_may_take_is_named_at_once() {
    let long = |uid: &str, seconds| {
        let mut pod = pod(uid);
        std::sync::Arc::make_mut(&mut pod.facts).grace = Duration::from_secs(seconds);
        pod
    };
    let named = |now, pods: &[NodePod]| of_long_graces(pods, at(now), at(600));
    assert_eq!(
        named(
            0,
            &[
                long("a", 600),
                pod("b"),
                terminating_at("c", 600),
                staying("d", StayReason::Static)
            ]
        ),
        None
    );
    let sentence = "by its grace may end only after the drain's time is over at 1970-01-01T00:10:00Z: ";
    assert_eq!(named(0, &[long("a", 601)]), Some(format!("{sentence}pod shop/a")));
    assert_eq!(
        named(1, &[long("a", 600), terminating_at("c", 601)]),
        Some(format!("{sentence}pod shop/a, pod shop/c"))
    );
    assert_eq!(
        named(599, &[long("a", 119)]),
        None,
        "an ordinary grace in the last moments"
    );
    assert_eq!(named(600, &[long("a", 601)]), None, "the time is over");
}

#[test]
fn a_pod_over_its_grace_is_stuck_after_a_minute_and_reported_by_the_minute() {
    let mut plan = Plan::new(10);
    let pods = [terminating_at("a", 30)];
    let step = plan.step(at(89), &pods, None);
    assert_eq!(
        step.held_up_by,
        ["ending, with time until 1970-01-01T00:00:30Z: pod shop/a"]
    );
    assert_eq!(step.look_again, Some(at(90)));
    let step = plan.step(at(90), &pods, None);
    assert!(
        step.held_up_by[0].contains("does not end: 1 min over"),
        "{:?}",
        step.held_up_by
    );
    assert_eq!(step.look_again, Some(at(150)));
    let step = plan.step(at(170), &pods, None);
    assert!(
        step.held_up_by[0].contains("does not end: 2 min over"),
        "{:?}",
        step.held_up_by
    );
    assert_eq!(step.look_again, Some(at(210)));
}

#[test]
fn pods_that_end_in_time_share_one_sentence_with_three_names_and_the_last_end() {
    let mut plan = Plan::new(10);
    let mut ending = vec![
        terminating_at("c", 10),
        terminating_at("a", 30),
        terminating_at("b", 20),
    ];
    assert_eq!(
        plan.step(at(0), &ending, None).held_up_by,
        ["ending, with time until 1970-01-01T00:00:30Z: pod shop/a, pod shop/b, pod shop/c"]
    );
    ending.extend([terminating_at("d", 30), terminating_at("e", 30)]);
    assert_eq!(
        plan.step(at(0), &ending, None).held_up_by,
        ["ending, with time until 1970-01-01T00:00:30Z: pod shop/a, pod shop/b, pod shop/c and 2 more"]
    );
}

#[test]
fn the_most_important_blocker_comes_first_and_the_list_is_bounded() {
    let mut plan = Plan::new(100);
    let pods: Vec<NodePod> = (0..30).map(|n| pod(&format!("p{n:02}"))).collect();
    plan.step(at(0), &pods, None);
    for pod in &pods {
        plan.answered(at(0), &pod.uid, blocked(), same);
    }
    plan.answered(at(0), "p29", Answer::SeveralBudgets, same);
    let step = plan.step(at(0), &pods, None);
    assert!(
        step.held_up_by[0].contains("shop/p29 matches several"),
        "{:?}",
        step.held_up_by
    );
    assert_eq!(step.held_up_by.len(), 11);
    assert_eq!(step.held_up_by.last().unwrap(), "and 20 more pods");
}

#[test]
fn the_obstacle_is_of_the_highest_rank_and_does_not_depend_on_the_names_of_pods() {
    let mut plan = Plan::new(100);
    let named = |uid: &str, owner: &str| NodePod {
        owner: owner.to_owned(),
        ..pod(uid)
    };
    let pods = [named("a", "ReplicaSet/web"), named("b", "ReplicaSet/api"), pod("c")];
    plan.step(at(0), &pods, None);
    assert_eq!(plan.step(at(0), &pods, None).obstacle, None, "no answer yet");
    for uid in ["a", "b"] {
        plan.answered(at(0), uid, blocked(), same);
    }
    plan.answered(at(0), "c", Answer::Failed("no".to_owned()), same);
    let obstacle = plan.step(at(0), &pods, None).obstacle.unwrap();
    let expected = Obstacle {
        kind: ObstacleKind::Budget,
        namespace: "shop".to_owned(),
        owner: "ReplicaSet/api".to_owned(),
        pod: "b".to_owned(),
    };
    assert_eq!(obstacle, expected);
    let suspension = Suspension {
        until: at(100),
        reason: "NATS".to_owned(),
    };
    let suspended = plan.step(at(60), &pods, Some(&suspension));
    assert_eq!(suspended.held_up_by[0], "NATS");
    assert_eq!(suspended.obstacle, Some(expected), "what lasts is the obstacle");
    // What passes by itself is none.
    let mut passing = Plan::new(100);
    let pods = [pod("a"), terminating_at("b", 30)];
    passing.step(at(0), &pods, None);
    passing.answered(at(0), "a", Answer::NamespaceEnding, same);
    assert_eq!(passing.step(at(0), &pods, None).obstacle, None);
    let stuck = passing.step(at(90), &pods, None).obstacle.unwrap();
    assert_eq!((stuck.kind, &*stuck.pod), (ObstacleKind::StuckPod, "b"));
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn same(wait: Duration) -> Duration {
    wait
}

fn blocked() -> Answer {
    Answer::BudgetBlocked("budget web needs 2 and has 2".to_owned())
}

fn pod(uid: &str) -> NodePod {
    with(uid, Class::Evictable { risks: vec![] })
}

pub(super) fn pod_with_grace(seconds: u64) -> NodePod {
    let facts = PodFacts {
        grace: Duration::from_secs(seconds),
        ..PodFacts::default()
    };
    NodePod {
        facts: facts.into(),
        ..pod("a")
    }
}

fn terminating_at(uid: &str, second: i64) -> NodePod {
    with(
        uid,
        Class::Terminating {
            grace_ends_at: at(second),
        },
    )
}

fn staying(uid: &str, reason: StayReason) -> NodePod {
    with(uid, Class::Stays(reason))
}

fn with(uid: &str, class: Class) -> NodePod {
    NodePod {
        uid: uid.to_owned(),
        namespace: "shop".to_owned(),
        name: uid.to_owned(),
        owner: format!("ReplicaSet/of-{uid}"),
        class,
        facts: Default::default(),
    }
}

fn uids(step: &Step) -> Vec<String> {
    step.evict.iter().map(|pod| pod.uid.clone()).collect()
}
