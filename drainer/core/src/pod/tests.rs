//! Tests of the classes: Pod objects in, classes out.

use super::view::{MIRROR, STAYS};
use super::*;
use serde_json::{Value, json};

#[test]
fn d24_a_pod_of_another_node_is_not_ours() {
    let mut object = json(json!({}));
    object["spec"]["nodeName"] = json!("n2");
    assert_eq!(on_node(object.clone()), None);
    object["spec"] = json!({ "containers": [] });
    assert_eq!(on_node(object), None, "not bound yet");
}

#[test]
fn daemon_set_pods_stay_by_their_controller_and_not_by_any_owner() {
    let daemon = |controller, api| {
        json!({ "ownerReferences": [
            { "kind": "DaemonSet", "apiVersion": api, "name": "d", "uid": "o", "controller": controller }] })
    };
    assert_eq!(class(daemon(true, "apps/v1")), Class::Stays(StayReason::DaemonSet));
    assert!(matches!(class(daemon(false, "apps/v1")), Class::Evictable { .. }));
    assert_eq!(
        class(daemon(true, "apps.kruise.io/v1beta1")),
        Class::Stays(StayReason::DaemonSet)
    );
    assert!(matches!(class(daemon(true, "example.com/v1")), Class::Evictable { .. }));
}

#[test]
fn a_pod_stays_if_its_annotation_has_just_this_value() {
    let annotated = |value: &str| class(json!({ "annotations": { STAYS: value } }));
    assert_eq!(annotated("true"), Class::Stays(StayReason::Annotated));
    assert!(matches!(annotated("false"), Class::Evictable { .. }));
}

#[test]
fn static_pods_stay_even_when_they_seem_deleted() {
    let mirror = json!({
        "annotations": { MIRROR: "abc" },
        "deletionTimestamp": "2026-01-01T00:00:00Z",
    });
    assert_eq!(class(mirror), Class::Stays(StayReason::Static));
}

#[test]
fn finished_pods_stay_unless_only_the_kubelet_has_to_tidy_them_up() {
    let finished = |phase: &str, metadata: Value| {
        let mut object = json(metadata);
        object["status"] = json!({ "phase": phase });
        on_node(object).unwrap().class
    };
    let by = "2026-01-01T00:00:00Z";
    for phase in ["Succeeded", "Failed"] {
        assert_eq!(finished(phase, json!({})), Class::Stays(StayReason::Finished));
        let held = json!({ "deletionTimestamp": by, "finalizers": ["example.com/backup"] });
        assert_eq!(finished(phase, held), Class::Stays(StayReason::Finished));
        let deleted = json!({ "deletionTimestamp": by });
        let by = by.parse().unwrap();
        assert_eq!(finished(phase, deleted), Class::Terminating { grace_ends_at: by });
    }
}

#[test]
fn d27_a_pod_that_only_a_finalizer_keeps_stays() {
    let deleted = "2026-01-01T00:00:30Z";
    let ended = json!({ "terminated": { "exitCode": 0 } });
    let running = json!({ "running": {} });
    let held = |finalizers: Value, states: &[(&str, &Value)], sidecar: Option<&Value>| {
        let mut object = json(json!({ "deletionTimestamp": deleted, "finalizers": finalizers }));
        object["spec"]["containers"] = json!([{ "name": "app" }, { "name": "log" }]);
        let status = |(name, state): &(&str, &Value)| json!({ "name": name, "state": state, "ready": false, "restartCount": 0, "image": "", "imageID": "" });
        let of: Vec<Value> = states.iter().map(status).collect();
        let init: Vec<Value> = sidecar.iter().map(|state| status(&("proxy", state))).collect();
        object["status"] = json!({ "phase": "Running", "containerStatuses": of, "initContainerStatuses": init });
        on_node(object).unwrap()
    };
    let finalizer = || json!(["shop.example.com/bill"]);
    let both = [("app", &ended), ("log", &ended)];
    let kept = held(finalizer(), &both, Some(&ended));
    assert_eq!(kept.class, Class::Stays(StayReason::Finished));
    let class = Class::Terminating {
        grace_ends_at: deleted.parse().unwrap(),
    };
    // A container runs, or has no status yet; a sidecar runs; no finalizer keeps the object, only the kubelet.
    let one_runs = held(finalizer(), &[("app", &running), ("log", &ended)], None);
    assert_eq!(
        (one_runs.class, &one_runs.facts.running[..]),
        (class.clone(), &["app".to_owned()][..])
    );
    let unreported = held(finalizer(), &[("app", &ended)], None);
    assert_eq!(
        (unreported.class, &unreported.facts.running[..]),
        (class.clone(), &["log".to_owned()][..])
    );
    let sidecar = held(finalizer(), &both, Some(&running));
    assert_eq!(
        (sidecar.class, &sidecar.facts.running[..]),
        (class.clone(), &["proxy".to_owned()][..])
    );
    assert_eq!(held(json!([]), &both, None).class, class);
}

#[test]
fn d47_the_drain_only_waits_for_a_terminating_pod() {
    let by = "2026-01-01T00:00:30Z";
    assert_eq!(
        class(json!({ "deletionTimestamp": by })),
        Class::Terminating {
            grace_ends_at: by.parse().unwrap()
        }
    );
}

#[test]
fn d10_all_risks_are_listed() {
    let mut object = json(json!({}));
    object["spec"]["volumes"] = json!([{ "name": "m", "emptyDir": { "medium": "Memory" } }]);
    assert_eq!(
        on_node(object.clone()).unwrap().class,
        Class::Evictable {
            risks: vec![Risk::NoController]
        }
    );
    object["spec"]["volumes"] = json!([{ "name": "d", "emptyDir": {} }]);
    let risks = vec![Risk::NoController, Risk::ScratchData];
    assert_eq!(on_node(object).unwrap().class, Class::Evictable { risks });
}

#[test]
fn d10_each_loss_is_named_for_the_owner_of_the_pod() {
    assert!(Risk::NoController.as_str().contains("not started again"));
    assert!(Risk::ScratchData.as_str().contains("data is lost"));
}

fn class(metadata: Value) -> Class {
    on_node(json(metadata)).unwrap().class
}

fn on_node(object: Value) -> Option<NodePod> {
    NodePod::on_node(
        &PodView::of(&serde_json::from_value(object).unwrap())?,
        "n1",
        &DaemonSetKinds::default(),
    )
}

fn json(mut metadata: Value) -> Value {
    metadata["name"] = json!("a");
    metadata["namespace"] = json!("shop");
    metadata["uid"] = json!("u1");
    json!({ "metadata": metadata, "spec": { "nodeName": "n1", "containers": [] } })
}
