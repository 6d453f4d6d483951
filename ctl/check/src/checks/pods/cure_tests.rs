//! Remedies that can be pasted, or nearly so.

use bellwether_proto::readiness;
use serde_json::{Value, json};

use super::super::tests::{pod, set};
use super::*;
use crate::testing::{beside, facts, typed};

/// A cluster with these settings, and a pod that mounts the Secret `nats` as `deploy` does.
fn mounted(settings: Value) -> (Facts, Pod) {
    let mut facts = facts();
    let metadata = json!({ "name": "bellwether-settings-5t2m", "namespace": "bellwether-agents" });
    let mut config = json!({ "kind": "ConfigMap", "metadata": metadata });
    set(&mut config, "/data", settings);
    facts.agents.objects = beside([config]);
    let mut pod = pod(&json!({}));
    let volumes = json!([
        { "name": "dbus", "hostPath": { "path": "/run/dbus" } },
        { "name": "creds", "secret": { "secretName": "nats" } },
    ]);
    set(&mut pod, "/spec/volumes", volumes);
    let container = json!([{
        "envFrom": [{ "configMapRef": { "name": "bellwether-settings-5t2m" } }],
        "volumeMounts": [
            { "name": "dbus", "mountPath": "/host/run/dbus" },
            { "name": "creds", "mountPath": "/etc/bellwether/nats" },
        ],
    }]);
    set(&mut pod, "/spec/containers", container);
    (facts, typed(pod))
}

/// The remedy for a service that reports this code, in the form in which it reports it.
fn of(code: ReadinessCode) -> (Code, Cure) {
    Cure::of_readiness(&readiness::parse(&code.line("a message that decides nothing")))
}

fn make_secret(settings: Value) -> String {
    let (facts, pod) = mounted(settings);
    let (kind, name) = (MissingKind::Secret, "nats".to_owned());
    Cure::Make(MissingObject { kind, name }).remedy(&pod, &facts)
}

#[test]
fn a_missing_secret_is_made_of_the_files_that_the_settings_name() {
    let credentials = "/etc/bellwether/nats/nats.creds";
    assert_eq!(
        make_secret(json!({ NATS_CREDENTIALS: credentials })),
        "kubectl -n bellwether-agents create secret generic nats --from-file=nats.creds=YOUR-FILE"
    );
    assert_eq!(
        make_secret(json!({ NATS_CREDENTIALS: credentials, NATS_CA: "/etc/bellwether/nats/ca.crt" })),
        "kubectl -n bellwether-agents create secret generic nats \
         --from-file=nats.creds=YOUR-FILE --from-file=ca.crt=YOUR-FILE"
    );
    for elsewhere in [
        json!({}),
        json!({ NATS_CREDENTIALS: "/etc/bellwether/nats-2/nats.creds" }),
    ] {
        let remedy = make_secret(elsewhere);
        let begin = "kubectl -n bellwether-agents create secret generic nats --from-file=KEY=YOUR-FILE ";
        assert!(remedy.starts_with(begin), "{remedy}");
    }
}

#[test]
fn credentials_that_nats_refuses_are_renewed_without_a_restart() {
    let (_, cure) = of(ReadinessCode::NatsAuthRefused);
    let (facts, pod) = mounted(json!({ NATS_URL: "tls://x:4222", NATS_CREDENTIALS: "/x/nats.creds" }));
    assert_eq!(
        cure.remedy(&pod, &facts),
        "renew the credentials in the Secret `bellwether-nats`; the pod then connects by itself within two minutes"
    );
    let (facts, pod) = mounted(json!({ NATS_URL: "tls://x:4222", NATS_TOKEN: "/x/token" }));
    assert!(
        cure.remedy(&pod, &facts)
            .contains("to know the ServiceAccount of this pod")
    );
}

#[test]
fn a_file_that_cannot_be_used_is_put_where_the_settings_name_it() {
    let credentials = of(ReadinessCode::NatsCredentialsUnusable).1;
    let (facts, pod) = mounted(json!({ NATS_URL: "tls://x:4222", NATS_PASSWORD: "/x/password" }));
    let remedy = credentials.remedy(&pod, &facts);
    assert!(
        remedy.contains("the Secret `bellwether-nats` of the namespace bellwether-agents"),
        "{remedy}"
    );
    let (facts, pod) = mounted(json!({ NATS_URL: "tls://x:4222", NATS_TOKEN: "/x/token", NATS_CA: "/y/ca.crt" }));
    let remedy = credentials.remedy(&pod, &facts);
    assert!(
        remedy.contains("a projected ServiceAccount token as /x/token"),
        "{remedy}"
    );
    let remedy = of(ReadinessCode::NatsAuthorityUnusable).1.remedy(&pod, &facts);
    assert!(
        remedy.contains("Secret or ConfigMap that the pod mounts for /y/ca.crt"),
        "{remedy}"
    );
}

#[test]
fn a_pod_without_credentials_gets_the_component_that_brings_them() {
    let (_, cure) = of(ReadinessCode::NatsAuthRefused);
    let (facts, pod) = mounted(json!({ NATS_URL: "nats://x:4222" }));
    assert!(
        cure.remedy(&pod, &facts)
            .contains("add deploy/components/nats-existing")
    );
    let (facts, pod) = mounted(json!({ NATS_URL: "nats://x:4222", NATS_PASSWORD: "/x/password" }));
    assert!(cure.remedy(&pod, &facts).starts_with("renew the credentials"));
}

#[test]
fn the_remedy_follows_the_code_that_the_service_reports() {
    let (facts, pod) = mounted(json!({}));
    for (code, helps) in [
        (
            ReadinessCode::NatsTlsFailed,
            "into the Secret as ca.crt, and BELLWETHER_NATS_CA",
        ),
        (
            ReadinessCode::JetStreamUnavailable,
            "enable JetStream on the server and for this account",
        ),
        (ReadinessCode::WritesNotStored, "the limits and the log of NATS"),
        (
            ReadinessCode::NatsCredentialsUnusable,
            "put the right file into the Secret",
        ),
        (
            ReadinessCode::NatsAuthorityUnusable,
            "put the authority of NATS's certificate",
        ),
    ] {
        let remedy = of(code).1.remedy(&pod, &facts);
        assert!(remedy.contains(helps), "{code:?}: {remedy}");
    }
    let special = [
        ReadinessCode::NatsAuthRefused,
        ReadinessCode::NatsTlsFailed,
        ReadinessCode::NatsCredentialsUnusable,
        ReadinessCode::NatsAuthorityUnusable,
        ReadinessCode::JetStreamUnavailable,
        ReadinessCode::WritesNotStored,
    ];
    for code in ReadinessCode::ALL.into_iter().filter(|code| !special.contains(code)) {
        assert_eq!(of(code).1, Cure::Logs, "{code:?}");
    }
    assert_eq!(of(ReadinessCode::NatsConnectionLost).0, Code::NatsUnreachable);
}

#[test]
fn the_message_of_a_service_decides_nothing() {
    for message in [
        "nats: not connected to tls://x:4222: TLS error: authorization violation",
        "nats: connected, but JetStream does not answer",
        "kubernetes KubernetesUnreachable: invalid peer certificate",
    ] {
        let (code, cure) = Cure::of_readiness(&readiness::parse(message));
        assert_eq!((code, cure), (Code::PodNotReady, Cure::Logs), "{message}");
    }
}
