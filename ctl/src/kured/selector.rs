//! The nodes that have a pod of kured, as the selector of a policy.

use bellwether_policy::{LabelExpression, LabelSelector};
use serde_json::Value;

use super::source::Source;

/// Every node with an agent of Bellwether has this label.
const LINUX: (&str, &str) = ("kubernetes.io/os", "linux");

/// Reads which nodes have pods, from the spec of a pod: its node selector, and the terms that it requires of nodes.
pub(crate) fn read(spec: &Value, source: &mut Source) {
    let labels = spec.get("nodeSelector").and_then(Value::as_object);
    for (key, value) in labels.into_iter().flatten() {
        source
            .node_labels
            .extend(value.as_str().map(|value| (key.clone(), value.to_owned())));
    }
    let pointer = "/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms";
    let terms = spec.pointer(pointer).and_then(Value::as_array).map(Vec::as_slice);
    match terms {
        None => {}
        Some([term]) if term.get("matchFields").is_none() => {
            let expressions = term.get("matchExpressions").and_then(Value::as_array);
            for expression in expressions.into_iter().flatten() {
                match self::expression(expression) {
                    Some(expression) => source.node_expressions.push(expression),
                    None => source.notes.push(LEFT_OUT.to_owned()),
                }
            }
        }
        Some(_) => source.notes.push(LEFT_OUT.to_owned()),
    }
    let tolerations = spec.get("tolerations").and_then(Value::as_array);
    source.tolerates_all = tolerations.into_iter().flatten().any(|toleration| {
        let text = |key: &str| toleration.get(key).and_then(Value::as_str).unwrap_or_default();
        text("key").is_empty() && text("operator") == "Exists" && text("effect").is_empty()
    });
}

const LEFT_OUT: &str = "kured's node affinity has terms that the selector of a policy cannot express: the policy may be \
                        for more nodes than kured had pods on; see its nodeSelector";

/// A condition that the selectors of policies know too.
fn expression(expression: &Value) -> Option<LabelExpression> {
    let text = |key: &str| expression.get(key).and_then(Value::as_str);
    let operator = text("operator").filter(|operator| ["In", "NotIn", "Exists", "DoesNotExist"].contains(operator))?;
    let values = expression.get("values").and_then(Value::as_array);
    let values = values.into_iter().flatten().filter_map(Value::as_str);
    Some(LabelExpression {
        key: text("key")?.to_owned(),
        operator: operator.to_owned(),
        values: values.map(str::to_owned).collect(),
    })
}

/// The selector of the policy; none: every node.
pub(crate) fn of_policy(source: &Source) -> Option<LabelSelector> {
    let is_more = |(key, value): &(&String, &String)| (key.as_str(), value.as_str()) != LINUX;
    let labels = source.node_labels.iter().filter(is_more);
    let selector = LabelSelector {
        match_labels: labels.map(|(key, value)| (key.clone(), value.clone())).collect(),
        match_expressions: source.node_expressions.clone(),
    };
    (selector != LabelSelector::default()).then_some(selector)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(spec: &Value) -> Source {
        let mut source = Source::default();
        super::read(spec, &mut source);
        source
    }

    #[test]
    fn the_nodes_with_a_pod_are_the_nodes_of_the_policy() {
        let source = read(&json!({
            "nodeSelector": { "kubernetes.io/os": "linux", "pool": "batch" },
            "affinity": { "nodeAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": { "nodeSelectorTerms": [
                { "matchExpressions": [{ "key": "gpu", "operator": "DoesNotExist" }] }
            ] } } },
            "tolerations": [{ "operator": "Exists" }],
        }));
        let selector = of_policy(&source).unwrap();
        assert_eq!(selector.match_labels, [("pool".to_owned(), "batch".to_owned())].into());
        assert_eq!(selector.match_expressions[0].key, "gpu");
        assert!(source.tolerates_all && source.notes.is_empty());
    }

    #[test]
    fn a_selector_of_linux_alone_selects_every_node() {
        let source = read(&json!({ "nodeSelector": { "kubernetes.io/os": "linux" } }));
        assert_eq!(of_policy(&source), None);
        assert!(!source.tolerates_all);
    }

    #[test]
    fn terms_that_no_policy_can_express_are_noted() {
        let terms = |terms: Value| {
            json!({ "affinity": { "nodeAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": { "nodeSelectorTerms": terms }
            } } })
        };
        let compared = json!([{ "matchExpressions": [{ "key": "cores", "operator": "Gt", "values": ["4"] }] }]);
        for terms_of in [compared, json!([{}, {}]), json!([{ "matchFields": [] }])] {
            assert_eq!(read(&terms(terms_of)).notes, [LEFT_OUT]);
        }
    }
}
