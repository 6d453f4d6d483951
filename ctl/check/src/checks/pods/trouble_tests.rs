//! One pod with one trouble each, as kubelets report it.

use bellwether_proto::readiness;
use serde_json::{Value, json};

use super::super::tests::{now, pod, set, warning};
use super::*;
use crate::foreign::{MissingKind, MissingObject};
use crate::object::is_current;
use crate::testing::typed;

fn trouble_of(pod: &Value, event: Option<&Value>, readiness: Option<&Readiness>) -> Option<Trouble> {
    let event: Option<Event> = event.map(|event| typed(event.clone()));
    trouble(&typed(pod.clone()), event.as_ref(), readiness, now())
}

fn found(pod: &Value, event: Option<&Value>) -> Trouble {
    trouble_of(pod, event, None).unwrap()
}

fn make_secret(name: &str) -> Cure {
    let (kind, name) = (MissingKind::Secret, name.to_owned());
    Cure::Make(MissingObject { kind, name })
}

#[test]
fn a_missing_secret_is_named_with_the_command_that_makes_it() {
    let waiting = json!({ "name": "rebooter", "state": { "waiting": {
        "reason": "CreateContainerConfigError", "message": "secret \"nats-credentials\" not found",
    }}});
    let trouble = found(&pod(&waiting), None);
    assert_eq!(
        (trouble.severity, trouble.code),
        (Severity::Problem, Code::PodMissesObject)
    );
    assert_eq!(
        trouble.found,
        "CreateContainerConfigError: secret \"nats-credentials\" not found"
    );
    assert_eq!(trouble.cure, make_secret("nats-credentials"));
}

#[test]
fn a_mount_that_fails_is_reported_by_its_event() {
    let creating = pod(&json!({ "name": "rebooter", "state": { "waiting": { "reason": "ContainerCreating" } } }));
    let no_dbus = warning(
        "FailedMount",
        "MountVolume.SetUp failed for volume \"dbus\" : hostPath type check failed: /run/dbus is not a directory",
    );
    let trouble = found(&creating, Some(&no_dbus));
    assert_eq!(trouble.severity, Severity::Problem);
    assert!(trouble.found.contains("/run/dbus is not a directory"), "{trouble:?}");
    assert_eq!(
        (trouble.code, trouble.cure),
        (Code::PodMissesHostPath, Cure::MakeOnHost)
    );
    let no_secret = warning(
        "FailedMount",
        "MountVolume.SetUp failed for volume \"nats\" : secret \"nats-ca\" not found",
    );
    assert_eq!(found(&creating, Some(&no_secret)).cure, make_secret("nats-ca"));
    let no_authority = warning(
        "FailedMount",
        "MountVolume.SetUp failed for volume \"nats\" : configmap references non-existent config key: ca.crt",
    );
    let trouble = found(&creating, Some(&no_authority));
    assert_eq!(
        (trouble.code, trouble.cure),
        (Code::AuthorityNotPublished, Cure::AwaitAuthority)
    );
}

#[test]
fn a_crash_loop_is_reported_with_the_last_words_of_the_service() {
    let log = r#"{"timestamp":"2026-11-22T11:59:00Z","level":"ERROR","error":"NATS server at nats://old:4222 is version 2.9.10, at least 2.11 is needed","message":"Service stopped","target":"bellwether"}"#;
    let crashed = json!({
        "name": "rebooter", "restartCount": 7,
        "state": { "waiting": { "reason": "CrashLoopBackOff", "message": "back-off 5m0s restarting failed container" } },
        "lastState": { "terminated": { "reason": "Error", "exitCode": 1, "message": format!("first line\n{log}\n") } },
    });
    let trouble = found(&pod(&crashed), None);
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
        found(&pod(&killed), None).found,
        "crash-looping (2 restarts): OOMKilled, exit code 137"
    );
}

#[test]
fn an_image_that_cannot_be_pulled_is_named() {
    let waiting = json!({ "name": "rebooter", "image": "bellwether.invalid/rebooter:dev", "state": { "waiting": {
        "reason": "ImagePullBackOff", "message": "Back-off pulling image \"bellwether.invalid/rebooter:dev\"",
    }}});
    let trouble = found(&pod(&waiting), None);
    assert!(
        trouble
            .found
            .starts_with("ImagePullBackOff: bellwether.invalid/rebooter:dev"),
        "{trouble:?}"
    );
}

