//! After the removal: every trace of Bellwether in the cluster, each with the command that
//! removes it.

use bellwether_proto::NodeLabel;
use bellwether_proto::mark::{
    AUTOSCALER_GUARDS, CORDONED_FOR, GUARDED_BY, KURED_IN_PROGRESS, LEASE, MARKED_WITH, OUT_OF_LOAD_BALANCERS,
    is_our_condition,
};
use k8s_openapi::api::core::v1::{Namespace, Node, NodeCondition, PersistentVolume};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::reading;
use crate::code::Code;
use crate::finding::{Finding, Severity, Topic};
use crate::group::names;
use crate::object::{BELLWETHER, COMPONENT, OUR_PREFIX, PART_OF, cordoned_for, is_cordoned, label, name, namespace};
use crate::removal_facts::{AnyObject, ClusterObject, RemovalFacts};

pub(crate) fn findings(facts: &RemovalFacts) -> Vec<Finding> {
    let mut findings = reading::findings(facts);
    findings.extend(facts.nodes.objects.iter().flat_map(of_node));
    findings.extend(facts.cluster.objects.iter().filter_map(|it| of_cluster(it, facts)));
    findings.extend(namespaces(facts));
    if findings.is_empty() {
        let found = "nothing of Bellwether is left in this cluster";
        findings.push(Topic::Removal.finding(Severity::Ok, Code::NothingLeft, "traces", found, None));
    }
    findings
}

/// The command that takes a cordon of ours away by hand.
pub(crate) fn uncordon(node: &str) -> String {
    format!("kubectl uncordon {node} && kubectl annotate node {node} {CORDONED_FOR}-")
}

fn of_node(node: &Node) -> Vec<Finding> {
    let meta = &node.metadata;
    let name = name(meta);
    let mut findings = Vec::new();
    let mut left = |found: String, remedy: String| {
        findings.push(Topic::Removal.problem(Code::MarkLeftOnNode, format!("node {name}"), found, remedy));
    };
    let cordoned = is_cordoned(node) && !cordoned_for(node).is_empty();
    if cordoned {
        left("cordoned by Bellwether".to_owned(), uncordon(name));
    }
    for (key, value) in meta
        .annotations
        .iter()
        .flatten()
        .filter(|(key, _)| key.starts_with(OUR_PREFIX))
    {
        if !(cordoned && key == CORDONED_FOR) {
            let mut remedy = format!("kubectl annotate node {name} {key}-");
            if key == GUARDED_BY {
                remedy.push_str(&guards(value, name));
            }
            if key == MARKED_WITH {
                remedy.push_str(&marks(value, name));
            }
            left(format!("annotation {key}"), remedy);
        }
    }
    for key in ours(meta.labels.iter().flat_map(|all| all.keys())) {
        left(format!("label {key}"), format!("kubectl label node {name} {key}-"));
    }
    let taints = node.spec.as_ref().and_then(|spec| spec.taints.as_deref());
    for taint in taints.unwrap_or_default() {
        let (key, effect) = (&taint.key, &taint.effect);
        if key.starts_with(OUR_PREFIX) {
            let remedy = format!("kubectl taint node {name} {key}:{effect}-");
            left(format!("taint {key}:{effect}"), remedy);
        }
    }
    let conditions = node.status.as_ref().and_then(|status| status.conditions.as_deref());
    let of_us = |condition: &&NodeCondition| {
        let reason = condition.reason.as_deref().unwrap_or_default();
        condition.type_.starts_with(OUR_PREFIX) || is_our_condition(&condition.type_, reason)
    };
    for condition in conditions.unwrap_or_default().iter().filter(of_us) {
        let of_type = &condition.type_;
        let patch = format!(r#"{{"status":{{"conditions":[{{"type":"{of_type}","$patch":"delete"}}]}}}}"#);
        let remedy = format!("kubectl patch node {name} --subresource=status -p '{patch}'");
        left(format!("condition {of_type}"), remedy);
    }
    findings
}

/// What the drainer has set with its cordon, by its list, as the rest of the command that removes annotations of this node.
fn guards(list: &str, node: &str) -> String {
    let is_listed = |guard: &&str| list.split(',').any(|name| name == *guard);
    let annotations = AUTOSCALER_GUARDS.into_iter().filter(is_listed);
    let annotations = annotations.map(|guard| format!(" {guard}-"));
    let label = Some(OUT_OF_LOAD_BALANCERS).filter(is_listed);
    let label = label.map(|label| format!("; kubectl label node {node} {label}-"));
    annotations.chain(label).collect()
}

/// What operators' settings had the drainer set with its cordon, in the same way. A name that is no label is left out: it would be part
/// of a command.
fn marks(list: &str, node: &str) -> String {
    let annotation = list.split(',').find(|name| *name == KURED_IN_PROGRESS);
    let annotation = annotation.map(|name| format!(" {name}-"));
    let is_label = |name: &&str| *name != KURED_IN_PROGRESS && format!("{name}=").parse::<NodeLabel>().is_ok();
    let labels: String = list
        .split(',')
        .filter(is_label)
        .map(|name| format!(" {name}-"))
        .collect();
    let labels = (!labels.is_empty()).then(|| format!("; kubectl label node {node}{labels}"));
    annotation.into_iter().chain(labels).collect()
}

fn ours<'a>(keys: impl Iterator<Item = &'a String>) -> impl Iterator<Item = &'a String> {
    keys.filter(|key| key.starts_with(OUR_PREFIX))
}

