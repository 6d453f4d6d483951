//! Who else cordons or reboots nodes here: kured, a second Bellwether, other tools, people.

use jiff::Timestamp;
use serde_json::Value;

use crate::facts::Facts;
use crate::finding::{Finding, Severity, Topic, count, names};
use crate::object::{
    COMPONENT, PART_OF, annotation, entries, images, instant, is_cordoned, kind, label, name, namespace, number, text,
};
use crate::checks::settings::{TOLERATE_RIVALS, environment};
use crate::checks::workloads::SCHEDULER;
use crate::time;

/// How kured's lock is called unless `--lock-annotation` renames it; then it mostly ends like this.
const KURED_LOCK: &str = "kured-node-lock";
/// On nodes, with kured's `--annotate-nodes`.
const KURED_IN_PROGRESS: &str = "weave.works/kured-reboot-in-progress";

/// Other tools that reboot nodes, by a part of their workloads' names.
const OTHERS: [(&str, &str); 7] = [
    ("system-upgrade-controller", "Rancher's system-upgrade-controller"),
    ("brupop", "the Bottlerocket update operator"),
    ("flatcar-linux-update", "the Flatcar Linux update operator"),
    ("machine-config-daemon", "OpenShift's machine config operator"),
    ("node-maintenance-operator", "the node maintenance operator"),
    ("tuppr", "tuppr, which upgrades Talos"),
    ("draino", "draino"),
];

pub(crate) fn findings(facts: &Facts) -> Vec<Finding> {
    if facts.workloads.trouble.is_some() {
        return vec![];
    }
    let workloads = &facts.workloads.objects;
    let mut findings = Vec::new();
    // Who has said that both may reboot nodes has been told.
    let live = if tolerates(facts) {
        Severity::Warning
    } else {
        Severity::Problem
    };
    for daemon_set in facts.workloads.of("DaemonSet").filter(|it| is_kured(it)) {
        findings.extend(kured(daemon_set, live, facts.now));
    }
    findings.extend(second(facts, live));
    for (part, tool) in OTHERS {
        if let Some(found) = workloads.iter().find(|it| name(it).contains(part)) {
            let what = format!("{} {}/{}", kind(found), namespace(found), name(found));
            findings.push(Topic::Neighbours.warning(
                tool,
                format!("{what}: it may reboot nodes too, and knows nothing of the slots here"),
                "see that they never do so at the same time: kubectl reboots pause, while it works",
            ));
        }
    }
    findings.extend(cordons(facts));
    if findings.is_empty() {
        findings.push(Topic::Neighbours.ok("neighbours", "nobody else is known to reboot or cordon nodes"));
    }
    findings
}

fn tolerates(facts: &Facts) -> bool {
    facts
        .workload(&SCHEDULER)
        .is_some_and(|it| environment(it, facts.beside(it)).get(TOLERATE_RIVALS) == Some(&Some("true")))
}

/// Its manifests, its Helm chart under any release name, its image, and whatever carries its lock:
/// as the scheduler knows it, and a bit more.
fn is_kured(daemon_set: &Value) -> bool {
    let of_image = |image: &str| image.split([':', '@']).any(|part| part.ends_with("/kured"));
    let name = name(daemon_set);
    name == "kured"
        || name.ends_with("-kured")
        || ["app.kubernetes.io/name", "name"]
            .iter()
            .any(|key| label(daemon_set, key) == "kured")
        || locks(daemon_set).next().is_some()
        || images(daemon_set).any(of_image)
}

fn locks(daemon_set: &Value) -> impl Iterator<Item = (&str, &str)> {
    entries(daemon_set, "/metadata/annotations").filter(|(key, _)| key.ends_with(KURED_LOCK))
}

