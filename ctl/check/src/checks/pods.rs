//! Pods that do not run, and why: in the words of the kubelet, of the service itself, or of the
//! last container that ended.

mod cure;
mod trouble;
mod words;

use std::collections::BTreeMap;

use bellwether_proto::readiness;
use serde_json::Value;

use crate::facts::{Facts, UNASKED};
use crate::finding::{Finding, Severity, Topic, count, names};
use crate::object::{COMPONENT, holds, instant, items, label, name, namespace, number, text};
use trouble::{Trouble, trouble};

/// Pods of one component with one trouble. Its words may differ in ids, addresses and counts, so
/// those of the first stand for all.
#[derive(Debug)]
struct Group<'a> {
    trouble: Trouble,
    /// Why it is not worse.
    eased: Option<&'static str>,
    first: &'a Value,
    names: Vec<&'a str>,
    alike: bool,
}

pub(crate) fn findings(facts: &Facts) -> Vec<Finding> {
    let answers = [&facts.control, &facts.agents];
    let pods = answers.iter().flat_map(|answer| answer.of("Pod"));
    let mut current: Vec<(&Value, &str)> = pods
        .filter(|pod| is_current(pod))
        .map(|pod| {
            let key = (namespace(pod).to_owned(), name(pod).to_owned());
            let said = facts.readiness.get(&key).map_or("", String::as_str);
            (pod, if said == readiness::READY { "" } else { said })
        })
        .collect();
    // Few pods are asked; what those say holds for the others, which join them.
    current.sort_by_key(|(_, said)| (said.is_empty(), said.starts_with(UNASKED)));
    let events = newest_warnings(answers.iter().flat_map(|answer| answer.of("Event")));
    let (away, attempt) = (facts.away(), facts.has_attempt());
    let mut groups: Vec<Group<'_>> = Vec::new();
    for (pod, said) in &current {
        let event = events.get(text(pod, "/metadata/uid")).copied();
        let Some(mut trouble) = trouble(pod, event, said, facts.now) else {
            continue;
        };
        let node = text(pod, "/spec/nodeName");
        let eased = if away.contains(node) {
            // No pod outlives the reboot of its node unharmed.
            Some("its node is down or in an attempt")
        } else if node.is_empty() && attempt {
            // What was evicted waits for room, and on a single node for its uncordon.
            Some("while a node is in an attempt")
        } else {
            None
        };
        if eased.is_some() {
            trouble.severity = Severity::Warning;
        }
        join(&mut groups, trouble, eased, pod);
    }
    let mut findings: Vec<Finding> = groups.iter().map(|group| tell(group, facts)).collect();
    if findings.is_empty() && !current.is_empty() {
        let found = format!(
            "{} ready in {} and {}",
            count(current.len(), "pod"),
            facts.places.control,
            facts.places.agents
        );
        findings.push(Topic::Pods.ok("pods", found));
    }
    findings
}

fn join<'a>(groups: &mut Vec<Group<'a>>, trouble: Trouble, eased: Option<&'static str>, pod: &'a Value) {
    let group = groups.iter_mut().find(|group| {
        let first = group.first;
        namespace(first) == namespace(pod)
            && label(first, COMPONENT) == label(pod, COMPONENT)
            && group.eased == eased
            && trouble.is_like(&group.trouble)
    });
    match group {
        Some(group) => {
            group.names.push(name(pod));
            group.alike &= trouble.found == group.trouble.found;
        }
        None => groups.push(Group {
            trouble,
            eased,
            first: pod,
            names: vec![name(pod)],
            alike: true,
        }),
    }
}

fn tell(group: &Group<'_>, facts: &Facts) -> Finding {
    let Group { trouble, first, .. } = group;
    let mut found = trouble.found.clone();
    if let Some(eased) = group.eased {
        found.push_str(&format!(" ({eased})"));
    }
    let subject = match group.names.as_slice() {
        [one] => format!("pod {one}"),
        many => {
            let said = if group.alike { "" } else { "; as the first says it" };
            found.push_str(&format!(" ({}{said})", names(many)));
            let component = label(first, COMPONENT);
            format!("{} of {component}", count(many.len(), "pod"))
        }
    };
    let remedy = trouble.cure.remedy(first, facts);
    Topic::Pods.finding(trouble.severity, subject, found, Some(remedy))
}

/// The newest warning of each pod, by the pod's UID.
fn newest_warnings<'a>(events: impl Iterator<Item = &'a Value>) -> BTreeMap<&'a str, &'a Value> {
    let at = |event: &Value| instant(event, "/lastTimestamp");
    let mut newest: BTreeMap<&str, &Value> = BTreeMap::new();
    for event in events {
        if text(event, "/type") == "Warning" && text(event, "/involvedObject/kind") == "Pod" {
            let known = newest.entry(text(event, "/involvedObject/uid")).or_insert(event);
            if at(known) <= at(event) {
                *known = event;
            }
        }
    }
    newest
}

/// A pod that is ending or has ended says nothing of its successor.
fn is_current(pod: &Value) -> bool {
    let ended = ["Succeeded", "Failed"].contains(&text(pod, "/status/phase"));
    !ended && pod.pointer("/metadata/deletionTimestamp").is_none()
}

/// A pod whose containers run, and which says that it is not ready: worth asking for its reason.
pub(crate) fn is_unready(pod: &Value) -> bool {
    let runs = |container: &Value| container.pointer("/state/running").is_some();
    is_current(pod) && !holds(pod, "Ready") && items(pod, "/status/containerStatuses").iter().any(runs)
}

/// Where `/readyz` is served.
pub(crate) fn admin_port(pod: &Value) -> Option<u16> {
    let ports = items(pod, "/spec/containers").iter().flat_map(|it| items(it, "/ports"));
    let admin = ports.into_iter().find(|port| text(port, "/name") == "admin")?;
    number(admin, "/containerPort").try_into().ok()
}

#[cfg(test)]
#[path = "pods_tests.rs"]
mod tests;
