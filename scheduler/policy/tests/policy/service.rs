//! When a node is back in service: the meaning of the fields, and each mistake with its field and the remedy.

use bellwether_policy::{BackInService, RebootPolicy};
use serde_json::{Value, json};

fn read(spec: &Value) -> RebootPolicy {
    RebootPolicy::read("p".into(), &json!({ "backInService": spec }))
}

#[test]
fn pods_of_daemon_sets_count_by_default_and_some_taints_always() {
    let default = RebootPolicy::read("p".into(), &json!({}))
        .terms
        .unwrap()
        .back_in_service;
    assert_eq!(default, BackInService::default());
    assert!(default.daemon_pods.as_ref().is_some_and(|selector| selector.is_empty()));
    assert!(default.is_startup_taint("node.cloudprovider.kubernetes.io/uninitialized"));
    assert!(!default.is_startup_taint("node.kubernetes.io/unschedulable"));
    let selecting = json!({ "selector": { "matchLabels": { "tier": "node" } }, "startupTaints": ["a/b"] });
    let selecting = read(&selecting).terms.unwrap().back_in_service;
    assert!(selecting.is_startup_taint("a/b") && !default.is_startup_taint("a/b"));
    let shown = selecting.to_string();
    assert!(shown.contains("tier=node") && shown.contains("a/b"), "{shown}");
    let ignoring = read(&json!({ "daemonPods": "Ignore" })).terms.unwrap().back_in_service;
    assert_eq!(ignoring.daemon_pods, None);
    assert!(!ignoring.holds_on_failed_units);
    let holding = read(&json!({ "failedUnits": "Hold" })).terms.unwrap().back_in_service;
    assert!(holding.holds_on_failed_units && holding.daemon_pods.is_some());
    assert!(
        holding.to_string().contains("no unit of the host has failed"),
        "{holding}"
    );
    assert!(ignoring.is_startup_taint("node.cilium.io/agent-not-ready"));
}

#[test]
fn each_mistake_names_its_field_and_the_remedy() {
    for (spec, field, remedy) in [
        (json!({ "daemonPods": "Skip" }), "daemonPods: ", "write one of them"),
        (json!({ "failedUnits": "Stop" }), "failedUnits: ", "write one of them"),
        (
            json!({ "daemonPods": "Ignore", "selector": {} }),
            "selector: without effect",
            "remove one of the two",
        ),
        (
            json!({ "selector": { "matchExpressions": [{ "key": "a", "operator": "In" }] } }),
            "selector.matchExpressions[0].values: ",
            "at least one",
        ),
        (
            json!({ "prometheus": [{ "name": "errors", "url": "ftp://p", "query": "up" }] }),
            "prometheus[0].url: ",
            "http",
        ),
    ] {
        let faults = read(&spec).terms.unwrap_err();
        assert_eq!(faults.len(), 1, "{spec}: {faults:?}");
        let text = faults[0].to_string();
        assert!(
            text.starts_with(&format!("spec.backInService.{field}")) && text.contains(remedy),
            "{text}"
        );
    }
}
