//! Neighbours as they are met.

use serde_json::{Value, json};

use super::*;
use crate::object::{COMPONENT, PART_OF};
use crate::testing::objects;

fn kured_set(desired: u64, lock: Option<&str>) -> Value {
    let mut annotations = json!({ "deprecated.daemonset.template.generation": "1" });
    if let (Some(lock), Some(map)) = (lock, annotations.as_object_mut()) {
        map.insert("weave.works/kured-node-lock".to_owned(), json!(lock));
    }
    json!({
        "kind": "DaemonSet",
        "metadata": { "name": "kured", "namespace": "kube-system", "annotations": annotations },
        "spec": { "template": { "spec": { "containers": [{ "image": "ghcr.io/kubereboot/kured:1.23.0" }] } } },
        "status": { "desiredNumberScheduled": desired },
    })
}

fn with(workloads: Vec<Value>) -> Vec<Finding> {
    let mut facts = crate::testing::facts();
    facts.workloads.objects = objects(workloads);
    findings(&facts)
}

const HELD: &str = r#"{"nodeID":"node-1","metadata":{"unschedulable":false},"created":"2026-11-22T11:50:00Z","TTL":0}"#;

#[test]
fn alone_is_one_line() {
    let findings = with(vec![]);
    assert_eq!(findings.len(), 1);
    assert_eq!(findings.first().map(|it| it.severity), Some(Severity::Ok));
}

#[test]
fn a_live_kured_and_its_held_lock_are_problems() {
    let findings = with(vec![kured_set(3, Some(HELD))]);
    let [live, lock] = findings.as_slice() else {
        panic!("{findings:?}");
    };
    assert_eq!((live.severity, lock.severity), (Severity::Problem, Severity::Problem));
    assert!(live.found.starts_with("runs on 3 nodes"), "{live:?}");
    assert_eq!(
        live.remedy.as_deref(),
        Some("kubectl -n kube-system delete daemonset kured")
    );
    assert_eq!(lock.found, "its lock is held: by node-1 for 10m");
    assert!(
        lock.remedy
            .as_deref()
            .unwrap()
            .ends_with("annotate daemonset kured weave.works/kured-node-lock-")
    );
}

#[test]
fn a_second_installation_is_named_by_its_namespace() {
    let part = |namespace: &str, component: &str| {
        json!({
            "kind": "Deployment",
            "metadata": { "name": component, "namespace": namespace, "labels": {
                PART_OF: "bellwether", COMPONENT: component, "app.kubernetes.io/name": "bellwether",
            } },
        })
    };
    let findings = with(vec![
        part("bellwether", "scheduler"),
        part("staging", "scheduler"),
        part("staging", "drainer"),
    ]);
    let [second] = findings.as_slice() else {
        panic!("{findings:?}");
    };
    assert_eq!(
        (second.severity, second.subject.as_str()),
        (Severity::Problem, "second Bellwether in staging")
    );
    assert!(second.found.starts_with("scheduler, drainer:"), "{second:?}");
}

#[test]
fn where_rivals_are_tolerated_they_are_warnings() {
    let env = json!([{ "name": TOLERATE_RIVALS, "value": "true" }]);
    let scheduler = json!({
        "kind": "Deployment", "metadata": { "name": "scheduler", "namespace": "bellwether" },
        "spec": { "template": { "spec": { "containers": [{ "env": env }] } } },
    });
    let findings = with(vec![scheduler, kured_set(3, Some(HELD))]);
    assert!(
        findings.iter().all(|it| it.severity == Severity::Warning),
        "{findings:?}"
    );
}

#[test]
fn other_tools_are_warnings() {
    let findings = with(vec![json!({
        "kind": "Deployment", "metadata": { "name": "system-upgrade-controller", "namespace": "system-upgrade" },
    })]);
    let [tool] = findings.as_slice() else {
        panic!("{findings:?}");
    };
    assert_eq!(tool.severity, Severity::Warning);
    assert!(
        tool.found.contains("system-upgrade/system-upgrade-controller"),
        "{tool:?}"
    );
}

#[test]
fn foreign_cordons_differ_from_ours_and_kureds() {
    let node = |name: &str, mark: &str| {
        let annotations: Value = if mark.is_empty() {
            json!({})
        } else {
            json!({ mark: "x" })
        };
        json!({
            "kind": "Node", "metadata": { "name": name, "annotations": annotations },
            "spec": { "unschedulable": true },
        })
    };
    let mut facts = crate::testing::facts();
    facts.nodes.objects = objects([
        node("node-1", bellwether_proto::mark::CORDONED_FOR),
        node("node-2", KURED_IN_PROGRESS),
        node("node-3", ""),
    ]);
    let found: Vec<String> = findings(&facts).into_iter().map(|it| it.found).collect();
    assert_eq!(
        found,
        [
            "cordoned by kured, in mid-reboot: node-2; each takes a slot",
            "cordoned by somebody else: node-3; each takes a slot"
        ]
    );
}
