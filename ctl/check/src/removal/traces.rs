//! After the removal: every trace of Bellwether in the cluster, each with the command that
//! removes it.

use bellwether_proto::mark::CORDONED_FOR;
use serde_json::Value;

use crate::finding::{Finding, Topic, names};
use crate::object::{
    COMPONENT, OUR_PREFIX, PART_OF, annotation, entries, is_cordoned, items, kind, label, name, namespace, text,
};
use crate::removal_facts::Remains;
use crate::facts::LEASE;
use crate::facts::Answer;

pub(crate) fn findings(remains: &Remains) -> Vec<Finding> {
    let mut findings = unseen(remains);
    findings.extend(remains.nodes.of("Node").flat_map(of_node));
    findings.extend(remains.cluster.objects.iter().filter_map(|it| of_cluster(it, remains)));
    findings.extend(namespaces(remains));
    if findings.is_empty() {
        findings.push(Topic::Removal.ok("traces", "nothing of Bellwether is left in this cluster"));
    }
    findings
}

/// What could not be looked at may hold a trace.
pub(crate) fn unseen(remains: &Remains) -> Vec<Finding> {
    let looked: [(&str, &Answer); 6] = [
        ("nodes", &remains.nodes),
        ("namespaces", &remains.namespaces),
        ("workloads", &remains.workloads),
        ("cluster objects", &remains.cluster),
        ("control namespace", &remains.control),
        ("agents' namespace", &remains.agents),
    ];
    let tell = |(what, answer): (&str, &Answer)| {
        let trouble = answer.trouble.as_ref()?;
        let remedy = crate::refused::remedy(trouble, "run this as somebody who may read all of the cluster");
        Some(Topic::Removal.problem(what, format!("not looked at: {trouble}"), remedy))
    };
    looked.into_iter().filter_map(tell).collect()
}

/// How a cordon of ours is taken away by hand.
pub(crate) fn uncordon(node: &str) -> String {
    format!("kubectl uncordon {node} && kubectl annotate node {node} {CORDONED_FOR}-")
}

fn of_node(node: &Value) -> Vec<Finding> {
    let who = name(node);
    let mut findings = Vec::new();
    let mut left = |found: String, remedy: String| {
        findings.push(Topic::Removal.problem(format!("node {who}"), found, remedy));
    };
    let cordoned = is_cordoned(node) && !annotation(node, CORDONED_FOR).is_empty();
    if cordoned {
        left("cordoned by Bellwether".to_owned(), uncordon(who));
    }
    for (key, _) in ours(node, "/metadata/annotations") {
        if !(cordoned && key == CORDONED_FOR) {
            left(
                format!("annotation {key}"),
                format!("kubectl annotate node {who} {key}-"),
            );
        }
    }
    for (key, _) in ours(node, "/metadata/labels") {
        left(format!("label {key}"), format!("kubectl label node {who} {key}-"));
    }
    for taint in items(node, "/spec/taints") {
        let (key, effect) = (text(taint, "/key"), text(taint, "/effect"));
        if key.starts_with(OUR_PREFIX) {
            left(
                format!("taint {key}:{effect}"),
                format!("kubectl taint node {who} {key}:{effect}-"),
            );
        }
    }
    for condition in items(node, "/status/conditions") {
        let of_type = text(condition, "/type");
        if of_type.starts_with(OUR_PREFIX) {
            let patch = format!(r#"{{"status":{{"conditions":[{{"type":"{of_type}","$patch":"delete"}}]}}}}"#);
            let remedy = format!("kubectl patch node {who} --subresource=status -p '{patch}'");
            left(format!("condition {of_type}"), remedy);
        }
    }
    findings
}

fn ours<'a>(object: &'a Value, pointer: &str) -> impl Iterator<Item = (&'a str, &'a str)> {
    entries(object, pointer).filter(|(key, _)| key.starts_with(OUR_PREFIX))
}

/// An object without a namespace: ours by its label, by its name, or by what it binds.
fn of_cluster(object: &Value, remains: &Remains) -> Option<Finding> {
    let (kind, name) = (kind(object), name(object));
    let claim = text(object, "/spec/claimRef/namespace");
    let of_claim = claim == remains.places.control && !claim.is_empty();
    let binds = text(object, "/roleRef/name");
    let named = |name: &str| name == "bellwether" || name.starts_with("bellwether-");
    let of_group = text(object, "/spec/group").ends_with(OUR_PREFIX.trim_end_matches('/'));
    if !(label(object, PART_OF) == "bellwether" || named(name) || named(binds) || of_claim || of_group) {
        return None;
    }
    let found = if of_claim {
        "still there, with the data of NATS"
    } else {
        "still there"
    };
    let remedy = format!("kubectl delete {} {name}", kind.to_lowercase());
    Some(Topic::Removal.problem(format!("{kind} {name}"), found, remedy))
}

/// The two namespaces; where one is not ours to delete, what we left in it.
fn namespaces(remains: &Remains) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (place, answer) in [
        (&remains.places.control, &remains.control),
        (&remains.places.agents, &remains.agents),
    ] {
        let Some(found) = remains.namespaces.of("Namespace").find(|it| name(it) == place) else {
            continue;
        };
        let left: Vec<&Value> = answer.objects.iter().filter(|it| is_ours(it)).collect();
        if text(found, "/status/phase") == "Terminating" {
            findings.push(Topic::Removal.problem(
                format!("namespace {place}"),
                "is being deleted",
                format!("kubectl wait --for=delete namespace/{place} --timeout=2m"),
            ));
        } else if label(found, PART_OF) == "bellwether" {
            let left: Vec<String> = left.iter().map(|it| format!("{} {}", kind(it), name(it))).collect();
            let with = if left.is_empty() {
                String::new()
            } else {
                format!(", with {}", names(&left))
            };
            findings.push(Topic::Removal.problem(
                format!("namespace {place}"),
                format!("still there{with}"),
                format!("kubectl delete namespace {place}"),
            ));
        } else {
            findings.extend(left.into_iter().map(of_namespace));
        }
    }
    findings
}

fn of_namespace(object: &Value) -> Finding {
    let (kind, name, namespace) = (kind(object), name(object), namespace(object));
    let found = if kind == "PersistentVolumeClaim" {
        "still there, with the data of NATS"
    } else {
        "still there"
    };
    let remedy = format!("kubectl -n {namespace} delete {} {name}", kind.to_lowercase());
    Topic::Removal.problem(format!("{kind} {namespace}/{name}"), found, remedy)
}

fn is_ours(object: &Value) -> bool {
    match kind(object) {
        "Lease" => name(object) == LEASE,
        // A StatefulSet gives its claims the labels that it selects by, and no others.
        "PersistentVolumeClaim" => label(object, PART_OF) == "bellwether" || label(object, COMPONENT) == "bus",
        _ => label(object, PART_OF) == "bellwether",
    }
}

#[cfg(test)]
#[path = "traces_tests.rs"]
mod tests;
