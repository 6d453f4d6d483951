//! Cordons of ours that no attempt knows of.

use bellwether_proto::mark::CORDONED_FOR;

use crate::facts::Facts;
use crate::finding::{Finding, Topic};
use crate::object::{annotation, name};

pub(crate) fn findings(facts: &Facts) -> Vec<Finding> {
    let Ok(reached) = &facts.fleet else {
        return vec![];
    };
    let mut findings = Vec::new();
    for node in facts.nodes.of("Node") {
        let mark = annotation(node, CORDONED_FOR);
        if mark.is_empty() {
            continue;
        }
        let status = reached.list.nodes.iter().find(|status| status.node == name(node));
        let attempt = status.and_then(|status| status.attempt.as_ref());
        if attempt.is_some_and(|attempt| attempt.attempt_id == mark) {
            continue;
        }
        let node = name(node);
        findings.push(Topic::Leftovers.warning(
            format!("node {node}"),
            format!("carries our cordon for attempt {mark}, which is not its attempt: a scheduler takes it away within seconds"),
            format!("kubectl reboots explain {node}    # if it stays"),
        ));
    }
    findings
}

#[cfg(test)]
mod tests {
    use bellwether_proto::wire::{Attempt, ListNodesResponse, NodeStatus};
    use serde_json::json;

    use crate::facts::Reached;
    use super::*;

    #[test]
    fn a_cordon_is_a_leftover_unless_it_is_of_the_nodes_attempt() {
        let mut facts = Facts::for_tests();
        let annotations = json!({ CORDONED_FOR: "a77e" });
        facts.nodes.objects =
            vec![json!({ "kind": "Node", "metadata": { "name": "node-1", "annotations": annotations } })];
        assert_eq!(findings(&facts).len(), 1, "nobody knows of it");
        let attempt = Attempt {
            attempt_id: "a77e".to_owned(),
            ..Default::default()
        };
        let status = NodeStatus {
            node: "node-1".to_owned(),
            attempt: Some(attempt),
            ..Default::default()
        };
        let list = ListNodesResponse {
            nodes: vec![status],
            ..Default::default()
        };
        facts.fleet = Ok(Reached {
            leader: String::new(),
            list,
        });
        assert_eq!(findings(&facts), []);
    }
}
