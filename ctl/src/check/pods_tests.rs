//! Pods as kubelets report them.

use serde_json::json;

use super::*;

fn now() -> Timestamp {
    "2026-11-22T12:00:00Z".parse().unwrap()
}

/// A rebooter's pod, ten minutes old, with this status of its container.
fn pod(container: &Value) -> Value {
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

fn warning(reason: &str, message: &str) -> Value {
    json!({
        "kind": "Event", "type": "Warning", "reason": reason, "message": message,
        "lastTimestamp": "2026-11-22T11:59:00Z",
        "involvedObject": { "kind": "Pod", "name": "rebooter-x7k2p", "uid": "u-1" },
    })
}

fn found(pod: &Value, events: &[&Value]) -> Trouble {
    trouble(pod, events, "", now()).unwrap()
}

#[test]
fn a_missing_secret_is_named_with_the_command_that_makes_it() {
    let waiting = json!({ "name": "rebooter", "state": { "waiting": {
        "reason": "CreateContainerConfigError", "message": "secret \"nats-credentials\" not found",
    }}});
    let trouble = found(&pod(&waiting), &[]);
    assert_eq!(trouble.severity, Severity::Problem);
    assert_eq!(
        trouble.found,
        "CreateContainerConfigError: secret \"nats-credentials\" not found"
    );
    assert_eq!(trouble.cure, Cure::Make("secret", "nats-credentials".to_owned()));
}

#[test]
fn what_cannot_be_mounted_is_told_by_its_event() {
    let creating = pod(&json!({ "name": "rebooter", "state": { "waiting": { "reason": "ContainerCreating" } } }));
    let no_dbus = warning(
        "FailedMount",
        "MountVolume.SetUp failed for volume \"dbus\" : hostPath type check failed: /run/dbus is not a directory",
    );
    let trouble = found(&creating, &[&no_dbus]);
    assert_eq!(trouble.severity, Severity::Problem);
    assert!(trouble.found.contains("/run/dbus is not a directory"), "{trouble:?}");
    assert!(
        matches!(trouble.cure, Cure::Say(remedy) if remedy.contains("on the host")),
        "{trouble:?}"
    );
    let no_secret = warning(
        "FailedMount",
        "MountVolume.SetUp failed for volume \"nats\" : secret \"nats-ca\" not found",
    );
    assert_eq!(
        found(&creating, &[&no_secret]).cure,
        Cure::Make("secret", "nats-ca".to_owned())
    );
}

#[test]
fn a_crash_loop_tells_what_the_service_said_last() {
    let log = r#"{"timestamp":"2026-11-22T11:59:00Z","level":"ERROR","error":"NATS server at nats://old:4222 is version 2.9.10, at least 2.11 is needed","message":"Service stopped","target":"bellwether"}"#;
    let crashed = json!({
        "name": "rebooter", "restartCount": 7,
        "state": { "waiting": { "reason": "CrashLoopBackOff", "message": "back-off 5m0s restarting failed container" } },
        "lastState": { "terminated": { "reason": "Error", "exitCode": 1, "message": format!("first line\n{log}\n") } },
    });
    let trouble = found(&pod(&crashed), &[]);
    assert_eq!(
        trouble.found,
        "crash-looping (7 restarts): Service stopped: NATS server at nats://old:4222 is version 2.9.10, at least 2.11 is needed"
    );
    assert_eq!(
        (trouble.severity, trouble.cure),
        (Severity::Problem, Cure::PreviousLogs)
    );
    let killed = json!({
        "name": "rebooter", "restartCount": 2, "state": { "waiting": { "reason": "CrashLoopBackOff" } },
        "lastState": { "terminated": { "reason": "OOMKilled", "exitCode": 137 } },
    });
    assert_eq!(
        found(&pod(&killed), &[]).found,
        "crash-looping (2 restarts): OOMKilled, exit code 137"
    );
}

#[test]
fn an_image_that_cannot_be_pulled_is_named() {
    let waiting = json!({ "name": "rebooter", "image": "bellwether.invalid/rebooter:dev", "state": { "waiting": {
        "reason": "ImagePullBackOff", "message": "Back-off pulling image \"bellwether.invalid/rebooter:dev\"",
    }}});
    let trouble = found(&pod(&waiting), &[]);
    assert!(
        trouble
            .found
            .starts_with("ImagePullBackOff: bellwether.invalid/rebooter:dev"),
        "{trouble:?}"
    );
}

#[test]
fn a_pod_that_no_node_takes_says_why() {
    let mut unscheduled = pod(&json!({}));
    let conditions = json!([{ "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
        "message": "0/3 nodes are available: 3 Insufficient cpu." }]);
    *unscheduled.pointer_mut("/status/conditions").unwrap() = conditions;
    assert_eq!(
        found(&unscheduled, &[]).found,
        "no node takes it: 0/3 nodes are available: 3 Insufficient cpu."
    );
}

#[test]
fn a_pod_that_runs_and_is_not_ready_speaks_for_itself() {
    let mut running = pod(&json!({ "name": "rebooter", "state": { "running": {} } }));
    assert!(is_unready(&running));
    assert_eq!(admin_port(&running), Some(8080));
    let said = "nats: not connected to nats://typo:4222";
    let old = trouble(&running, &[], said, now()).unwrap();
    assert_eq!(
        (old.severity, old.found),
        (Severity::Problem, format!("not ready: {said}"))
    );
    *running.pointer_mut("/metadata/creationTimestamp").unwrap() = json!("2026-11-22T11:59:30Z");
    let young = trouble(&running, &[], said, now()).unwrap();
    assert_eq!(young.severity, Severity::Warning, "it may still be starting");
}

#[test]
fn a_ready_pod_and_one_that_has_ended_are_no_trouble() {
    let mut ready = pod(&json!({ "state": { "running": {} } }));
    *ready.pointer_mut("/status/conditions").unwrap() = json!([{ "type": "Ready", "status": "True" }]);
    assert_eq!(trouble(&ready, &[], "", now()), None);
    // As graceful node shutdown leaves it behind.
    *ready.pointer_mut("/status/phase").unwrap() = json!("Failed");
    assert!(!is_current(&ready));
}

#[test]
fn on_a_node_that_is_away_no_pod_is_a_problem() {
    let mut crashed = pod(&json!({ "name": "rebooter", "state": { "terminated": { "exitCode": 255 } } }));
    let spec = crashed.pointer_mut("/spec").unwrap().as_object_mut().unwrap();
    spec.insert("nodeName".to_owned(), json!("node-1"));
    let mut facts = Facts::for_tests();
    facts.agents.objects = vec![crashed];
    let severity = |facts: &Facts| findings(facts).first().map(|it| it.severity);
    assert_eq!(severity(&facts), Some(Severity::Problem));
    let down = json!([{ "type": "Ready", "status": "Unknown" }]);
    facts.nodes.objects =
        vec![json!({ "kind": "Node", "metadata": { "name": "node-1" }, "status": { "conditions": down } })];
    assert_eq!(severity(&facts), Some(Severity::Warning));
}

#[test]
fn the_same_trouble_of_many_pods_is_one_finding() {
    let waiting = json!({ "state": { "waiting": { "reason": "CreateContainerConfigError",
        "message": "secret \"nats-credentials\" not found" } } });
    let mut other = pod(&waiting);
    *other.pointer_mut("/metadata/name").unwrap() = json!("rebooter-q9z4d");
    let mut facts = Facts::for_tests();
    facts.agents.objects = vec![pod(&waiting), other];
    let findings = findings(&facts);
    let [finding] = findings.as_slice() else {
        panic!("{findings:?}");
    };
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
