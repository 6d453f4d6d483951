//! Whose turn it is: pods and budgets in, evictions out. Times are seconds since the epoch.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use serde_json::json;

use super::*;
use crate::answer::Answer;
use crate::budget::{BudgetView, Budgets};
use crate::pod::{DaemonSetKinds, NodePod, PodView};

#[test]
fn a_budget_without_room_costs_one_request_in_half_a_minute_however_many_pods_it_keeps() {
    let mut drain = Drain::new(&[("web", 0, 1)]);
    let pods = [pod("web-0"), pod("web-1"), pod("web-2")];
    let step = drain.step(0, &pods);
    assert!(
        !step.held_up_by.iter().any(|it| it.contains("web-0")),
        "the API server has the first word"
    );
    assert_eq!(drain.evict(0, &pods), ["web-0"]);
    assert!(
        drain.evict(0, &pods).is_empty(),
        "no second try while the first has no answer"
    );
    drain.answered(0, "web-0", blocked());
    let sentences = drain.step(0, &pods).held_up_by;
    assert_eq!(sentences.len(), 3, "{sentences:?}");
    let of_untried = "pod shop/web-2: PodDisruptionBudget shop/web allows no eviction now (3 of 9 pods are healthy, and 3 have to be)";
    assert!(sentences.iter().any(|it| it == of_untried), "{sentences:?}");
    let mut requests = 1;
    for second in 1..300 {
        for evicted in drain.evict(second, &pods) {
            requests += 1;
            drain.answered(second, &evicted, blocked());
        }
    }
    assert_eq!(requests, 10);
}

#[test]
fn a_budget_that_gets_room_has_as_many_pods_evicted_at_once_as_it_has_room_for() {
    let mut drain = Drain::new(&[("web", 0, 1)]);
    let pods = [pod("web-0"), pod("web-1"), pod("web-2")];
    assert_eq!(
        drain.evict(0, &pods),
        ["web-0"],
        "one try, though the watch shows no room"
    );
    drain.answered(0, "web-0", blocked());
    assert!(drain.evict(1, &pods).is_empty());
    drain.budgets(&[("web", 2, 2)]);
    assert_eq!(drain.evict(1, &pods), ["web-1", "web-2"], "those without a try first");
    assert!(
        drain.evict(1, &pods).is_empty(),
        "no third one while two have no answer"
    );
    drain.answered(1, "web-1", Answer::Accepted);
    drain.answered(1, "web-2", blocked());
    // Another drain took the room: the same numbers are used up, and the next ones are not.
    let pods = [pod("web-0"), ending("web-1"), pod("web-2")];
    assert!(drain.evict(2, &pods).is_empty());
    drain.budgets(&[("web", 1, 3)]);
    assert_eq!(drain.evict(2, &pods), ["web-0"]);
}

#[test]
fn room_that_a_pod_has_taken_is_not_asked_for_again_before_the_watch_shows_the_new_numbers() {
    let mut drain = Drain::new(&[("web", 1, 1)]);
    assert_eq!(drain.evict(0, &[pod("web-0"), pod("web-1")]), ["web-0"]);
    drain.answered(0, "web-0", Answer::Accepted);
    let pods = [ending("web-0"), pod("web-1")];
    assert!(drain.evict(0, &pods).is_empty());
    drain.budgets(&[("web", 0, 2)]);
    assert!(drain.evict(1, &pods).is_empty());
    drain.budgets(&[("web", 1, 3)]);
    assert_eq!(drain.evict(2, &pods), ["web-1"]);
}

#[test]
fn a_wait_after_another_answer_than_that_of_the_budget_stays() {
    let mut drain = Drain::new(&[("web", 1, 1)]);
    let pods = [pod("web-0")];
    assert_eq!(drain.evict(0, &pods), ["web-0"]);
    drain.answered(0, "web-0", Answer::Failed("no".to_owned()));
    drain.budgets(&[("web", 1, 2)]);
    assert!(drain.evict(0, &pods).is_empty());
    assert_eq!(drain.step(0, &pods).look_again, Some(at(1)));
    assert_eq!(drain.evict(1, &pods), ["web-0"]);
}

