//! Nodes that are silent, each for a reason of its own.

use serde_json::json;

use crate::checks::workloads::{REBOOTER, SENTINEL};
use super::*;

/// One node, Ready and old, with a DaemonSet that has made its pods on this many of so many nodes.
fn facts(made: u64, wanted: u64) -> Facts {
    let mut facts = Facts::for_tests();
    let long_ago = "2026-11-01T00:00:00Z";
    facts.nodes.objects = vec![json!({
        "kind": "Node", "metadata": { "name": "node-1", "creationTimestamp": long_ago },
        "status": { "conditions": [{ "type": "Ready", "status": "True", "lastTransitionTime": long_ago }] },
    })];
    facts.workloads.objects = vec![json!({
        "kind": "DaemonSet", "metadata": { "name": "eu-rebooter", "namespace": "bellwether-agents",
            "labels": { COMPONENT: "rebooter" } },
        "status": { "currentNumberScheduled": made, "desiredNumberScheduled": wanted },
    })];
    facts
}

fn of(part: &Part, facts: &Facts) -> Silence {
    why_silent(part, "node-1", &Known::new(facts), facts)
}

#[test]
fn a_node_that_has_just_come_is_given_time() {
    for place in ["/metadata/creationTimestamp", "/status/conditions/0/lastTransitionTime"] {
        for (at, severity) in [
            ("2026-11-22T11:55:30Z", Severity::Warning),
            ("2026-11-22T11:54:30Z", Severity::Problem),
        ] {
            let mut facts = facts(0, 0);
            *facts.nodes.objects[0].pointer_mut(place).unwrap() = json!(at);
            assert_eq!(of(&REBOOTER, &facts).severity, severity, "{place}: {at}");
        }
    }
}

#[test]
fn a_node_that_the_daemon_set_leaves_out_is_a_choice_to_be_known_of() {
    let left_out = of(&REBOOTER, &facts(3, 3));
    assert_eq!(left_out.severity, Severity::Warning);
    assert!(left_out.eased.ends_with("its DaemonSet leaves it out"), "{left_out:?}");
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
    let mut unseen = facts(3, 3);
    unseen.agents.trouble = Some("Forbidden".to_owned());
    assert_eq!(of(&REBOOTER, &unseen).severity, Severity::Problem, "who knows");
}

#[test]
fn a_pod_that_does_not_run_yet_is_a_pod_of_its_node() {
    let for_node = json!({ "nodeAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": {
        "nodeSelectorTerms": [{ "matchFields": [{ "key": "metadata.name", "operator": "In", "values": ["node-1"] }] }],
    } } });
    for spec in [json!({ "nodeName": "node-1" }), json!({ "affinity": for_node })] {
        let mut facts = facts(3, 3);
        facts.agents.objects = vec![json!({ "kind": "Pod", "metadata": { "name": "rebooter-x" }, "spec": spec })];
        assert_eq!(of(&REBOOTER, &facts).severity, Severity::Problem, "{spec}");
    }
}
