//! Which nodes a selector selects, and which policy governs a node.

use std::collections::BTreeMap;

use bellwether_policy::{Governing, LabelExpression, LabelSelector, Policies, RebootPolicy, Selector};
use serde_json::{Value, json};

fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    pairs.iter().map(owned).collect()
}

fn policy(name: &str, spec: &Value) -> RebootPolicy {
    RebootPolicy::read(name.into(), spec)
}

/// What governs a node with these labels, in short.
fn governing(policies: &[(&str, Value)], pairs: &[(&str, &str)]) -> String {
    let policies = Policies::new(policies.iter().map(|(name, spec)| policy(name, spec)));
    match policies.governing(&labels(pairs)) {
        Governing::BuiltIn => "built-in".to_owned(),
        Governing::Policy(policy) => policy.name.to_string(),
        Governing::None => "none".to_owned(),
        Governing::Conflict(first, second) => format!("{} and {}", first.name, second.name),
    }
}

#[test]
fn each_operator_selects_as_kubernetes_does() {
    let selects = |operator: &str, values: &[&str], value: Option<&str>| {
        let spec = LabelSelector {
            match_labels: BTreeMap::new(),
            match_expressions: vec![LabelExpression {
                key: "pool".to_owned(),
                operator: operator.to_owned(),
                values: values.iter().map(ToString::to_string).collect(),
            }],
        };
        let pairs: Vec<_> = value.map(|value| ("pool", value)).into_iter().collect();
        Selector::new(&spec, "s").unwrap().selects(&labels(&pairs))
    };
    for (operator, values, of_a, of_c, of_none) in [
        ("In", &["a", "b"][..], true, false, false),
        ("NotIn", &["a", "b"], false, true, true),
        ("Exists", &[], true, true, false),
        ("DoesNotExist", &[], false, false, true),
    ] {
        assert_eq!(selects(operator, values, Some("a")), of_a, "{operator} of a");
        assert_eq!(selects(operator, values, Some("c")), of_c, "{operator} of c");
        assert_eq!(selects(operator, values, None), of_none, "{operator} without the label");
    }
}

#[test]
fn all_conditions_of_a_selector_have_to_hold() {
    let spec = json!({ "nodeSelector": {
        "matchLabels": { "pool": "a", "zone": "1" },
        "matchExpressions": [{ "key": "spot", "operator": "DoesNotExist" }],
    } });
    let selector = policy("p", &spec).selector;
    assert!(selector.selects(&labels(&[("pool", "a"), ("zone", "1"), ("other", "x")])));
    assert!(!selector.selects(&labels(&[("pool", "a"), ("zone", "2")])));
    assert!(!selector.selects(&labels(&[("pool", "a"), ("zone", "1"), ("spot", "")])));
    assert!(
        policy("p", &json!({})).selector.selects(&labels(&[])),
        "none selects all"
    );
}

#[test]
fn a_selector_is_written_as_kubectl_writes_one() {
    let text = |spec: Value| policy("p", &json!({ "nodeSelector": spec })).selector.to_string();
    let expression = |key: &str, operator: &str, values: &[&str]| {
        text(json!({ "matchExpressions": [{ "key": key, "operator": operator, "values": values }] }))
    };
    assert_eq!(text(json!({})), "every node");
    assert_eq!(text(json!({ "matchLabels": { "a": "1", "b": "2" } })), "a=1,b=2");
    assert_eq!(expression("zone", "In", &["2", "1"]), "zone in (1,2)");
    assert_eq!(expression("zone", "NotIn", &["1"]), "zone!=1");
    assert_eq!(expression("zone", "NotIn", &["1", "2"]), "zone notin (1,2)");
    assert_eq!(expression("spot", "Exists", &[]), "spot");
    assert_eq!(expression("spot", "DoesNotExist", &[]), "!spot");
}

#[test]
fn the_highest_priority_that_selects_a_node_governs_the_node() {
    let all = || ("all", json!({}));
    let workers = || {
        (
            "workers",
            json!({ "nodeSelector": { "matchLabels": { "pool": "w" } }, "priority": 10 }),
        )
    };
    let worker = [("pool", "w")];
    assert_eq!(governing(&[], &worker), "built-in");
    assert_eq!(governing(&[all(), workers()], &worker), "workers");
    assert_eq!(governing(&[workers(), all()], &[]), "all");
    assert_eq!(governing(&[workers()], &[]), "none");
    let below = ("below", json!({ "priority": -1 }));
    assert_eq!(governing(&[below.clone(), all()], &[]), "all");
    assert_eq!(governing(&[below], &[]), "below");
}

#[test]
fn two_policies_of_the_highest_priority_are_a_conflict_and_two_below_are_none() {
    let of = |name, priority| (name, json!({ "priority": priority }));
    assert_eq!(governing(&[of("b", 1), of("a", 1), of("c", 1)], &[]), "a and b");
    assert_eq!(governing(&[of("b", 1), of("a", 1), of("c", 2)], &[]), "c");
    let other = (
        "c",
        json!({ "priority": 1, "nodeSelector": { "matchLabels": { "x": "y" } } }),
    );
    assert_eq!(
        governing(&[of("b", 1), other], &[]),
        "b",
        "only the node's own policies count"
    );
}

#[test]
fn a_policy_with_a_mistake_governs_its_nodes_and_no_others() {
    let broken = json!({
        "nodeSelector": { "matchLabels": { "pool": "w" } },
        "priority": 10,
        "budgetOfANewerVersion": {},
    });
    let policies = [("all", json!({})), ("broken", broken)];
    assert_eq!(governing(&policies, &[("pool", "w")]), "broken");
    assert_eq!(governing(&policies, &[]), "all");
    // Which nodes are meant is not known: any of them may be.
    let unknown =
        json!({ "nodeSelector": { "matchExpressions": [{ "key": "a", "operator": "Like" }] }, "priority": 1 });
    assert_eq!(governing(&[("all", json!({})), ("unknown", unknown)], &[]), "unknown");
    for spec in [json!(null), json!(7), json!({ "priority": "high" })] {
        assert_eq!(governing(&[("unreadable", spec.clone())], &[]), "unreadable", "{spec}");
    }
}