/// An object without a namespace: ours by its label, by its name, or by the role that it binds.
fn of_cluster(object: &ClusterObject, facts: &RemovalFacts) -> Option<Finding> {
    let (kind, meta) = (object.kind(), object.meta());
    let (found, is_known) = match object {
        ClusterObject::Binding(binding) => (STILL_THERE, is_named_ours(&binding.role_ref.name)),
        ClusterObject::Volume(volume) => {
            let holds_data = is_claimed(volume, &facts.namespaces.control);
            (still_there(holds_data), holds_data)
        }
        ClusterObject::Definition(definition) => {
            let is_ours = definition.spec.group.ends_with(OUR_PREFIX.trim_end_matches('/'));
            ("still there, and its deletion deletes all objects of its kind", is_ours)
        }
        ClusterObject::Other(_) => (STILL_THERE, false),
    };
    let name = name(meta);
    if !(is_part(object.meta()) || is_named_ours(name) || is_known) {
        return None;
    }
    let remedy = format!("kubectl delete {} {name}", kind.to_lowercase());
    let subject = format!("{kind} {name}");
    Some(Topic::Removal.problem(Code::ObjectLeft, subject, found, remedy))
}

fn is_named_ours(name: &str) -> bool {
    name.strip_prefix(BELLWETHER)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

fn is_part(meta: &ObjectMeta) -> bool {
    label(meta, PART_OF) == BELLWETHER
}

/// Whether a volume is claimed from this namespace.
fn is_claimed(volume: &PersistentVolume, from: &str) -> bool {
    let claim = volume.spec.as_ref().and_then(|spec| spec.claim_ref.as_ref());
    let namespace = claim.and_then(|claim| claim.namespace.as_deref()).unwrap_or_default();
    namespace == from && !namespace.is_empty()
}

const STILL_THERE: &str = "still there";

fn still_there(holds_data: bool) -> &'static str {
    if holds_data {
        "still there, with the data of NATS"
    } else {
        STILL_THERE
    }
}

/// The two namespaces; where one is not ours to delete, the objects that we left in it.
fn namespaces(facts: &RemovalFacts) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (place, gathered) in [
        (&facts.namespaces.control, &facts.control),
        (&facts.namespaces.agents, &facts.agents),
    ] {
        let mut all = facts.all_namespaces.objects.iter();
        let Some(found) = all.find(|it| name(&it.metadata) == place) else {
            continue;
        };
        let left: Vec<&AnyObject> = gathered.objects.iter().filter(|it| is_ours(it)).collect();
        if is_terminating(found) {
            findings.push(Topic::Removal.problem(
                Code::NamespaceTerminating,
                format!("namespace {place}"),
                "is being deleted",
                format!("kubectl wait --for=delete namespace/{place} --timeout=2m"),
            ));
        } else if is_part(&found.metadata) {
            let left = left.iter().map(|it| format!("{} {}", it.kind, name(&it.metadata)));
            let left: Vec<String> = left.collect();
            let with = if left.is_empty() {
                String::new()
            } else {
                format!(", with {}", names(&left))
            };
            findings.push(Topic::Removal.problem(
                Code::ObjectLeft,
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

fn is_terminating(namespace: &Namespace) -> bool {
    let status = namespace.status.as_ref();
    status.and_then(|status| status.phase.as_deref()) == Some("Terminating")
}

fn of_namespace(object: &AnyObject) -> Finding {
    let (kind, name, namespace) = (&object.kind, name(&object.metadata), namespace(&object.metadata));
    let found = still_there(kind == "PersistentVolumeClaim");
    let remedy = format!("kubectl -n {namespace} delete {} {name}", kind.to_lowercase());
    Topic::Removal.problem(Code::ObjectLeft, format!("{kind} {namespace}/{name}"), found, remedy)
}

fn is_ours(object: &AnyObject) -> bool {
    let meta = &object.metadata;
    match object.kind.as_str() {
        "Lease" => name(meta) == LEASE,
        // A StatefulSet gives its claims the labels that it selects by, and no others.
        "PersistentVolumeClaim" => is_part(meta) || label(meta, COMPONENT) == "bus",
        _ => is_part(meta),
    }
}

#[cfg(test)]
#[path = "traces_tests.rs"]
mod tests;
