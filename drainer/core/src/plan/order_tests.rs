//! Which pods come last, and how evictions begin again: pods and answers in, evictions out. Times are seconds since the
//! epoch.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bellwether_proto::{Blocker, BlockerKind};

use super::turns_tests::{Drain, at, blocked, ending, pod};
use super::*;
use crate::answer::Answer;
use crate::pod::{NodePod, PodFacts};

#[test]
fn pods_of_bellwether_itself_go_once_no_other_pod_has_to_be_evicted() {
    let mut drain = Drain::new(&[("drainer", 1, 1)]);
    let pods = [own("drainer-0"), pod("free-0"), pod("free-1")];
    assert_eq!(
        drain.evict(0, &pods),
        ["free-0", "free-1"],
        "the budget of an own pod keeps no other pod"
    );
    let step = drain.step(0, &pods);
    assert_eq!(step.evict, []);
    assert_eq!(step.blockers, [Blocker::of(BlockerKind::Turn, 3)]);
    let sentence = "1 pods of Bellwether itself go last, once no other pod has to be evicted";
    assert!(step.held_up_by.iter().any(|it| it == sentence), "{:?}", step.held_up_by);
    drain.answered(0, "free-0", Answer::Accepted);
    let pods = [own("drainer-0"), ending("free-0"), pod("free-1")];
    assert!(drain.evict(0, &pods).is_empty(), "free-1 has no answer yet");
    drain.answered(1, "free-1", Answer::Failed("502".to_owned()));
    assert_eq!(drain.evict(2, &pods), ["free-1"]);
    drain.answered(2, "free-1", Answer::Accepted);
    let pods = [own("drainer-0"), ending("free-0"), ending("free-1")];
    assert_eq!(drain.evict(2, &pods), ["drainer-0"], "the others only end");
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

fn own(name: &str) -> NodePod {
    let pod = pod(name);
    let mut labels: BTreeMap<String, String> = pod.facts.labels.clone();
    labels.insert("app.kubernetes.io/part-of".to_owned(), "bellwether".to_owned());
    let facts = PodFacts {
        labels,
        ..pod.facts.as_ref().clone()
    };
    NodePod {
        facts: Arc::new(facts),
        ..pod
    }
}