fn kured(daemon_set: &Value, severity: Severity, now: Timestamp) -> Vec<Finding> {
    let (namespace, name) = (namespace(daemon_set), name(daemon_set));
    let tell = |found: String, remedy: String| {
        let subject = format!("kured ({namespace}/{name})");
        Topic::Neighbours.finding(severity, subject, found, Some(remedy))
    };
    let desired = usize::try_from(number(daemon_set, "/status/desiredNumberScheduled")).unwrap_or_default();
    let found = match desired {
        0 => "is deployed, though on no node now: while it is there, nothing is started".to_owned(),
        _ => format!(
            "runs on {} and reboots them too: run one of the two",
            count(desired, "node")
        ),
    };
    let mut findings = vec![tell(found, format!("kubectl -n {namespace} delete daemonset {name}"))];
    for (key, lock) in locks(daemon_set) {
        let holders = holders(lock, now);
        if !holders.is_empty() {
            let found = format!("its lock is held: {}", names(&holders));
            let remedy = format!(
                "wait until that node is back; if nothing comes of it: kubectl -n {namespace} annotate daemonset {name} {key}-"
            );
            findings.push(tell(found, remedy));
        }
    }
    findings
}

/// Who holds kured's lock, of either of its forms, and since when. What has expired is held by nobody.
fn holders(lock: &str, now: Timestamp) -> Vec<String> {
    let lock: Value = serde_json::from_str(lock).unwrap_or_default();
    let single = std::slice::from_ref(&lock);
    let all = lock
        .get("locks")
        .and_then(Value::as_array)
        .map_or(single, Vec::as_slice);
    let holder = |lock: &Value| {
        let node = text(lock, "/nodeID");
        let created = instant(lock, "/created");
        let lasts = i64::try_from(number(lock, "/TTL")).unwrap_or_default();
        let expired = lasts > 0 && created.is_some_and(|at| now.duration_since(at).as_nanos() > lasts.into());
        let since = created.map_or_else(String::new, |at| format!(" for {}", time::between(at, now)));
        (!node.is_empty() && !expired).then(|| format!("by {node}{since}"))
    };
    all.iter().filter_map(holder).collect()
}

/// Parts of Bellwether in other namespaces than those of this installation.
fn second(facts: &Facts, live: Severity) -> Vec<Finding> {
    let places = &facts.places;
    let ours = |it: &Value| [places.control.as_str(), places.agents.as_str()].contains(&namespace(it));
    let is_part = |it: &Value| {
        let service = ["scheduler", "drainer", "sentinel", "rebooter"].contains(&label(it, COMPONENT));
        service && (label(it, PART_OF) == "bellwether" || label(it, "app.kubernetes.io/name") == "bellwether")
    };
    let mut groups = crate::finding::Groups::new();
    for workload in facts.workloads.objects.iter().filter(|it| is_part(it) && !ours(it)) {
        groups.add(namespace(workload), name(workload));
    }
    let tell = |(namespace, parts): (&str, Vec<String>)| {
        let found = format!(
            "{}: the two know nothing of each other's slots and cordons",
            names(&parts)
        );
        let remedy = format!(
            "remove one of the two; if these parts belong together: --namespace, --agents-namespace (here {namespace})"
        );
        let subject = format!("second Bellwether in {namespace}");
        Topic::Neighbours.finding(live, subject, found, Some(remedy))
    };
    groups.into_iter().map(tell).collect()
}

/// Nodes that others cordoned: each takes a slot.
fn cordons(facts: &Facts) -> Vec<Finding> {
    let ours = |node: &Value| !annotation(node, bellwether_proto::mark::CORDONED_FOR).is_empty();
    let foreign: Vec<&Value> = facts
        .nodes
        .of("Node")
        .filter(|node| is_cordoned(node) && !ours(node))
        .collect();
    let (by_kured, by_others): (Vec<&Value>, Vec<&Value>) = foreign
        .into_iter()
        .partition(|node| !annotation(node, KURED_IN_PROGRESS).is_empty());
    let tell = |nodes: &[&Value], whom: &str| {
        let names: Vec<&str> = nodes.iter().map(|node| name(node)).collect();
        let first = names.first()?;
        let found = format!("cordoned by {whom}: {}; each takes a slot", self::names(&names));
        let remedy = format!("kubectl uncordon {first}    # when they are done with it");
        Some(Topic::Neighbours.warning(count(names.len(), "node"), found, remedy))
    };
    let kured = tell(&by_kured, "kured, in mid-reboot");
    kured.into_iter().chain(tell(&by_others, "somebody else")).collect()
}

#[cfg(test)]
#[path = "neighbours_tests.rs"]
mod tests;
