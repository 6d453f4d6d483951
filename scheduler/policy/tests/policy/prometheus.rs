//! Gates that a Prometheus server answers: which alerts count, and each mistake with its field and the remedy.

use std::collections::BTreeMap;

use bellwether_policy::{Credentials, OnError, PrometheusGate, Question, RebootPolicy};
use serde_json::{Value, json};

fn read(gate: &Value) -> RebootPolicy {
    RebootPolicy::read("p".into(), &json!({ "gates": { "prometheus": [gate] } }))
}

/// A gate with these fields beside a name and an address.
fn with(fields: &Value) -> Value {
    let mut gate = json!({ "name": "g", "url": "http://prometheus:9090" });
    gate.as_object_mut()
        .unwrap()
        .extend(fields.as_object().unwrap().clone());
    gate
}

fn gate(fields: &Value) -> PrometheusGate {
    let terms = read(&with(fields)).terms.unwrap();
    terms.gates.prometheus[0].clone()
}

#[test]
fn the_defaults_are_the_careful_ones() {
    let gate = gate(&json!({ "alerts": {}, "url": "http://prometheus:9090/path/" }));
    assert_eq!(gate.on_error, OnError::Block);
    assert_eq!(gate.timeout.as_secs(), 10);
    assert_eq!(gate.url, "http://prometheus:9090/path");
    let shown = gate.to_string();
    assert!(shown.contains("pending or firing"), "{shown}");
    assert_eq!((gate.credentials, gate.ca_file), (Credentials::None, None));
}

/// The names that count of these alerts, each with its state.
fn counted(filter: Value, alerts: &[(&str, &str)]) -> Vec<String> {
    let series: Vec<BTreeMap<String, String>> = alerts
        .iter()
        .map(|(name, state)| {
            let labels = [("alertname", name), ("alertstate", state), ("team", &"a")];
            labels
                .map(|(label, value)| (label.to_owned(), (*value).to_owned()))
                .into()
        })
        .collect();
    match gate(&json!({ "alerts": filter })).question {
        Question::Alerts(filter) => filter.counted(&series),
        Question::Query(query) => vec![query],
    }
}

#[test]
fn alerts_count_as_with_kureds_three_filters() {
    let alerts = [
        ("Disk", "firing"),
        ("Watchdog", "firing"),
        ("PodSlow", "pending"),
        ("Disk", "pending"),
    ];
    for (filter, expected) in [
        (json!({}), &["Disk", "PodSlow", "Watchdog"][..]),
        (json!({ "firingOnly": true }), &["Disk", "Watchdog"]),
        // Anywhere in the name, as with kured.
        (json!({ "ignore": "og" }), &["Disk", "PodSlow"]),
        (json!({ "ignore": "^Dis" }), &["PodSlow", "Watchdog"]),
        (json!({ "ignore": "." }), &[]),
        (json!({ "only": "Disk|Pod" }), &["Disk", "PodSlow"]),
        (json!({ "only": "Disk|Pod", "firingOnly": true }), &["Disk"]),
        (json!({ "only": "Disk|Pod", "ignore": "Slow" }), &["Disk"]),
        (json!({ "only": "^Pod$" }), &[]),
        (
            json!({ "matchLabels": { "team": "a" } }),
            &["Disk", "PodSlow", "Watchdog"],
        ),
        (json!({ "matchLabels": { "team": "b" } }), &[]),
        (json!({ "matchLabels": { "severity": "a" } }), &[]),
    ] {
        assert_eq!(counted(filter.clone(), &alerts), expected, "{filter}");
    }
    assert_eq!(counted(json!({}), &[]), [""; 0]);
}

#[test]
fn each_mistake_names_its_field_and_the_remedy() {
    let query = |fields: Value| {
        let mut gate = with(&json!({ "query": "up == 0" }));
        gate.as_object_mut()
            .unwrap()
            .extend(fields.as_object().unwrap().clone());
        gate
    };
    for (gate, field, remedy) in [
        (with(&json!({})), ": ", "either alerts or query"),
        (query(json!({ "alerts": {} })), ": ", "either alerts or query"),
        (query(json!({ "query": " " })), ".query: empty", "up == 0"),
        (query(json!({ "name": "" })), ".name: empty", "name the gate"),
        (
            query(json!({ "url": "prometheus:9090" })),
            ".url: ",
            "http://prometheus.monitoring:9090",
        ),
        (query(json!({ "url": "http://" })), ".url: ", "names no host"),
        (query(json!({ "url": "http://:9090" })), ".url: ", "names no host"),
        (query(json!({ "url": "http://a:b@p" })), ".url: ", "write basicAuth"),
        (query(json!({ "url": "http://p?x=y" })), ".url: ", "alone"),
        (query(json!({ "url": "http://p /x" })), ".url: ", "alone"),
        (query(json!({ "url": "http://p/api/v1/" })), ".url: ", "leave that out"),
        (
            with(&json!({ "alerts": { "ignore": "(" } })),
            ".alerts.ignore: no regular expression: ",
            "^(Watchdog",
        ),
        (
            with(&json!({ "alerts": { "only": "a{9999999}" } })),
            ".alerts.only: no regular expression: ",
            "write one such as",
        ),
        (
            query(json!({ "bearerTokenFile": "../token" })),
            ".bearerTokenFile: ",
            "below",
        ),
        (
            query(json!({ "bearerTokenFile": "/var/run/token" })),
            ".bearerTokenFile: ",
            "below",
        ),
        (
            query(json!({ "bearerTokenFile": "a/.b" })),
            ".bearerTokenFile: ",
            "below",
        ),
        (query(json!({ "caFile": "" })), ".caFile: ", "below"),
        (
            query(json!({ "basicAuth": { "usernameFile": "..", "passwordFile": "p" } })),
            ".basicAuth.usernameFile: ",
            "below",
        ),
        (
            query(json!({ "basicAuth": { "usernameFile": "u", "passwordFile": "a//b" } })),
            ".basicAuth.passwordFile: ",
            "below",
        ),
        (
            query(json!({ "bearerTokenFile": "t", "basicAuth": { "usernameFile": "u", "passwordFile": "p" } })),
            ": ",
            "not both",
        ),
        (query(json!({ "timeout": "31s" })), ".timeout: ", "between 1s and 30s"),
        (query(json!({ "timeout": "500ms" })), ".timeout: ", "between 1s and 30s"),
        (query(json!({ "timeout": "soon" })), ".timeout: ", "such as 10s"),
        (query(json!({ "onError": "Ignore" })), ".onError: ", "Block nor Allow"),
    ] {
        let faults = read(&gate).terms.unwrap_err();
        assert_eq!(faults.len(), 1, "{gate}: {faults:?}");
        let text = faults[0].to_string();
        assert!(
            text.starts_with(&format!("spec.gates.prometheus[0]{field}")) && text.contains(remedy),
            "{text}"
        );
    }
}

#[test]
fn two_gates_of_one_name_are_a_mistake_and_all_mistakes_of_a_gate_are_listed() {
    let gates = json!({ "gates": { "prometheus": [
        with(&json!({ "query": "a" })),
        with(&json!({ "query": "b", "timeout": "soon", "onError": "x", "url": "y" })),
    ] } });
    let faults = RebootPolicy::read("p".into(), &gates).faults();
    assert_eq!(faults.matches("spec.gates.prometheus[1].").count(), 4, "{faults}");
    assert!(faults.contains("another gate of the list is called `g`"), "{faults}");
}
