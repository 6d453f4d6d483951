//! Pods as kubelets report them: many of them, on nodes that come and go.

use bellwether_proto::mark::CORDONED_FOR;
use bellwether_proto::readiness::{self, ReadinessCode};
use bellwether_proto::wire::{ListNodesResponse, NodeState, NodeStatus};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::*;
use crate::facts::FleetAnswer;
use crate::testing::{beside, facts, objects};

pub(super) fn now() -> Timestamp {
    "2026-11-22T12:00:00Z".parse().unwrap()
}

/// A rebooter's pod, ten minutes old, with this status of its container.
pub(super) fn pod(container: &Value) -> Value {
    json!({
        "kind": "Pod",
        "metadata": {
            "name": "rebooter-x7k2p", "namespace": "bellwether-agents", "uid": "u-1",
            "creationTimestamp": "2026-11-22T11:50:00Z", "labels": { COMPONENT: "rebooter" },
        },
        "spec": { "containers": [{ "name": "rebooter", "ports": [{ "name": "admin", "containerPort": 8080 }] }] },
        "status": {
            "phase": "Pending",
            "conditions": [{ "type": "PodScheduled", "status": "True" }, { "type": "Ready", "status": "False" }],
            "containerStatuses": [container],
        },
    })
}

pub(super) fn set(object: &mut Value, pointer: &str, value: Value) {
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    let parent = object.pointer_mut(parent).unwrap().as_object_mut().unwrap();
    parent.insert(key.to_owned(), value);
}

pub(super) fn warning(reason: &str, message: &str) -> Value {
    json!({
        "kind": "Event", "type": "Warning", "reason": reason, "message": message,
        "lastTimestamp": "2026-11-22T11:59:00Z",
        "involvedObject": { "kind": "Pod", "name": "rebooter-x7k2p", "uid": "u-1" },
    })
}

/// The nth of many that differ in name and UID alone.
fn nth(pod: &Value, n: usize) -> Value {
    let mut other = pod.clone();
    set(&mut other, "/metadata/name", json!(format!("rebooter-{n}")));
    set(&mut other, "/metadata/uid", json!(format!("u-{n}")));
    other
}

fn only(facts: &Facts) -> Finding {
    let findings = findings(facts);
    let [finding] = findings.as_slice() else {
        panic!("{findings:?}");
    };
    finding.clone()
}

#[test]
fn on_a_node_that_is_away_no_pod_is_a_problem() {
    let mut crashed = pod(&json!({ "name": "rebooter", "state": { "terminated": { "exitCode": 255 } } }));
    set(&mut crashed, "/spec/nodeName", json!("node-1"));
    let mut facts = facts();
    facts.agents.objects = beside([crashed]);
    assert_eq!(only(&facts).severity, Severity::Problem);
    let down = json!([{ "type": "Ready", "status": "Unknown" }]);
    facts.nodes.objects =
        objects([json!({ "kind": "Node", "metadata": { "name": "node-1" }, "status": { "conditions": down } })]);
    let finding = only(&facts);
    assert_eq!(finding.severity, Severity::Warning);
    assert!(
        finding.found.ends_with("(its node is down or in an attempt)"),
        "{finding:?}"
    );
}

#[test]
fn a_pod_that_no_node_takes_is_no_problem_while_a_node_is_in_an_attempt() {
    let mut unscheduled = pod(&json!({}));
    let full = json!([{ "type": "PodScheduled", "status": "False", "message": "0/1 nodes are available" }]);
    set(&mut unscheduled, "/status/conditions", full);
    let mut facts = facts();
    facts.agents.objects = beside([unscheduled]);
    assert_eq!(only(&facts).severity, Severity::Problem);
    let status = NodeStatus {
        node: "node-1".to_owned(),
        ready: true,
        state: NodeState::InProgress.into(),
        ..Default::default()
    };
    let list = ListNodesResponse {
        nodes: vec![status],
        ..Default::default()
    };
    let leader = String::new();
    facts.fleet = Ok(FleetAnswer { leader, list });
    let finding = only(&facts);
    assert_eq!(finding.severity, Severity::Warning);
    assert!(
        finding.found.ends_with("(while a node is in an attempt)"),
        "{finding:?}"
    );
    // Without a scheduler the cordon is the evidence.
    facts.fleet = Err("not reached".to_owned());
    let ready = json!([{ "type": "Ready", "status": "True" }]);
    let metadata = json!({ "name": "node-1", "annotations": { CORDONED_FOR: "a77e" } });
    facts.nodes.objects = objects([json!({ "kind": "Node", "metadata": metadata, "status": { "conditions": ready } })]);
    assert_eq!(only(&facts).severity, Severity::Warning);
}

