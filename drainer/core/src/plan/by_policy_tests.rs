//! Orders that operators choose by policy: pods, volumes and StatefulSets in, evictions out. Times are seconds since the epoch.

use std::sync::Arc;
use std::time::Duration;

use bellwether_proto::{Blocker, BlockerKind, DrainTerms, ObstacleKind};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use serde_json::json;

use super::*;
use crate::action::HeldBack;
use crate::answer::Answer;
use crate::budget::{BudgetView, Budgets};
use crate::pod::{DaemonSetKinds, NodePod, PodView};
use crate::stateful_set::{StatefulSetView, StatefulSets};
use crate::volume::Attached;
use crate::watched::Unseen;

/// The wait for volumes in these tests.
const WAIT: i64 = 60;

#[test]
fn d35_the_members_of_a_stateful_set_go_one_at_a_time_each_while_all_others_are_ready() {
    let mut drain = Drain::new(members());
    drain.sets(1, 3, 3);
    let pods = [db(0), db(1), pod("web-0")];
    assert_eq!(drain.evict(0, &pods), ["db-0", "web-0"]);
    drain.answered(0, "db-0", Answer::Accepted);
    drain.answered(0, "web-0", Answer::Accepted);
    // The watch shows neither the end of the pod nor other numbers yet.
    assert!(drain.evict(1, &pods).is_empty());
    let pods = [ending(db(0)), db(1)];
    let step = drain.step(1, &pods);
    assert!(step.evict.is_empty());
    let waits = "1 pods of StatefulSet shop/db wait, since its members go one at a time by policy: ";
    assert!(
        step.held_up_by.contains(&format!("{waits}pod shop/db-0 ends first")),
        "{step:?}"
    );
    assert_eq!(step.obstacle, None);
    // Gone from the node, and not back yet: neither with the old numbers nor with the new ones.
    let pods = [db(1)];
    assert!(drain.evict(40, &pods).is_empty());
    drain.sets(2, 3, 2);
    let step = drain.step(41, &pods);
    assert!(step.evict.is_empty());
    assert_eq!(step.held_up_by, [format!("{waits}2 of 3 members are Ready and stay")]);
    assert_eq!(step.obstacle.unwrap().kind, ObstacleKind::Budget);
    assert_eq!(step.look_again, None, "the watch of StatefulSets wakes the drain");
    drain.sets(3, 3, 3);
    assert_eq!(drain.evict(50, &pods), ["db-1"]);
}

#[test]
fn d35_a_member_that_is_not_ready_and_one_with_a_budget_of_its_own_do_not_wait() {
    let mut drain = Drain::new(members());
    drain.sets(1, 3, 2);
    let mut unready = db(1);
    Arc::make_mut(&mut unready.facts).is_ready = false;
    assert_eq!(drain.evict(0, &[db(0), unready]), ["db-1"]);
    let mut drain = Drain::new(members());
    drain.sets(1, 3, 2);
    let budget = json!({
        "metadata": { "name": "db", "namespace": "shop", "resourceVersion": "1" },
        "spec": { "selector": {} },
        "status": { "currentHealthy": 3, "desiredHealthy": 1, "expectedPods": 3, "disruptionsAllowed": 2 },
    });
    let mut budgets = Budgets::default();
    budgets.insert(BudgetView::of(&serde_json::from_value(budget).unwrap()).unwrap());
    drain.plan.handle_budgets(Some(Arc::new(budgets)));
    assert_eq!(
        drain.evict(0, &[db(0), db(1)]),
        ["db-0", "db-1"],
        "the budget allows two"
    );
}

#[test]
fn d35_members_wait_for_the_first_look_at_stateful_sets_but_not_for_a_missing_right() {
    let mut drain = Drain::new(members());
    let pods = [db(0), db(1)];
    assert!(drain.evict(0, &pods).is_empty());
    let unseen = Unseen {
        reason: "no right".to_owned(),
        lasts: true,
    };
    drain.plan.handle_sets(Err(unseen));
    assert_eq!(drain.evict(1, &pods), ["db-0"]);
    drain.answered(1, "db-0", Answer::Accepted);
    assert!(drain.evict(2, &[ending(db(0)), db(1)]).is_empty());
    assert_eq!(drain.evict(3, &[db(1)]), ["db-1"], "once the one before is gone");
    // So do the members of a set that the API server does not know.
    let mut drain = Drain::new(members());
    drain.plan.handle_sets(Ok(Arc::default()));
    assert_eq!(drain.evict(0, &pods), ["db-0"]);
}