#[test]
fn d15_pods_without_a_budget_wait_until_each_budget_has_let_a_pod_go() {
    let mut drain = Drain::new(&[("web", 1, 1), ("api", 1, 1)]);
    let pods = [pod("free-0"), pod("web-0"), pod("web-1"), pod("api-0")];
    assert_eq!(drain.evict(0, &pods), ["api-0", "web-0"]);
    drain.answered(0, "api-0", Answer::Accepted);
    drain.answered(0, "web-0", blocked());
    assert!(drain.evict(1, &pods).is_empty(), "nothing else is evicted for nothing");
    let sentences = drain.step(1, &pods).held_up_by;
    assert!(
        sentences
            .iter()
            .any(|it| it.starts_with("1 pods without a disruption budget wait")),
        "{sentences:?}"
    );
    drain.budgets(&[("web", 1, 2), ("api", 0, 2)]);
    assert_eq!(drain.evict(2, &pods), ["web-1"]);
    drain.answered(2, "web-1", Answer::Accepted);
    assert_eq!(
        drain.evict(2, &pods),
        ["free-0"],
        "while the other pods of the budgets wait for their turn"
    );
}

#[test]
fn d15_a_drainer_that_continues_a_drain_takes_a_pod_that_ends_for_one_that_was_let_go() {
    let mut drain = Drain::new(&[("web", 0, 1)]);
    let pods = [pod("free-0"), ending("web-0"), pod("web-1")];
    assert_eq!(drain.evict(0, &pods), ["web-1", "free-0"]);
}

#[test]
fn d15_a_pod_of_several_budgets_may_be_kept_also_while_the_api_server_has_not_answered() {
    let mut drain = Drain::new(&[]);
    drain.select(&[("one", "web", 1, 1), ("two", "web", 1, 1)]);
    let pods = [pod("free-0"), pod("web-0")];
    assert_eq!(drain.evict(0, &pods), ["web-0"]);
    assert!(drain.evict(0, &pods).is_empty());
    drain.answered(0, "web-0", Answer::SeveralBudgets);
    assert!(drain.evict(1, &pods).is_empty());
}

#[test]
fn d15_no_other_pod_is_evicted_while_a_budget_lets_none_go_however_long_that_is() {
    let mut drain = Drain::new(&[("web", 0, 1)]);
    let pods = [pod("free-0"), pod("web-0")];
    for second in 0..3_600 {
        for evicted in drain.evict(second, &pods) {
            assert_eq!(evicted, "web-0");
            drain.answered(second, &evicted, blocked());
        }
    }
}

#[test]
fn a_pod_that_waits_after_another_answer_does_not_occupy_the_room_of_its_budget() {
    let mut drain = Drain::new(&[("web", 2, 1)]);
    let pods = [pod("web-0"), pod("web-1")];
    assert_eq!(drain.evict(0, &pods), ["web-0", "web-1"]);
    drain.answered(0, "web-0", Answer::AdmissionDenied("guarded".to_owned()));
    drain.answered(0, "web-1", blocked());
    drain.budgets(&[("web", 1, 2)]);
    assert_eq!(drain.evict(1, &pods), ["web-1"]);
}

#[test]
fn a_pod_that_is_refused_for_a_budget_that_the_watch_does_not_show_is_named_and_waits() {
    let mut drain = Drain::new(&[("web", 0, 1)]);
    let pods = [pod("web-0")];
    assert_eq!(drain.evict(0, &pods), ["web-0"]);
    drain.answered(0, "web-0", blocked());
    drain.budgets(&[]);
    assert!(drain.evict(4, &pods).is_empty());
    assert_eq!(
        drain.step(4, &pods).held_up_by,
        ["pod shop/web-0: the budget needs 3 and has 3"]
    );
    assert_eq!(drain.evict(5, &pods), ["web-0"]);
}

