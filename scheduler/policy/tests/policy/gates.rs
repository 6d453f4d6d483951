//! The gates of a policy: their meaning, and each mistake with its field and the remedy.

use bellwether_policy::RebootPolicy;
use serde_json::{Value, json};

fn read(gates: &Value) -> RebootPolicy {
    RebootPolicy::read("p".into(), &json!({ "gates": gates }))
}

#[test]
fn a_condition_shuts_by_default_while_it_is_true_and_a_taint_with_any_effect() {
    let gates = json!({
        "conditions": [{ "type": "DiskPressure" }, { "type": "NetworkReady", "status": "False" }],
        "taints": [{ "key": "a/b" }, { "key": "c", "effect": "NoExecute" }],
    });
    let terms = read(&gates).terms.unwrap();
    let conditions: Vec<_> = terms.gates.conditions.iter().map(ToString::to_string).collect();
    assert_eq!(conditions, ["DiskPressure=True", "NetworkReady=False"]);
    let taints: Vec<_> = terms.gates.taints.iter().map(ToString::to_string).collect();
    assert_eq!(taints, ["a/b", "c:NoExecute"]);
    let [any, no_execute] = &terms.gates.taints[..] else {
        panic!("{taints:?}");
    };
    assert!(any.matches("a/b", "NoSchedule") && !any.matches("a/c", "NoSchedule"));
    assert!(no_execute.matches("c", "NoExecute") && !no_execute.matches("c", "NoSchedule"));
}

#[test]
fn pods_are_selected_by_labels_and_namespaces() {
    let gates = json!({ "pods": [
        { "name": "batch", "selector": { "matchLabels": { "job": "long" } } },
        {
            "name": "shop",
            "selector": { "matchExpressions": [{ "key": "tier", "operator": "In", "values": ["a", "b"] }] },
            "namespaces": ["shop", "shop-2"],
            "onError": "Allow",
        },
    ] });
    let terms = read(&gates).terms.unwrap();
    let shown: Vec<_> = terms.gates.pods.iter().map(ToString::to_string).collect();
    assert_eq!(
        shown,
        [
            "a pod job=long is on the node, or its pods cannot be listed (batch)",
            "a pod tier in (a,b) is on the node, of shop, shop-2 (shop)"
        ]
    );
}

#[test]
fn each_mistake_names_its_field_and_the_remedy() {
    let pods = |pods: Value| json!({ "pods": [{ "name": "a", "selector": { "matchLabels": { "a": "b" } } }, pods] });
    let condition = |condition: Value| json!({ "conditions": [{ "type": "A" }, condition] });
    let taint = |taint: Value| json!({ "taints": [{ "key": "a" }, taint] });
    for (gates, field, remedy) in [
        (
            pods(json!({ "name": "b", "selector": {} })),
            "pods[1].selector: empty",
            "matchLabels",
        ),
        (
            pods(json!({ "name": "", "selector": { "matchLabels": { "a": "b" } } })),
            "pods[1].name: empty",
            "name the gate",
        ),
        (
            pods(json!({ "name": "b", "selector": { "matchExpressions": [{ "key": "a", "operator": "In" }] } })),
            "pods[1].selector.matchExpressions[0].values: ",
            "at least one",
        ),
        (
            pods(json!({ "name": "b", "selector": { "matchLabels": { "a": "b" } }, "namespaces": ["Shop"] })),
            "pods[1].namespaces[0]: ",
            "such as shop",
        ),
        (
            pods(json!({ "name": "b", "selector": { "matchLabels": { "a": "b" } }, "onError": "Skip" })),
            "pods[1].onError: ",
            "Block nor Allow",
        ),
        (
            pods(json!({ "name": "a", "selector": { "matchLabels": { "a": "b" } } })),
            "pods[1].name: ",
            "a name of its own",
        ),
        (
            condition(json!({ "type": "" })),
            "conditions[1].type: empty",
            "name a condition",
        ),
        (condition(json!({ "type": "Ready" })), "conditions[1].type: ", "remove"),
        (
            condition(json!({ "type": "A", "status": "true" })),
            "conditions[1].status: ",
            "True, False or Unknown",
        ),
        (taint(json!({ "key": "" })), "taints[1].key: empty", "name the key"),
        (
            taint(json!({ "key": "node.kubernetes.io/unschedulable" })),
            "taints[1].key: ",
            "remove this taint",
        ),
        (
            taint(json!({ "key": "bellwether.dev/waits" })),
            "taints[1].key: ",
            "remove this taint",
        ),
        (
            taint(json!({ "key": "a", "effect": "Evict" })),
            "taints[1].effect: ",
            "NoExecute",
        ),
    ] {
        let faults = read(&gates).terms.unwrap_err();
        assert_eq!(faults.len(), 1, "{gates}: {faults:?}");
        let text = faults[0].to_string();
        assert!(
            text.starts_with(&format!("spec.gates.{field}")) && text.contains(remedy),
            "{text}"
        );
    }
}
