//! Pods that do not run, and why: in the words of the kubelet, of the service itself, or of the
//! last container that ended.

pub(crate) mod ask;
mod cure;
mod ended;
mod trouble;

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Event, Pod};

use self::trouble::{Trouble, trouble};
use crate::check::Check;
use crate::facts::{Facts, PodKey, Readiness};
use crate::finding::{Finding, Severity, Topic};
use crate::group::{count, names};
use crate::object::{COMPONENT, instant, is_current, label, name, namespace, node_name};

pub(crate) const CHECK: Check = Check {
    name: "pods",
    needs_kubernetes: true,
    find: findings,
};

/// Pods of one component with one trouble. Its words may differ in ids, addresses and counts, so
/// those of the first stand for all.
#[derive(Debug)]
struct Group<'a> {
    trouble: Trouble,
    /// Why it is not worse.
    mitigation: Option<&'static str>,
    first: &'a Pod,
    names: Vec<&'a str>,
    alike: bool,
}

fn findings(facts: &Facts) -> Vec<Finding> {
    let mut current: Vec<(&Pod, Option<&Readiness>)> = facts
        .pods()
        .filter(|pod| is_current(pod))
        .map(|pod| (pod, readiness(pod, facts)))
        .collect();
    // Few pods are asked; the answers of those hold for the others, which join them.
    current.sort_by_key(|(_, readiness)| match readiness {
        Some(Readiness::Answered(_)) => 0,
        Some(Readiness::Unanswered(_)) => 1,
        None => 2,
    });
    let events = newest_warnings(facts.events());
    let (away, has_attempt) = (facts.away(), facts.has_attempt());
    let mut groups: Vec<Group<'_>> = Vec::new();
    for (pod, readiness) in &current {
        let event = events.get(pod.metadata.uid.as_deref().unwrap_or_default()).copied();
        let Some(mut trouble) = trouble(pod, event, *readiness, facts.now) else {
            continue;
        };
        let node = node_name(pod);
        let mitigation = if away.contains(node) {
            // No pod outlives the reboot of its node unharmed.
            Some("its node is down or in an attempt")
        } else if node.is_empty() && has_attempt {
            // What was evicted waits for room, and on a single node for its uncordon.
            Some("while a node is in an attempt")
        } else {
            None
        };
        if mitigation.is_some() {
            trouble.severity = Severity::Warning;
        }
        join(&mut groups, trouble, mitigation, pod);
    }
    let mut findings: Vec<Finding> = groups.iter().map(|group| finding(group, facts)).collect();
    if findings.is_empty() && !current.is_empty() {
        let found = format!(
            "{} ready in {} and {}",
            count(current.len(), "pod"),
            facts.namespaces.control,
            facts.namespaces.agents
        );
        findings.push(Topic::Pods.ok("pods", found));
    }
    findings
}

/// The answer of a pod that was asked and is not ready.
fn readiness<'a>(pod: &Pod, facts: &'a Facts) -> Option<&'a Readiness> {
    let key = PodKey {
        namespace: namespace(&pod.metadata).to_owned(),
        name: name(&pod.metadata).to_owned(),
    };
    // One that has become ready meanwhile gives no reason.
    facts
        .readiness
        .get(&key)
        .filter(|readiness| !matches!(readiness, Readiness::Answered(parts) if parts.is_empty()))
}

fn join<'a>(groups: &mut Vec<Group<'a>>, trouble: Trouble, mitigation: Option<&'static str>, pod: &'a Pod) {
    let (meta, of) = (&pod.metadata, |group: &Group<'a>| &group.first.metadata);
    let group = groups.iter_mut().find(|group| {
        namespace(of(group)) == namespace(meta)
            && label(of(group), COMPONENT) == label(meta, COMPONENT)
            && group.mitigation == mitigation
            && trouble.is_like(&group.trouble)
    });
    match group {
        Some(group) => {
            group.names.push(name(meta));
            group.alike &= trouble.found == group.trouble.found;
        }
        None => groups.push(Group {
            trouble,
            mitigation,
            first: pod,
            names: vec![name(meta)],
            alike: true,
        }),
    }
}

fn finding(group: &Group<'_>, facts: &Facts) -> Finding {
    let Group { trouble, first, .. } = group;
    let mut found = trouble.found.clone();
    if let Some(mitigation) = group.mitigation {
        found.push_str(&format!(" ({mitigation})"));
    }
    let subject = match group.names.as_slice() {
        [one] => format!("pod {one}"),
        many => {
            let first_only = if group.alike { "" } else { "; as the first says it" };
            found.push_str(&format!(" ({}{first_only})", names(many)));
            let component = label(&first.metadata, COMPONENT);
            format!("{} of {component}", count(many.len(), "pod"))
        }
    };
    let remedy = trouble.cure.remedy(first, facts);
    Topic::Pods.finding(trouble.severity, trouble.code, subject, found, Some(remedy))
}

/// The newest warning of each pod, by the pod's UID.
fn newest_warnings<'a>(events: impl Iterator<Item = &'a Event>) -> BTreeMap<&'a str, &'a Event> {
    let at = |event: &Event| instant(event.last_timestamp.as_ref());
    let mut newest: BTreeMap<&str, &Event> = BTreeMap::new();
    for event in events {
        let object = &event.involved_object;
        if event.type_.as_deref() == Some("Warning") && object.kind.as_deref() == Some("Pod") {
            let known = newest.entry(object.uid.as_deref().unwrap_or_default()).or_insert(event);
            if at(known) <= at(event) {
                *known = event;
            }
        }
    }
    newest
}

#[cfg(test)]
#[path = "pods_tests.rs"]
mod tests;
