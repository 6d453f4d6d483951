//! Nodes that are silent, each for a reason of its own.

use serde_json::json;

use super::*;
use crate::failure::Failure;
use crate::part::{REBOOTER, SENTINEL};
use crate::testing::{beside, objects};

const LONG_AGO: &str = "2026-11-01T00:00:00Z";

/// One node, Ready and old, with a DaemonSet that has made its pods on this many of so many nodes.
fn facts(made: u64, wanted: u64) -> Facts {
    facts_since(LONG_AGO, LONG_AGO, made, wanted)
}

/// The same, where the node was created and became Ready then.
fn facts_since(created: &str, ready: &str, made: u64, wanted: u64) -> Facts {
    let mut facts = crate::testing::facts();
    facts.nodes.objects = objects([json!({
        "kind": "Node", "metadata": { "name": "node-1", "creationTimestamp": created },
        "status": { "conditions": [{ "type": "Ready", "status": "True", "lastTransitionTime": ready }] },
    })]);
    facts.workloads.objects = objects([json!({
        "kind": "DaemonSet", "metadata": { "name": "eu-rebooter", "namespace": "bellwether-agents",
            "labels": { COMPONENT: "rebooter" } },
        "status": { "currentNumberScheduled": made, "desiredNumberScheduled": wanted },
    })]);
    facts
}

fn of(part: &Part, facts: &Facts) -> Silence {
    why_silent(part, "node-1", &Known::new(facts), facts)
}

#[test]
fn a_node_that_has_just_come_is_given_time() {
    for (at, severity) in [
        ("2026-11-22T11:55:30Z", Severity::Warning),
        ("2026-11-22T11:54:30Z", Severity::Problem),
    ] {
        let new = facts_since(at, LONG_AGO, 0, 0);
        assert_eq!(of(&REBOOTER, &new).severity, severity, "created at {at}");
        let back = facts_since(LONG_AGO, at, 0, 0);
        assert_eq!(of(&REBOOTER, &back).severity, severity, "Ready since {at}");
    }
}

#[test]
fn a_node_that_the_daemon_set_leaves_out_is_a_choice_to_be_known_of() {
    let left_out = of(&REBOOTER, &facts(3, 3));
    assert_eq!(left_out.severity, Severity::Warning);
    assert!(
        left_out.mitigation.ends_with("its DaemonSet leaves it out"),
        "{left_out:?}"
    );
    assert!(
        left_out
            .remedy
            .unwrap()
            .starts_with("kubectl -n bellwether-agents get daemonset eu-rebooter ")
    );
    assert_eq!(of(&SENTINEL, &facts(3, 3)).severity, Severity::Problem, "not its own");
    assert_eq!(
        of(&REBOOTER, &facts(2, 3)).severity,
        Severity::Problem,
        "one is refused"
    );
    assert_eq!(
        of(&REBOOTER, &facts(0, 0)).severity,
        Severity::Problem,
        "none is wanted"
    );
    let mut unread = facts(3, 3);
    unread.agents.failure = Some(Failure::forbidden("no"));
    assert_eq!(
        of(&REBOOTER, &unread).severity,
        Severity::Problem,
        "its pods are not known"
    );
}

#[test]
fn a_pod_that_does_not_run_yet_is_a_pod_of_its_node() {
    let for_node = json!({ "nodeAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": {
        "nodeSelectorTerms": [{ "matchFields": [{ "key": "metadata.name", "operator": "In", "values": ["node-1"] }] }],
    } } });
    for spec in [json!({ "nodeName": "node-1" }), json!({ "affinity": for_node })] {
        let mut facts = facts(3, 3);
        facts.agents.objects = beside([json!({ "kind": "Pod", "metadata": { "name": "rebooter-x" }, "spec": spec })]);
        assert_eq!(of(&REBOOTER, &facts).severity, Severity::Problem, "{spec}");
    }
}
