//! Which pods come last, and how evictions begin again: pods and answers in, evictions out. Times are seconds since the
//! epoch.

use std::sync::Arc;
use std::time::Duration;

use bellwether_proto::{AfterTimeout, Blocker, BlockerKind, DrainTerms};

use super::deadline::Deadline;
use super::turns_tests::{Drain, at, blocked, ending, pod};
use super::*;
use crate::answer::Answer;
use crate::pod::{NodePod, PodFacts};

#[test]
fn d12_pods_go_in_waves_each_once_those_before_are_gone() {
    let mut drain = Drain::new(&[("drainer", 1, 1), ("dns", 1, 1)]);
    let critical = |name| changed(pod(name), |facts| facts.priority = 2_000_001_000);
    let [dns, drainer] = [critical("dns-0"), critical("drainer-0")];
    let drainer = changed(drainer, |facts| {
        let label = ("app.kubernetes.io/part-of".to_owned(), "bellwether".to_owned());
        facts.labels.extend([label]);
    });
    let almost = changed(pod("free-1"), |facts| facts.priority = 1_999_999_999);
    let with = |others: &[NodePod]| [others, &[dns.clone(), drainer.clone()][..]].concat();
    let pods = with(&[pod("free-0"), almost.clone()]);
    assert_eq!(
        drain.evict(0, &pods),
        ["free-0", "free-1"],
        "the budget of a later wave keeps no other pod"
    );
    let step = drain.step(0, &pods);
    assert_eq!(step.evict, []);
    assert_eq!(step.blockers, [Blocker::of(BlockerKind::Turn, 4)]);
    let sentences = [
        "1 pods of Bellwether itself go later, once the pods before them are gone",
        "1 pods of a priority class of the cluster itself go later, once the pods before them are gone",
    ];
    assert_eq!(step.held_up_by, sentences);
    drain.answered(0, "free-0", Answer::Accepted);
    let pods = with(&[ending("free-0"), almost]);
    assert!(drain.evict(0, &pods).is_empty(), "free-1 has no answer yet");
    drain.answered(1, "free-1", Answer::Failed("502".to_owned()));
    assert_eq!(drain.evict(2, &pods), ["free-1"]);
    drain.answered(2, "free-1", Answer::Accepted);
    let ending_ones = with(&[ending("free-0"), ending("free-1")]);
    assert!(drain.evict(2, &ending_ones).is_empty(), "they may still need their DNS");
    assert_eq!(drain.evict(3, &with(&[])), ["dns-0"]);
    drain.answered(3, "dns-0", Answer::Accepted);
    assert!(drain.evict(3, &[ending("dns-0"), drainer.clone()]).is_empty());
    assert_eq!(drain.evict(4, &[drainer]), ["drainer-0"]);
}

#[test]
fn d14_neither_a_stuck_pod_nor_the_end_of_the_time_leaves_a_later_wave_behind() {
    let critical = changed(pod("dns-0"), |facts| facts.priority = i32::MAX);
    let stuck = [ending("free-0"), critical.clone()];
    let mut drain = Drain::new(&[]);
    // The first seconds of 2030, when the grace of the pod that ends is over.
    let grace_ends_at = 1_893_456_000;
    assert!(drain.evict(grace_ends_at + 59, &stuck).is_empty());
    assert_eq!(drain.evict(grace_ends_at + 60, &stuck), ["dns-0"]);

    let terms = DrainTerms {
        after_timeout: AfterTimeout::Proceed,
        ..DrainTerms::default()
    };
    // Each grace is 30 s; a minute is kept in reserve.
    let deadline = Deadline::of(&terms, at(0), at(600));
    let mut plan = Plan::new(10).ending_by(deadline);
    let pods = [pod("web-0"), critical];
    let evicted = |step: Step| step.evict.into_iter().map(|pod| pod.name).collect::<Vec<_>>();
    assert_eq!(evicted(plan.step(at(0), &pods, None)), ["web-0"]);
    plan.started("web-0");
    plan.answered(at(0), "web-0", Answer::AdmissionDenied("no".to_owned()), |wait| wait);
    let before = plan.step(at(509), &pods, None);
    assert!(!evicted(before).contains(&"dns-0".to_owned()));
    assert!(evicted(plan.step(at(510), &pods, None)).contains(&"dns-0".to_owned()));
}

#[test]
fn a_pod_that_one_cause_has_kept_for_long_waits_for_another_cause_as_if_for_the_first_time() {
    let mut plan = Plan::new(10);
    let mut next_after = |answer: Answer, now: i64| {
        plan.step(at(now), &[pod("web-0")], None);
        plan.answered(at(now), "web-0", answer, |wait: Duration| wait);
        plan.step(at(now), &[pod("web-0")], None)
            .look_again
            .unwrap()
            .as_second()
            - now
    };
    let failed = || Answer::Failed("502".to_owned());
    let waits: Vec<i64> = [0, 100, 200, 300].map(|now| next_after(blocked(), now)).into();
    assert_eq!(waits, [5, 10, 20, 30]);
    assert_eq!(next_after(failed(), 400), 1);
    assert_eq!(
        next_after(Answer::Failed("504".to_owned()), 500),
        2,
        "the same cause in other words"
    );
    assert_eq!(next_after(blocked(), 600), 5);
}

#[test]
fn after_a_busy_api_server_evictions_begin_again_one_by_one() {
    let mut drain = Drain::new(&[]);
    let pods: Vec<NodePod> = (0..60).map(|number| pod(&format!("a{number:02}-0"))).collect();
    let first = drain.evict(0, &pods);
    assert_eq!(first.len(), 10);
    for uid in &first {
        drain.answered(0, uid, Answer::Throttled(Duration::from_secs(1)));
    }
    let mut under_way = Vec::new();
    for second in 10..16 {
        let evicted = drain.evict(second, &pods);
        under_way.push(evicted.len());
        for uid in evicted {
            drain.answered(second, &uid, blocked());
        }
    }
    assert_eq!(under_way, [1, 2, 4, 8, 10, 10]);
}

#[test]
fn a_quiet_is_at_least_what_the_api_server_asks_for_grows_and_has_a_limit() {
    let seconds = |asked, same| quiet(Duration::from_secs(asked), same).as_secs();
    assert_eq!(
        [1, 2, 3, 4, 5, 6, 60].map(|same| seconds(1, same)),
        [1, 2, 4, 8, 16, 30, 30]
    );
    assert_eq!([1, 5].map(|same| seconds(7, same)), [7, 16]);
    assert_eq!(seconds(86_400, 1), 30);
    assert!(QUIET_MAX >= Duration::from_secs(30).mul_f64(1.2), "the spread counts");
}

fn changed(pod: NodePod, change: impl FnOnce(&mut PodFacts)) -> NodePod {
    let mut facts = pod.facts.as_ref().clone();
    change(&mut facts);
    NodePod {
        facts: Arc::new(facts),
        ..pod
    }
}
