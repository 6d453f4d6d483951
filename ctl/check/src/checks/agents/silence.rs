//! Why an agent does not report, as far as its node and its DaemonSet show.

use std::collections::{BTreeMap, BTreeSet};

use bellwether_proto::wire::NodeStatus;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Node, Pod};

use crate::facts::Facts;
use crate::finding::Severity;
use crate::object::{COMPONENT, created, instant, label, name, node_name};
use crate::part::{PARTS, Part};
use crate::workload::Workload;

/// So long a node may take, new or back, until its agents report: images are pulled one after the
/// other on a new node.
const ARRIVAL: SignedDuration = SignedDuration::from_mins(5);

/// Nodes by their names: with thousands of them each is looked for twice.
#[derive(Debug)]
pub(super) struct Known<'a> {
    statuses: BTreeMap<&'a str, &'a NodeStatus>,
    nodes: BTreeMap<&'a str, &'a Node>,
    away: BTreeSet<&'a str>,
    /// Agents and the nodes that have a pod of them, whatever its state.
    hosted: BTreeSet<(&'a str, &'a str)>,
}

/// How bad a silence is.
#[derive(Debug)]
pub(super) struct Silence {
    pub(super) severity: Severity,
    /// Why it is not worse, to be appended to the finding.
    pub(super) mitigation: &'static str,
    /// The remedy, if there is no pod to look at.
    pub(super) remedy: Option<String>,
}

impl<'a> Known<'a> {
    pub(super) fn new(facts: &'a Facts) -> Self {
        let hosted = facts.agents.objects.pods.iter().flat_map(|pod| {
            let meta = &pod.metadata;
            let of = |part: &&Part| label(meta, COMPONENT) == part.component || name(meta).starts_with(part.component);
            PARTS.iter().filter(of).map(move |part| (part.component, target(pod)))
        });
        let nodes = facts.nodes.objects.iter();
        Self {
            statuses: facts.statuses().iter().map(|it| (it.node.as_str(), it)).collect(),
            nodes: nodes.map(|node| (name(&node.metadata), node)).collect(),
            away: facts.away(),
            hosted: hosted.collect(),
        }
    }

    pub(super) fn status(&self, node: &str) -> Option<&'a NodeStatus> {
        self.statuses.get(node).copied()
    }
}

/// The node on which a pod is, or for which its DaemonSet has made it.
fn target(pod: &Pod) -> &str {
    match node_name(pod) {
        "" => wanted_node(pod).unwrap_or_default(),
        node => node,
    }
}

/// The node that the affinity of a DaemonSet's pod names.
fn wanted_node(pod: &Pod) -> Option<&str> {
    let affinity = pod.spec.as_ref()?.affinity.as_ref()?.node_affinity.as_ref()?;
    let required = affinity.required_during_scheduling_ignored_during_execution.as_ref()?;
    let fields = required.node_selector_terms.first()?.match_fields.as_ref()?;
    let node = fields.first()?.values.as_ref()?.first()?;
    Some(node)
}

pub(super) fn why_silent(part: &Part, node: &str, known: &Known<'_>, facts: &Facts) -> Silence {
    let warning = |mitigation, remedy| Silence {
        severity: Severity::Warning,
        mitigation,
        remedy,
    };
    if known.away.contains(node) {
        return warning("", None);
    }
    if known.nodes.get(node).is_some_and(|node| has_just_come(node, facts.now)) {
        return warning("; its node is new, or has just come back", None);
    }
    if let Some(daemon_set) = facts.workload(part)
        && facts.agents.failure.is_none()
        && leaves_out(part, daemon_set, node, known)
    {
        let remedy = format!(
            "kubectl -n {} get daemonset {} -o yaml    # its nodeSelector and affinity, unless that is meant so",
            facts.namespaces.agents,
            name(daemon_set.meta())
        );
        return warning("; its DaemonSet leaves it out", Some(remedy));
    }
    Silence {
        severity: Severity::Problem,
        mitigation: "",
        remedy: None,
    }
}

fn has_just_come(node: &Node, now: Timestamp) -> bool {
    let conditions = node.status.as_ref().and_then(|status| status.conditions.as_deref());
    let ready = conditions
        .unwrap_or_default()
        .iter()
        .filter(|condition| condition.type_ == "Ready")
        .filter_map(|condition| instant(condition.last_transition_time.as_ref()));
    let mut times = created(&node.metadata).into_iter().chain(ready);
    times.any(|at| now.duration_since(at) < ARRIVAL)
}

/// Whether a DaemonSet has made a pod for every node that it wants, and none for this one: then its own
/// selector or affinity leaves the node out, which an overlay may do on purpose.
fn leaves_out(part: &Part, daemon_set: &Workload, node: &str, known: &Known<'_>) -> bool {
    let rollout = daemon_set.rollout();
    let complete = rollout.desired > 0 && rollout.created == rollout.desired;
    complete && !known.hosted.contains(&(part.component, node))
}

#[cfg(test)]
#[path = "silence_tests.rs"]
mod tests;
