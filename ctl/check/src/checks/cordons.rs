//! Cordons of ours that no attempt knows of.

use crate::check::Check;
use crate::code::Code;
use crate::facts::Facts;
use crate::finding::{Finding, Topic};
use crate::object::{cordoned_for, name};

pub(crate) const CHECK: Check = Check {
    name: "cordons",
    needs_kubernetes: true,
    find: findings,
};

fn findings(facts: &Facts) -> Vec<Finding> {
    let Ok(answer) = &facts.fleet else {
        return vec![];
    };
    let mut findings = Vec::new();
    for node in &facts.nodes.objects {
        let (mark, node) = (cordoned_for(node), name(&node.metadata));
        if mark.is_empty() {
            continue;
        }
        let status = answer.list.nodes.iter().find(|status| status.node == node);
        let attempt = status.and_then(|status| status.attempt.as_ref());
        if attempt.is_some_and(|attempt| attempt.attempt_id == mark) {
            continue;
        }
        findings.push(Topic::Leftovers.warning(
            Code::CordonWithoutAttempt,
            format!("node {node}"),
            format!("carries our cordon for attempt {mark}, which is not its attempt: a scheduler takes it away within seconds"),
            format!("kubectl reboots explain {node}    # if it stays"),
        ));
    }
    findings
}

#[cfg(test)]
mod tests {
    use bellwether_proto::mark::CORDONED_FOR;
    use bellwether_proto::wire::{Attempt, ListNodesResponse, NodeStatus};
    use serde_json::json;

    use super::*;
    use crate::facts::FleetAnswer;
    use crate::testing::objects;

    #[test]
    fn a_cordon_is_a_leftover_unless_it_is_of_the_nodes_attempt() {
        let mut facts = crate::testing::facts();
        let annotations = json!({ CORDONED_FOR: "a77e" });
        facts.nodes.objects =
            objects([json!({ "kind": "Node", "metadata": { "name": "node-1", "annotations": annotations } })]);
        assert_eq!(findings(&facts).len(), 1, "no attempt knows of it");
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
        facts.fleet = Ok(FleetAnswer {
            leader: String::new(),
            list,
        });
        assert_eq!(findings(&facts), []);
    }
}