#[test]
fn d35_a_turn_that_another_drain_has_taken_is_not_used_up_here() {
    let mut drain = Drain::new(members());
    drain.sets(1, 3, 3);
    assert_eq!(drain.evict(0, &[db(0)]), ["db-0"]);
    let reason = "a member is evicted from node n2 now".to_owned();
    drain.plan.held_back(at(0), "db-0", HeldBack::NoTurn(reason));
    let step = drain.step(1, &[db(0)]);
    assert!(step.evict.is_empty());
    // No budget keeps the pod, so none is named, and the wait is no obstacle for the next drain.
    assert_eq!(step.held_up_by, ["pod shop/db-0: a member is evicted from node n2 now"]);
    assert_eq!(step.blockers, [Blocker::of(BlockerKind::Turn, 1)]);
    assert_eq!(step.obstacle, None);
    assert_eq!(step.look_again, Some(at(2)));
    let step = drain.step(2, &[db(0)]);
    assert_eq!(step.evict, [db(0)]);
    drain.plan.started("db-0");
    assert!(drain.step(2, &[db(0)]).held_up_by.is_empty(), "it goes");
}

#[test]
fn d35_a_set_of_another_group_is_not_its_namesake_in_apps_and_its_members_go_one_at_a_time_too() {
    let mut drain = Drain::new(members());
    // Two of the three members of shop/db in apps are Ready.
    drain.sets(1, 3, 2);
    let kruise = |number| {
        let mut pod = db(number);
        Arc::make_mut(&mut pod.facts).controller_group = "apps.kruise.io".to_owned();
        pod
    };
    let pods = [kruise(0), kruise(1)];
    assert_eq!(drain.evict(0, &pods), ["db-0"]);
    let waits = "1 pods of StatefulSet.apps.kruise.io shop/db wait, since its members go one at a time by policy: ";
    let step = drain.step(1, &pods);
    assert_eq!(step.held_up_by, [format!("{waits}pod shop/db-0 ends first")]);
    assert!(drain.step(1, &[db(2)]).evict.is_empty(), "of apps, by its numbers");
}

#[test]
fn without_these_orders_all_pods_go_at_once() {
    let mut drain = Drain::new(DrainTerms::default());
    let pods = [db(0), db(1), with_claim("a-0", "a", 0), with_claim("b-0", "b", 0)];
    assert_eq!(drain.evict(0, &pods).len(), 4);
}

#[test]
fn d13_pods_with_volumes_go_one_after_the_other_by_priority_each_once_the_volumes_before_are_detached() {
    let mut drain = Drain::new(serial());
    drain.attach(&["a", "b", "c"]);
    let pods = [
        with_claim("a-0", "a", 0),
        with_claim("b-0", "b", 1000),
        with_claim("c-0", "c", 0),
        pod("web-0"),
    ];
    let [a, b, c, web] = pods.clone();
    assert_eq!(drain.evict(0, &pods), ["b-0", "web-0"]);
    drain.answered(0, "b-0", Answer::Accepted);
    drain.answered(0, "web-0", Answer::Accepted);
    // The watch shows nothing of that yet.
    assert!(drain.evict(1, &pods).is_empty());
    let step = drain.step(2, &[a.clone(), ending(b), c.clone(), ending(web)]);
    assert!(step.evict.is_empty());
    let waits = "2 pods with volumes wait, since they go one after the other by policy: ";
    assert!(
        step.held_up_by.contains(&format!("{waits}pod shop/b-0 ends first")),
        "{step:?}"
    );
    let step = drain.step(10, &[a.clone(), c.clone()]);
    assert!(step.evict.is_empty());
    assert_eq!(
        step.held_up_by,
        [format!("{waits}the volumes of pod shop/b-0 are still attached")]
    );
    assert_eq!(step.look_again, Some(at(10 + WAIT)));
    drain.attach(&["a", "c"]);
    assert_eq!(drain.evict(11, &[a, c.clone()]), ["a-0"]);
    drain.answered(11, "a-0", Answer::Accepted);
    assert!(drain.evict(20, std::slice::from_ref(&c)).is_empty());
    assert!(drain.evict(19 + WAIT, std::slice::from_ref(&c)).is_empty());
    assert_eq!(drain.evict(20 + WAIT, &[c]), ["c-0"], "the limit is over");
}

#[test]
fn d13_a_pod_that_is_blocked_or_uses_a_shared_volume_does_not_keep_the_next_one() {
    let mut drain = Drain::new(serial());
    drain.attach(&["a", "b"]);
    let pods = [with_claim("a-0", "a", 7), with_claim("b-0", "b", 0)];
    assert_eq!(drain.evict(0, &pods), ["a-0"]);
    drain.answered(0, "a-0", Answer::AdmissionDenied("no".to_owned()));
    assert_eq!(drain.evict(1, &pods), ["b-0"]);
    // Two pods of one claim: it stays attached for the second one.
    let mut drain = Drain::new(serial());
    drain.attach(&["shared"]);
    let (first, second) = (with_claim("a-0", "shared", 7), with_claim("a-1", "shared", 0));
    assert_eq!(drain.evict(0, &[first, second.clone()]), ["a-0"]);
    drain.answered(0, "a-0", Answer::Accepted);
    assert_eq!(drain.evict(1, &[second]), ["a-1"]);
}

