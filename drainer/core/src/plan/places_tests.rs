//! Evictions beside those of other drains of the process: places in, evictions out.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::*;
use crate::action::HeldBack;
use crate::answer::Answer;
use crate::pod::{Class, NodePod};

#[test]
fn d21_no_more_evictions_begin_than_there_are_places() {
    let mut plan = Plan::new(4);
    let pods = pods(9);
    plan.handle_places(1);
    assert_eq!(begin(&mut plan, &pods), ["a0"]);
    assert!(plan.lacks_places());
    plan.handle_places(0);
    assert!(begin(&mut plan, &pods).is_empty());
    plan.handle_places(9);
    assert_eq!(begin(&mut plan, &pods), ["a1", "a2", "a3"], "four of one node at once");
    assert!(!plan.lacks_places());
    plan.handle_places(2);
    plan.answered(at(0), "a0", Answer::Accepted, |wait: Duration| wait);
    assert_eq!(begin(&mut plan, &pods), ["a4"]);
}

#[test]
fn d21_an_eviction_that_found_no_place_is_no_try_and_comes_first_once_there_is_one() {
    let mut plan = Plan::new(4);
    let pods = pods(3);
    plan.handle_places(3);
    assert_eq!(begin(&mut plan, &pods), ["a0", "a1", "a2"]);
    plan.held_back(at(0), "a1", HeldBack::NoPlace);
    plan.held_back(at(0), "gone since", HeldBack::NoPlace);
    assert!(begin(&mut plan, &pods).is_empty(), "until the driver knows of a place");
    assert_eq!(plan.step(at(0), &pods, None).look_again, None);
    plan.handle_places(1);
    assert_eq!(begin(&mut plan, &pods), ["a1"]);
}

fn begin(plan: &mut Plan, pods: &[NodePod]) -> Vec<String> {
    let evict = plan.step(at(0), pods, None).evict;
    for pod in &evict {
        plan.started(&pod.uid);
    }
    evict.into_iter().map(|pod| pod.uid).collect()
}

fn pods(number: usize) -> Vec<NodePod> {
    let pod = |number| NodePod {
        uid: format!("a{number}"),
        namespace: "shop".to_owned(),
        name: format!("a{number}"),
        owner: String::new(),
        class: Class::Evictable { risks: Vec::new() },
        facts: Arc::default(),
    };
    (0..number).map(pod).collect()
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}