#[test]
fn the_same_trouble_of_many_pods_is_one_finding() {
    let waiting = json!({ "state": { "waiting": { "reason": "CreateContainerConfigError",
        "message": "secret \"nats-credentials\" not found" } } });
    let mut other = pod(&waiting);
    set(&mut other, "/metadata/name", json!("rebooter-q9z4d"));
    let mut facts = facts();
    facts.agents.objects = beside([pod(&waiting), other]);
    let finding = only(&facts);
    assert_eq!(finding.subject, "2 pods of rebooter");
    assert!(
        finding.found.ends_with("(rebooter-x7k2p, rebooter-q9z4d)"),
        "{finding:?}"
    );
    let remedy = finding.remedy.as_deref().unwrap();
    assert!(
        remedy.starts_with("kubectl -n bellwether-agents create secret generic nats-credentials"),
        "{remedy}"
    );
}

#[test]
fn thousands_of_pods_whose_words_differ_in_ids_are_one_finding() {
    let creating = pod(&json!({ "state": { "waiting": { "reason": "ContainerCreating" } } }));
    let mut facts = facts();
    let mut all = Vec::new();
    for n in 1..=5000 {
        let sandbox = format!("plugin type=\"calico\" failed: dial 10.0.0.{n}: sandbox {n:x}f00");
        let mut event = warning("FailedCreatePodSandBox", &sandbox);
        set(&mut event, "/involvedObject/uid", json!(format!("u-{n}")));
        all.extend([nth(&creating, n), event]);
    }
    facts.agents.objects = beside(all);
    let finding = only(&facts);
    assert_eq!(finding.subject, "5000 pods of rebooter");
    assert!(
        finding.found.contains("dial 10.0.0.1: sandbox 1f00 (rebooter-1, ")
            && finding.found.ends_with("and 4996 more; as the first says it)"),
        "{finding:?}"
    );
}

#[test]
fn the_answers_of_pods_that_were_asked_hold_for_those_that_were_not() {
    let running = pod(&json!({ "state": { "running": {} } }));
    let mut facts = facts();
    facts.agents.objects = beside((1..=9).map(|n| nth(&running, n)));
    let key = |n: usize| PodKey {
        namespace: "bellwether-agents".to_owned(),
        name: format!("rebooter-{n}"),
    };
    let answered = |body: &str| Readiness::Answered(readiness::parse(body));
    let refused = "not connected to nats://nats:4222: authorization violation";
    facts.readiness = [
        (key(3), answered("ok")),
        (key(5), Readiness::Unanswered("timed out".to_owned())),
        (key(7), answered(&ReadinessCode::NatsAuthRefused.line(refused))),
    ]
    .into();
    let finding = only(&facts);
    assert_eq!(finding.subject, "9 pods of rebooter");
    assert!(
        finding
            .found
            .starts_with(&format!("not ready: nats: {refused} (rebooter-7, rebooter-5, ")),
        "{finding:?}"
    );
    assert!(finding.remedy.unwrap().starts_with("renew the credentials"));
}

#[test]
fn the_newest_warning_of_a_pod_counts_whatever_the_order() {
    let creating = pod(&json!({ "state": { "waiting": { "reason": "ContainerCreating" } } }));
    let mut old = warning("FailedMount", "timed out waiting for the condition");
    set(&mut old, "/lastTimestamp", json!("2026-11-22T11:52:00Z"));
    let new = warning("FailedMount", "secret \"nats-ca\" not found");
    let mut facts = facts();
    for events in [[old.clone(), new.clone()], [new, old]] {
        facts.agents.objects = beside([creating.clone()].into_iter().chain(events));
        assert_eq!(only(&facts).found, "secret \"nats-ca\" not found");
    }
}
