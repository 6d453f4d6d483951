//! Fleets that are, and are not, ready to be left alone.

use bellwether_proto::mark::CORDONED_FOR;
use bellwether_proto::wire::{Attempt, FleetControl, ListNodesResponse, NodeStatus, Phase};
use serde_json::json;

use super::*;
use crate::facts::FleetAnswer;
use crate::failure::Failure;
use crate::object::COMPONENT;
use crate::testing::{objects, removal_facts};

fn facts(paused: bool, nodes: Vec<NodeStatus>) -> RemovalFacts {
    let mut facts = removal_facts();
    let control = paused.then(|| FleetControl {
        paused,
        by: "anna".to_owned(),
        reason: "removal".to_owned(),
        since: None,
        orders: Vec::new(),
        event_chain: None,
    });
    facts.fleet = Ok(FleetAnswer {
        leader: String::new(),
        list: ListNodesResponse {
            nodes,
            control,
            ..Default::default()
        },
    });
    facts
}

fn problems(facts: &RemovalFacts) -> Vec<String> {
    let findings = findings(facts).into_iter();
    let problems = findings.filter(|it| it.severity == Severity::Problem);
    problems.map(|it| format!("{}: {}", it.subject, it.found)).collect()
}

#[test]
fn a_paused_fleet_at_rest_may_go() {
    let findings = findings(&facts(true, vec![]));
    assert!(findings.iter().all(|it| it.severity == Severity::Ok), "{findings:?}");
    let last = findings.last().unwrap();
    assert!(last.found.starts_with("safe to remove now"), "{last:?}");
    assert!(last.remedy.as_deref().unwrap().starts_with("kubectl delete -k"));
}

#[test]
fn a_fleet_that_is_not_paused_may_not_go() {
    let facts = facts(false, vec![]);
    assert_eq!(
        problems(&facts),
        ["pause: not paused: a reboot may start at any moment"]
    );
    assert!(!findings(&facts).iter().any(|it| it.subject == "removal"));
}

#[test]
fn a_node_in_an_attempt_and_a_cordon_of_ours_are_waited_for() {
    let attempt = Attempt {
        phase: Phase::Draining.into(),
        ..Default::default()
    };
    let draining = NodeStatus {
        node: "node-1".to_owned(),
        state: NodeState::InProgress.into(),
        attempt: Some(attempt),
        ..Default::default()
    };
    let mut facts = facts(true, vec![draining]);
    let annotations = json!({ CORDONED_FOR: "a77e" });
    facts.nodes.objects =
        objects([json!({ "kind": "Node", "metadata": { "name": "node-1", "annotations": annotations } })]);
    assert_eq!(
        problems(&facts),
        [
            "node node-1: in an attempt: Draining",
            "cordons: node-1 would stay cordoned"
        ]
    );
}

/// No scheduler answers, and of the scheduler's pods so many are ready.
fn unreachable(ready: Option<u64>) -> RemovalFacts {
    let mut facts = facts(true, vec![]);
    facts.fleet = Err("no leading scheduler was reached".to_owned());
    let metadata = json!({ "name": "eu-scheduler", "namespace": "bellwether", "labels": { COMPONENT: "scheduler" } });
    let status = ready.map_or_else(|| json!({}), |ready| json!({ "readyReplicas": ready }));
    facts.workloads.objects = objects([json!({ "kind": "Deployment", "metadata": metadata, "status": status })]);
    facts
}

#[test]
fn a_scheduler_that_runs_and_cannot_be_asked_is_in_the_way() {
    let facts = unreachable(Some(1));
    let expected = "leading scheduler: whether reboots are under way is not known: no leading scheduler was reached";
    assert_eq!(problems(&facts), [expected]);
    let remedy = findings(&facts).remove(0).remedy.unwrap();
    assert!(
        remedy.ends_with("kubectl -n bellwether scale deployment eu-scheduler --replicas=0"),
        "{remedy}"
    );
}

#[test]
fn without_a_scheduler_the_nodes_are_the_witnesses() {
    let mut gone = facts(true, vec![]);
    gone.fleet = Err("no leading scheduler was reached".to_owned());
    for mut facts in [unreachable(None), unreachable(Some(0)), gone] {
        assert_eq!(problems(&facts), [""; 0]);
        let findings = findings(&facts);
        assert_eq!(findings.first().map(|it| it.severity), Some(Severity::Warning));
        assert!(!findings.iter().any(|it| it.found.starts_with("safe")), "{findings:?}");
        facts.nodes.failure = Some(Failure::forbidden("Forbidden"));
        assert_eq!(problems(&facts), ["nodes: not looked at: Forbidden"]);
    }
}

#[test]
fn agents_without_a_scheduler_are_half_a_removal() {
    let mut facts = facts(true, vec![]);
    facts.fleet = Err("no leading scheduler was reached".to_owned());
    let metadata = json!({ "name": "rebooter", "namespace": "bellwether-agents" });
    facts.workloads.objects = objects([json!({ "kind": "DaemonSet", "metadata": metadata })]);
    assert_eq!(
        problems(&facts),
        ["removal: half done: the scheduler is gone; still there: DaemonSet bellwether-agents/rebooter"]
    );
}

#[test]
fn data_that_will_be_lost_is_mentioned() {
    let mut facts = facts(true, vec![]);
    let claim = json!({ "name": "data-nats-0", "namespace": "bellwether" });
    facts.control.objects = objects([json!({ "kind": "PersistentVolumeClaim", "metadata": claim })]);
    let data = findings(&facts)
        .into_iter()
        .find(|it| it.subject == "data of NATS")
        .unwrap();
    assert!(
        data.found.starts_with("bellwether/data-nats-0 goes with its namespace"),
        "{data:?}"
    );
}