#[test]
fn d13_a_pod_that_does_not_end_keeps_the_next_one_for_its_grace_and_the_limit() {
    let mut drain = Drain::new(serial());
    drain.attach(&["a", "b"]);
    let pods = [ending(with_claim("a-0", "a", 0)), with_claim("b-0", "b", 0)];
    assert!(drain.evict(0, &pods).is_empty());
    assert!(drain.evict(29 + WAIT, &pods).is_empty());
    assert_eq!(drain.evict(30 + WAIT, &pods), ["b-0"]);
}

struct Drain {
    plan: Plan,
}

impl Drain {
    fn new(terms: DrainTerms) -> Self {
        Self {
            plan: Plan::new(10).ordered(terms),
        }
    }

    /// The set `db` in this version: so many of its members are Ready, and none ends.
    fn sets(&mut self, version: u32, wanted: u32, ready: u32) {
        let set = json!({
            "metadata": { "name": "db", "namespace": "shop", "resourceVersion": version.to_string() },
            "spec": { "replicas": wanted, "serviceName": "db", "selector": {}, "template": {} },
            "status": { "replicas": wanted, "readyReplicas": ready, "updatedReplicas": ready,
                "currentRevision": "a", "updateRevision": "a" },
        });
        let mut sets = StatefulSets::default();
        sets.insert(StatefulSetView::of(&serde_json::from_value(set).unwrap()).unwrap());
        self.plan.handle_sets(Ok(Arc::new(sets)));
    }

    /// The volumes of these claims are attached.
    fn attach(&mut self, claims: &[&str]) {
        let attached = claims.iter().map(|claim| Attached {
            volume: format!("pv-{claim}"),
            driver: "disk.example.com".to_owned(),
            claim: Some(("shop".to_owned(), (*claim).to_owned())),
        });
        self.plan.handle_attached(Ok(attached.collect()));
    }

    fn step(&mut self, second: i64, pods: &[NodePod]) -> Step {
        self.plan.step(at(second), pods, None)
    }

    /// The pods whose evictions begin now.
    fn evict(&mut self, second: i64, pods: &[NodePod]) -> Vec<String> {
        let evict = self.step(second, pods).evict;
        for pod in &evict {
            self.plan.started(&pod.uid);
        }
        let mut uids: Vec<String> = evict.into_iter().map(|pod| pod.uid).collect();
        uids.sort();
        uids
    }

    fn answered(&mut self, second: i64, uid: &str, answer: Answer) {
        self.plan.answered(at(second), uid, answer, |wait: Duration| wait);
    }
}

fn members() -> DrainTerms {
    DrainTerms {
        one_member_at_a_time: true,
        ..DrainTerms::default()
    }
}

fn serial() -> DrainTerms {
    DrainTerms {
        serial_volumes: true,
        detach_wait: Some(Duration::from_secs(WAIT.unsigned_abs())),
        ..DrainTerms::default()
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn db(number: u32) -> NodePod {
    of("StatefulSet", "db", &format!("db-{number}"))
}

fn pod(name: &str) -> NodePod {
    of("ReplicaSet", "web", name)
}

fn with_claim(name: &str, claim: &str, priority: i32) -> NodePod {
    let mut pod = of("ReplicaSet", name, name);
    let facts = Arc::make_mut(&mut pod.facts);
    facts.claims = vec![claim.to_owned()];
    facts.priority = priority;
    pod
}

/// The same pod, in its grace until second 30.
fn ending(pod: NodePod) -> NodePod {
    NodePod {
        class: crate::pod::Class::Terminating { grace_ends_at: at(30) },
        ..pod
    }
}

fn of(kind: &str, owner: &str, name: &str) -> NodePod {
    let owner = json!({ "apiVersion": "apps/v1", "kind": kind, "name": owner, "uid": "r", "controller": true });
    let pod = json!({
        "metadata": { "name": name, "namespace": "shop", "uid": name, "ownerReferences": [owner] },
        "spec": { "nodeName": "n1", "containers": [] },
        "status": { "phase": "Running", "conditions": [{ "type": "Ready", "status": "True" }] },
    });
    let pod: Pod = serde_json::from_value(pod).unwrap();
    NodePod::on_node(&PodView::of(&pod).unwrap(), "n1", &DaemonSetKinds::default()).unwrap()
}