#[test]
fn a_pod_that_no_node_takes_is_reported_with_the_reason() {
    let mut unscheduled = pod(&json!({}));
    let conditions = json!([{ "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
        "message": "0/3 nodes are available: 3 Insufficient cpu." }]);
    set(&mut unscheduled, "/status/conditions", conditions);
    assert_eq!(
        found(&unscheduled, None).found,
        "no node takes it: 0/3 nodes are available: 3 Insufficient cpu."
    );
}

#[test]
fn a_pod_that_runs_and_is_not_ready_speaks_for_itself() {
    let mut running = pod(&json!({ "name": "rebooter", "state": { "running": {} } }));
    let words = "nats: not connected to nats://typo:4222";
    let answered = Readiness::Answered(readiness::parse(words));
    let old = trouble_of(&running, None, Some(&answered)).unwrap();
    assert_eq!(
        (old.severity, old.found),
        (Severity::Problem, format!("not ready: {words}"))
    );
    set(
        &mut running,
        "/metadata/creationTimestamp",
        json!("2026-11-22T11:59:30Z"),
    );
    let young = trouble_of(&running, None, Some(&answered)).unwrap();
    assert_eq!(young.severity, Severity::Warning, "it may still be starting");
}

#[test]
fn a_ready_pod_and_one_that_has_ended_are_no_trouble() {
    let mut ready = pod(&json!({ "state": { "running": {} } }));
    set(
        &mut ready,
        "/status/conditions",
        json!([{ "type": "Ready", "status": "True" }]),
    );
    assert_eq!(trouble_of(&ready, None, None), None);
    // As graceful node shutdown leaves it behind.
    set(&mut ready, "/status/phase", json!("Failed"));
    assert!(!is_current(&typed(ready)));
}

/// A pod that is ready now, though its container has ended so often, like this.
fn ready_again(times: u64, ended: &str, reason: &str, code: u64) -> Option<Trouble> {
    let mut ready = pod(&json!({
        "name": "rebooter", "restartCount": times, "state": { "running": {} },
        "lastState": { "terminated": { "reason": reason, "exitCode": code, "finishedAt": ended } },
    }));
    set(
        &mut ready,
        "/status/conditions",
        json!([{ "type": "Ready", "status": "True" }]),
    );
    trouble_of(&ready, None, None)
}

#[test]
fn a_pod_that_keeps_dying_is_warned_of_though_it_is_ready_at_the_moment() {
    let killed = ready_again(5, "2026-11-22T11:48:00Z", "OOMKilled", 137).unwrap();
    assert_eq!((killed.severity, killed.cure), (Severity::Warning, Cure::PreviousLogs));
    assert_eq!(
        killed.found,
        "ready, but it ends again and again (5 restarts, the last 12m ago): OOMKilled, exit code 137"
    );
    assert!(ready_again(2, "2026-11-22T11:48:00Z", "Error", 101).is_some());
    assert!(
        ready_again(2, "2026-11-22T11:48:00Z", "OOMKilled", 0).is_some(),
        "its child was killed"
    );
}

#[test]
fn reboots_orderly_stops_and_ends_long_past_are_no_trouble() {
    for code in [0, 143, 255] {
        assert_eq!(ready_again(9, "2026-11-22T11:48:00Z", "Error", code), None, "{code}");
    }
    assert_eq!(ready_again(9, "2026-11-22T10:59:00Z", "Error", 1), None, "an hour ago");
    assert_eq!(ready_again(1, "2026-11-22T11:48:00Z", "Error", 1), None, "once");
}

#[test]
fn an_init_container_that_has_done_its_work_hides_nothing() {
    let waiting = json!({ "name": "rebooter", "state": { "waiting": {
        "reason": "CreateContainerConfigError", "message": "secret \"nats\" not found",
    }}});
    let mut blocked = pod(&waiting);
    let ended = |code: u64| json!([{ "name": "init", "state": { "terminated": { "reason": "X", "exitCode": code } } }]);
    set(&mut blocked, "/status/initContainerStatuses", ended(0));
    assert_eq!(
        found(&blocked, None).found,
        "CreateContainerConfigError: secret \"nats\" not found"
    );
    set(&mut blocked, "/status/initContainerStatuses", ended(1));
    assert_eq!(found(&blocked, None).found, "has ended: X, exit code 1");
}
