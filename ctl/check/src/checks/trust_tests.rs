//! Services and gatekeepers as deploy/components brings them.

use bellwether_proto::readiness::{self, ReadinessCode};
use bellwether_proto::setting::NATS_CA;
use serde_json::{Value, json};

use super::*;
use crate::testing::{beside, facts, objects};

/// A cluster whose services all have these settings.
fn cluster(settings: &Value) -> Facts {
    let workload = |kind: &str, component: &str, namespace: &str| {
        let source = json!([{ "configMapRef": { "name": "bellwether-settings-5t2m" } }]);
        json!({
            "kind": kind,
            "metadata": { "name": component, "namespace": namespace },
            "spec": { "template": { "spec": { "containers": [{ "envFrom": source }] } } },
        })
    };
    let config = |namespace: &str| {
        let metadata = json!({ "name": "bellwether-settings-5t2m", "namespace": namespace });
        json!({ "kind": "ConfigMap", "metadata": metadata, "data": settings })
    };
    let mut facts = facts();
    facts.workloads.objects = objects([
        workload("Deployment", "scheduler", "bellwether"),
        workload("Deployment", "drainer", "bellwether"),
        workload("DaemonSet", "sentinel", "bellwether-agents"),
        workload("DaemonSet", "rebooter", "bellwether-agents"),
    ]);
    facts.control.objects = beside([config("bellwether")]);
    facts.agents.objects = beside([config("bellwether-agents")]);
    facts
}

fn found(facts: &Facts) -> Vec<(Severity, Code)> {
    findings(facts).iter().map(|it| (it.severity, it.code)).collect()
}

#[test]
fn the_way_of_the_services_to_nats_is_named_with_what_it_guarantees() {
    let tls = "tls://nats:4222";
    let open = (Severity::Warning, Code::NatsOpen);
    let shared = (Severity::Ok, Code::NatsNodesShareUser);
    let plain = (Severity::Warning, Code::NatsNotEncrypted);
    for (settings, wanted) in [
        (
            json!({ NATS_URL: tls, NATS_TOKEN: "/token", NATS_CA: "/ca.crt" }),
            vec![],
        ),
        (json!({ NATS_URL: tls, NATS_CREDENTIALS: "/nats.creds" }), vec![shared]),
        (json!({ NATS_URL: tls, NATS_PASSWORD: "/password" }), vec![shared]),
        (json!({ NATS_URL: tls }), vec![open]),
        (json!({ NATS_URL: "nats://nats:4222" }), vec![open, plain]),
        (
            json!({ NATS_URL: "tls://a,nats://b", NATS_TOKEN: "/token" }),
            vec![plain],
        ),
        // Settings that are not known are the finding of another check.
        (json!({}), vec![]),
    ] {
        let coded: Vec<_> = found(&cluster(&settings))
            .into_iter()
            .filter(|(severity, code)| *severity != Severity::Ok || *code == Code::NatsNodesShareUser)
            .collect();
        assert_eq!(coded, wanted, "{settings}");
    }
}

#[test]
fn one_service_without_credentials_is_enough() {
    let mut facts = cluster(&json!({ NATS_URL: "tls://nats:4222", NATS_TOKEN: "/token" }));
    let metadata = json!({ "name": "bellwether-settings-5t2m", "namespace": "bellwether" });
    let data = json!({ NATS_URL: "tls://nats:4222" });
    facts.control.objects = beside([json!({ "kind": "ConfigMap", "metadata": metadata, "data": data })]);
    assert_eq!(found(&facts), [(Severity::Warning, Code::NatsOpen)]);
}

/// A NATS pod with a gatekeeper, and what came of asking the gatekeeper.
fn beside_nats(is_ready: &str, answer: Option<Readiness>) -> Facts {
    let mut facts = facts();
    let ports = json!([{ "name": "admin", "containerPort": 8080 }]);
    facts.control.objects = beside([json!({
        "kind": "Pod",
        "metadata": { "name": "nats-0", "namespace": "bellwether" },
        "spec": {
            "initContainers": [{ "name": "gatekeeper", "restartPolicy": "Always", "ports": ports }],
            "containers": [{ "name": "nats" }],
        },
        "status": { "phase": "Running", "conditions": [{ "type": "Ready", "status": is_ready }] },
    })]);
    let key = PodKey {
        namespace: "bellwether".to_owned(),
        name: "nats-0".to_owned(),
    };
    facts.readiness.extend(answer.map(|answer| (key, answer)));
    facts
}

#[test]
fn a_gatekeeper_that_cannot_let_clients_in_is_a_problem_though_its_server_is_ready() {
    let line = ReadinessCode::KeysChanged.line("the Secret was emptied");
    let changed = || Some(Readiness::Answered(readiness::parse(&line)));
    let finding = findings(&beside_nats("True", changed())).remove(0);
    assert_eq!(
        (finding.severity, finding.code),
        (Severity::Problem, Code::GatekeeperNotReady)
    );
    assert_eq!(finding.found, "keys: the Secret was emptied");
    let remedy = "kubectl -n bellwether logs nats-0 -c gatekeeper --tail=20";
    assert_eq!(finding.remedy.as_deref(), Some(remedy));

    let silent = Some(Readiness::Unanswered("forbidden".to_owned()));
    let wanted = [(Severity::Warning, Code::GatekeeperNotReady)];
    assert_eq!(found(&beside_nats("True", silent)), wanted);

    let good = findings(&beside_nats("True", Some(Readiness::Answered(vec![])))).remove(0);
    assert_eq!(good.severity, Severity::Ok);
    // Then it is among the pods that are not ready.
    assert_eq!(found(&beside_nats("False", changed())), []);
}

#[test]
fn a_gatekeeper_is_asked_whether_its_pod_is_ready_or_not() {
    use crate::checks::pods::ask::pods_to_ask;
    for is_ready in ["True", "False"] {
        let mut facts = beside_nats(is_ready, None);
        for pod in &mut facts.control.objects.pods {
            let running = json!([{ "name": "gatekeeper", "state": { "running": {} } }]);
            let status = pod.status.get_or_insert_default();
            status.init_container_statuses = Some(crate::testing::typed(running));
        }
        let asked = pods_to_ask(&facts);
        let ports: Vec<(&str, u16)> = asked.iter().map(|it| (it.pod.name.as_str(), it.port)).collect();
        assert_eq!(ports, [("nats-0", 8080)], "Ready: {is_ready}");
    }
}
