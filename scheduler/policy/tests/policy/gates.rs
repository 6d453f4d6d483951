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
fn each_mistake_names_its_field_and_the_remedy() {
    let condition = |condition: Value| json!({ "conditions": [{ "type": "A" }, condition] });
    let taint = |taint: Value| json!({ "taints": [{ "key": "a" }, taint] });
    for (gates, field, remedy) in [
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
