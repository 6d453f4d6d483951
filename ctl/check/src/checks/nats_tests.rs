//! Addresses, Services and servers as they are met.

use bellwether_proto::wire::ListNodesResponse;
use serde_json::{Value, json};

use super::*;
use crate::facts::FleetAnswer;
use crate::testing::{beside, objects, services};

fn facts(url: &str, copies: &str) -> Facts {
    let mut facts = crate::testing::facts();
    let container = json!({ "env": [
        { "name": NATS_URL, "value": url }, { "name": STREAM_REPLICAS, "value": copies },
    ]});
    facts.workloads.objects = objects([json!({
        "kind": "Deployment", "metadata": { "name": "scheduler", "namespace": "bellwether" },
        "spec": { "template": { "spec": { "containers": [container] } } },
    })]);
    facts.fleet = Err("not reached".to_owned());
    facts
}

fn nats_service(cluster_ip: &str) -> Value {
    json!({
        "kind": "Service", "metadata": { "name": "nats", "namespace": "bellwether" },
        "spec": { "clusterIP": cluster_ip, "selector": { "app": "nats" }, "ports": [{ "port": 4222 }] },
    })
}

fn slice(ready: bool) -> Value {
    json!({
        "kind": "EndpointSlice",
        "metadata": { "namespace": "bellwether", "labels": { "kubernetes.io/service-name": "nats" } },
        "endpoints": [{ "conditions": { "ready": ready } }],
    })
}

/// As behind our own Service, which publishes every server as `ready`.
fn published(serving: bool) -> Value {
    let mut slice = slice(true);
    *slice.pointer_mut("/endpoints/0/conditions").unwrap() = json!({ "ready": true, "serving": serving });
    slice
}

fn set(replicas: u64, ready: u64) -> Value {
    json!({
        "kind": "StatefulSet", "metadata": { "name": "nats", "namespace": "bellwether" },
        "spec": { "replicas": replicas, "template": { "metadata": { "labels": { "app": "nats" } } } },
        "status": { "readyReplicas": ready },
    })
}

#[test]
fn an_address_names_a_service_only_inside_of_the_cluster() {
    let of = |url| target("bellwether-agents", url).map(|it| (it.namespace, it.service, it.port));
    let nats = |namespace: &str, port| Some((namespace.to_owned(), "nats".to_owned(), port));
    assert_eq!(of("nats://nats.bellwether.svc:4222"), nats("bellwether", 4222));
    assert_eq!(
        of("tls://user:pw@nats-0.nats.mq.svc.cluster.local:4443"),
        nats("mq", 4443)
    );
    assert_eq!(of("nats://nats"), nats("bellwether-agents", 4222));
    for outside in [
        "nats://localhost:4222",
        "nats://10.0.0.7:4222",
        "tls://nats.example.com:4222",
        "nats://[::1]:4222",
    ] {
        assert_eq!(of(outside), None, "{outside}");
    }
}

#[test]
fn a_service_that_is_not_there_is_named_with_the_setting() {
    let facts = facts("nats://nats.messaging.svc:4222", "1");
    let finding = findings(&facts).remove(0);
    assert_eq!(finding.severity, Severity::Problem);
    assert_eq!(finding.subject, "Service messaging/nats");
    assert!(finding.found.contains("BELLWETHER_NATS_URL names it"), "{finding:?}");
    assert_eq!(namespaces(&facts), ["messaging"]);
}

#[test]
fn a_service_without_a_server_or_on_another_port_is_a_problem() {
    let mut facts = facts("nats://nats.bellwether.svc:4222", "1");
    facts.services.objects = services([nats_service("10.0.0.9"), slice(false)]);
    let finding = findings(&facts).remove(0);
    assert_eq!(finding.severity, Severity::Problem);
    assert!(finding.found.contains("no NATS server is ready"), "{finding:?}");
    assert!(finding.remedy.unwrap().ends_with("-l app=nats"));
    facts.services.objects = services([nats_service("10.0.0.9"), slice(true)]);
    assert_eq!(findings(&facts).remove(0).severity, Severity::Ok);
    let mut elsewhere = self::facts("nats://nats.bellwether.svc:4333", "1");
    elsewhere.services.objects = services([nats_service("10.0.0.9"), slice(true)]);
    assert!(findings(&elsewhere).remove(0).found.contains("port 4333"));
    elsewhere.services.objects = services([nats_service("None"), slice(true)]);
    assert_eq!(
        findings(&elsewhere).remove(0).severity,
        Severity::Ok,
        "the server's own port"
    );
}

#[test]
fn a_server_that_is_published_and_does_not_serve_does_not_count() {
    let mut facts = facts("nats://nats.bellwether.svc:4222", "1");
    facts.services.objects = services([nats_service("None"), published(false)]);
    let finding = findings(&facts).remove(0);
    assert_eq!(finding.severity, Severity::Problem);
    assert!(finding.found.contains("no NATS server is ready"), "{finding:?}");
    facts.services.objects = services([nats_service("None"), published(true)]);
    assert_eq!(findings(&facts).remove(0).severity, Severity::Ok);
}

#[test]
fn a_ready_pod_is_a_server_before_its_slice_follows() {
    let mut facts = facts("nats://nats:4222", "1");
    facts.services.objects = services([nats_service("None")]);
    facts.control.objects = beside([json!({
        "kind": "Pod", "metadata": { "name": "nats-0", "namespace": "bellwether", "labels": { "app": "nats" } },
        "status": { "conditions": [{ "type": "Ready", "status": "True" }] },
    })]);
    assert_eq!(findings(&facts).remove(0).severity, Severity::Ok);
}

#[test]
fn servers_and_copies_of_streams_have_to_fit() {
    let of = |servers, ready, copies| {
        let mut facts = facts("nats://nats:4222", copies);
        facts.services.objects = services([nats_service("None"), slice(true)]);
        facts
            .workloads
            .objects
            .extend(objects::<Vec<Workload>>([set(servers, ready)]));
        findings(&facts).pop().unwrap()
    };
    let single = of(1, 1, "1");
    assert_eq!(single.severity, Severity::Ok);
    assert!(single.found.contains("a single server"), "{single:?}");
    assert_eq!(of(3, 3, "3").severity, Severity::Ok);
    assert_eq!(of(3, 2, "3").severity, Severity::Warning);
    assert_eq!(of(3, 3, "1").severity, Severity::Warning);
    assert_eq!(of(1, 1, "3").severity, Severity::Problem);
}

#[test]
fn versions_have_a_floor_and_a_recommendation() {
    let of = |version: &str| {
        let mut facts = crate::testing::facts();
        let list = ListNodesResponse {
            nats_version: version.to_owned(),
            ..Default::default()
        };
        facts.fleet = Ok(FleetAnswer {
            leader: String::new(),
            list,
        });
        findings(&facts).first().map(|it| it.severity)
    };
    assert_eq!(of("2.10.29"), Some(Severity::Problem));
    assert_eq!(of("2.11.0"), Some(Severity::Warning));
    assert_eq!(of("2.12.8"), Some(Severity::Ok));
    assert_eq!(of(""), None, "an older scheduler does not report it");
}

#[test]
fn servers_elsewhere_are_mentioned_when_nothing_else_is_known() {
    let finding = findings(&facts("tls://user:secret@nats.example.com:4222", "1")).remove(0);
    assert_eq!(finding.severity, Severity::Warning);
    assert!(
        finding.found.starts_with("tls://nats.example.com:4222 is outside"),
        "{finding:?}"
    );
}
