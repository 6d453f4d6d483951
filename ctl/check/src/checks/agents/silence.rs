//! Why nothing is heard of an agent, as far as its node and its DaemonSet tell.

use std::collections::{BTreeMap, BTreeSet};

use bellwether_proto::wire::NodeStatus;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::facts::Facts;
use crate::finding::Severity;
use crate::object::{COMPONENT, instant, items, label, name, number, text};
use crate::checks::workloads::{PARTS, Part};

/// So long a node may take, new or back, until its agents are heard: images are pulled one after the
/// other on a new node.
const ARRIVAL: SignedDuration = SignedDuration::from_mins(5);

/// What is known of nodes, by their names: with thousands of them each is looked for twice.
#[derive(Debug)]
pub(super) struct Known<'a> {
    statuses: BTreeMap<&'a str, &'a NodeStatus>,
    nodes: BTreeMap<&'a str, &'a Value>,
    away: BTreeSet<&'a str>,
    /// Agents and the nodes that have a pod of them, whatever its state.
    hosted: BTreeSet<(&'a str, &'a str)>,
}

/// How bad a silence is.
#[derive(Debug)]
pub(super) struct Silence {
    pub(super) severity: Severity,
    /// Why it is not worse, to be said after what was found.
    pub(super) eased: &'static str,
    /// What helps, if there is no pod to look at.
    pub(super) remedy: Option<String>,
}

impl<'a> Known<'a> {
    pub(super) fn new(facts: &'a Facts) -> Self {
        let hosted = facts.agents.of("Pod").flat_map(|pod| {
            let of = |part: &&Part| label(pod, COMPONENT) == part.component || name(pod).starts_with(part.component);
            PARTS.iter().filter(of).map(move |part| (part.component, target(pod)))
        });
        Self {
            statuses: facts.statuses().iter().map(|it| (it.node.as_str(), it)).collect(),
            nodes: facts.nodes.of("Node").map(|node| (name(node), node)).collect(),
            away: facts.away(),
            hosted: hosted.collect(),
        }
    }

    pub(super) fn status(&self, node: &str) -> Option<&'a NodeStatus> {
        self.statuses.get(node).copied()
    }
}

/// The node on which a pod is, or for which its DaemonSet has made it.
fn target(pod: &Value) -> &str {
    const TERMS: &str = "/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms";
    match text(pod, "/spec/nodeName") {
        "" => items(pod, TERMS)
            .first()
            .map_or("", |term| text(term, "/matchFields/0/values/0")),
        node => node,
    }
}

pub(super) fn why_silent(part: &Part, node: &str, known: &Known<'_>, facts: &Facts) -> Silence {
    let warning = |eased, remedy| Silence {
        severity: Severity::Warning,
        eased,
        remedy,
    };
    if known.away.contains(node) {
        return warning("", None);
    }
    if known.nodes.get(node).is_some_and(|node| has_just_come(node, facts.now)) {
        return warning("; its node is new, or has just come back", None);
    }
    if let Some(daemon_set) = facts.workload(part)
        && facts.agents.trouble.is_none()
        && leaves_out(part, daemon_set, node, known)
    {
        let remedy = format!(
            "kubectl -n {} get daemonset {} -o yaml    # its nodeSelector and affinity, unless that is meant so",
            facts.places.agents,
            name(daemon_set)
        );
        return warning("; its DaemonSet leaves it out", Some(remedy));
    }
    Silence {
        severity: Severity::Problem,
        eased: "",
        remedy: None,
    }
}

fn has_just_come(node: &Value, now: Timestamp) -> bool {
    let ready = items(node, "/status/conditions")
        .iter()
        .filter(|it| text(it, "/type") == "Ready")
        .filter_map(|it| instant(it, "/lastTransitionTime"));
    let mut times = instant(node, "/metadata/creationTimestamp").into_iter().chain(ready);
    times.any(|at| now.duration_since(at) < ARRIVAL)
}

/// Whether a DaemonSet has made a pod for every node that it wants, and none for this one: then its own
/// selector or affinity leaves the node out, which an overlay may do on purpose.
fn leaves_out(part: &Part, daemon_set: &Value, node: &str, known: &Known<'_>) -> bool {
    let desired = number(daemon_set, "/status/desiredNumberScheduled");
    let complete = desired > 0 && number(daemon_set, "/status/currentNumberScheduled") == desired;
    complete && !known.hosted.contains(&(part.component, node))
}

#[cfg(test)]
#[path = "silence_tests.rs"]
mod tests;