#[test]
fn the_sentence_about_a_blocked_pod_has_the_newest_numbers_of_its_budget() {
    let mut drain = Drain::new(&[("web", 0, 1)]);
    let pods = [pod("web-0")];
    drain.evict(0, &pods);
    drain.answered(0, "web-0", blocked());
    drain.budgets(&[("web", -1, 2)]);
    let expected = "pod shop/web-0: PodDisruptionBudget shop/web allows no eviction now (2 of 9 pods are healthy, and 3 have to be)";
    for second in [1, 31] {
        // Also while the pod is tried again.
        assert_eq!(drain.step(second, &pods).held_up_by, [expected]);
    }
    assert_eq!(drain.evict(31, &pods), ["web-0"]);
    assert_eq!(drain.step(31, &pods).held_up_by, [expected]);
}

#[test]
fn without_a_watch_of_the_budgets_each_pod_is_tried_on_its_own() {
    let mut drain = Drain::new(&[]);
    drain.plan.handle_budgets(None);
    let pods = [pod("free-0"), pod("web-0"), pod("web-1")];
    assert_eq!(drain.evict(0, &pods), ["free-0", "web-0", "web-1"]);
    drain.answered(0, "web-0", blocked());
    assert!(drain.evict(4, &pods).is_empty());
    assert_eq!(drain.evict(5, &pods), ["web-0"]);
}

pub(super) struct Drain {
    pub(super) plan: Plan,
}

impl Drain {
    /// A drain with budgets, each given with its name, its room and its version.
    pub(super) fn new(budgets: &[(&str, i32, u32)]) -> Self {
        let mut drain = Self { plan: Plan::new(10) };
        drain.budgets(budgets);
        drain
    }

    pub(super) fn budgets(&mut self, budgets: &[(&str, i32, u32)]) {
        let named: Vec<_> = budgets
            .iter()
            .map(|(name, room, version)| (*name, *name, *room, *version))
            .collect();
        self.select(&named);
    }

    /// Budgets, each given with its name, the application that it selects, its room and its version.
    fn select(&mut self, budgets: &[(&str, &str, i32, u32)]) {
        let mut known = Budgets::default();
        for (name, app, room, version) in budgets {
            let budget = json!({
                "metadata": { "name": name, "namespace": "shop", "resourceVersion": version.to_string() },
                "spec": { "selector": { "matchLabels": { "app": app } } },
                "status": { "currentHealthy": 3 + room, "desiredHealthy": 3, "expectedPods": 9, "disruptionsAllowed": room },
            });
            let budget: PodDisruptionBudget = serde_json::from_value(budget).unwrap();
            known.insert(BudgetView::of(&budget).unwrap());
        }
        self.plan.handle_budgets(Some(Arc::new(known)));
    }

    pub(super) fn step(&mut self, second: i64, pods: &[NodePod]) -> Step {
        self.plan.step(at(second), pods, None)
    }

    /// The pods whose evictions begin now.
    pub(super) fn evict(&mut self, second: i64, pods: &[NodePod]) -> Vec<String> {
        let evict = self.step(second, pods).evict;
        for pod in &evict {
            self.plan.started(&pod.uid);
        }
        evict.into_iter().map(|pod| pod.uid).collect()
    }

    pub(super) fn answered(&mut self, second: i64, uid: &str, answer: Answer) {
        self.plan.answered(at(second), uid, answer, |wait: Duration| wait);
    }
}

pub(super) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

pub(super) fn blocked() -> Answer {
    Answer::BudgetBlocked("the budget needs 3 and has 3".to_owned())
}

/// A pod of the application before the dash.
pub(super) fn pod(name: &str) -> NodePod {
    view(name, None)
}

pub(super) fn ending(name: &str) -> NodePod {
    view(name, Some("2030-01-01T00:00:00Z"))
}

fn view(name: &str, deletion: Option<&str>) -> NodePod {
    let (app, _) = name.split_once('-').unwrap();
    let owner = json!({ "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": name, "uid": "r", "controller": true });
    let pod = json!({
        "metadata": {
            "name": name, "namespace": "shop", "uid": name, "labels": { "app": app }, "ownerReferences": [owner],
            "deletionTimestamp": deletion,
        },
        "spec": { "nodeName": "n1", "containers": [] },
        "status": { "phase": "Running", "conditions": [{ "type": "Ready", "status": "True" }] },
    });
    let pod: Pod = serde_json::from_value(pod).unwrap();
    NodePod::on_node(&PodView::of(&pod).unwrap(), "n1", &DaemonSetKinds::default()).unwrap()
}
