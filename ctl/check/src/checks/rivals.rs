//! Rivals and other neighbours: kured, a second Bellwether, other tools and operators that cordon or
//! reboot nodes here.

use bellwether_proto::setting::TOLERATE_RIVALS;
use k8s_openapi::api::core::v1::Node;

use crate::check::Check;
use crate::code::Code;
use crate::environment;
use crate::facts::Facts;
use crate::finding::{Finding, Severity, Topic};
use crate::group::{Groups, count, names};
use crate::kured::{Kured, KuredLock, meta};
use crate::object::{annotation, cordoned_for, is_cordoned, name, namespace};
use crate::part::SCHEDULER;
use crate::workload::Workload;

pub(crate) const CHECK: Check = Check {
    name: "rivals",
    needs_kubernetes: true,
    find: findings,
};

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

fn findings(facts: &Facts) -> Vec<Finding> {
    if facts.workloads.failure.is_some() {
        return vec![];
    }
    let workloads = &facts.workloads.objects;
    let mut findings = Vec::new();
    // An operator who tolerates rivals knows of them.
    let severity = if tolerates(facts) {
        Severity::Warning
    } else {
        Severity::Problem
    };
    for found in workloads.iter().filter_map(|it| Kured::recognise(it, facts.now)) {
        findings.extend(kured(&found, severity));
    }
    findings.extend(second(facts, severity));
    for (part, tool) in OTHERS {
        if let Some(found) = workloads.iter().find(|it| name(it.meta()).contains(part)) {
            findings.push(Topic::Neighbours.warning(
                Code::OtherRebootTool,
                tool,
                format!(
                    "{}: it may reboot nodes too, and knows nothing of the slots here",
                    found.path()
                ),
                "see that they never do so at the same time: kubectl reboots pause, while it works",
            ));
        }
    }
    findings.extend(cordons(facts));
    if findings.is_empty() {
        findings.push(Topic::Neighbours.ok("neighbours", "nothing else is known to reboot or cordon nodes"));
    }
    findings
}

fn tolerates(facts: &Facts) -> bool {
    let scheduler = facts.workload(&SCHEDULER);
    scheduler.is_some_and(|it| environment::of_workload(it, facts).get(TOLERATE_RIVALS) == Some(&Some("true")))
}

fn kured(kured: &Kured, severity: Severity) -> Vec<Finding> {
    let Kured {
        namespace, name, nodes, ..
    } = kured;
    let finding = |code, found: String, remedy: String| {
        let subject = format!("kured ({namespace}/{name})");
        Topic::Neighbours.finding(severity, code, subject, found, Some(remedy))
    };
    let found = match nodes {
        0 => "is deployed, though on no node now: while it is there, nothing is started".to_owned(),
        _ => format!(
            "runs on {} and reboots them too: run one of the two",
            count(*nodes, "node")
        ),
    };
    let remedy = format!("kubectl -n {namespace} delete daemonset {name}");
    let mut findings = vec![finding(Code::KuredFound, found, remedy)];
    for KuredLock { annotation, holders } in &kured.locks {
        if !holders.is_empty() {
            let found = format!("its lock is held: {}", names(holders));
            let remedy = format!(
                "wait until that node is back; if nothing comes of it: kubectl -n {namespace} annotate daemonset {name} {annotation}-"
            );
            findings.push(finding(Code::KuredLockHeld, found, remedy));
        }
    }
    findings
}

/// Services of Bellwether in other namespaces than those of this installation.
fn second(facts: &Facts, severity: Severity) -> Vec<Finding> {
    let is_other = |it: &&Workload| {
        let meta = meta(it);
        meta.bellwether_service().is_some() && !facts.namespaces.contains(meta.namespace)
    };
    let mut groups = Groups::new();
    for workload in facts.workloads.objects.iter().filter(is_other) {
        groups.add(namespace(workload.meta()), name(workload.meta()));
    }
    let finding = |(namespace, parts): (&str, Vec<String>)| {
        let found = format!(
            "{}: the two know nothing of each other's slots and cordons",
            names(&parts)
        );
        let remedy = format!(
            "remove one of the two; if these parts belong together: --namespace, --agents-namespace (here {namespace})"
        );
        let subject = format!("second Bellwether in {namespace}");
        Topic::Neighbours.finding(severity, Code::SecondBellwether, subject, found, Some(remedy))
    };
    groups.into_iter().map(finding).collect()
}

/// Nodes that others cordoned: each takes a slot.
fn cordons(facts: &Facts) -> Vec<Finding> {
    let nodes = facts.nodes.objects.iter();
    let foreign = nodes.filter(|node| is_cordoned(node) && cordoned_for(node).is_empty());
    let (by_kured, by_others): (Vec<&Node>, Vec<&Node>) =
        foreign.partition(|node| !annotation(&node.metadata, KURED_IN_PROGRESS).is_empty());
    let finding = |nodes: &[&Node], actor: &str| {
        let names: Vec<&str> = nodes.iter().map(|node| name(&node.metadata)).collect();
        let first = names.first()?;
        let found = format!("cordoned by {actor}: {}; each takes a slot", self::names(&names));
        let remedy = format!("kubectl uncordon {first}    # when they are done with it");
        Some(Topic::Neighbours.warning(Code::ForeignCordon, count(names.len(), "node"), found, remedy))
    };
    let kured = finding(&by_kured, "kured, in mid-reboot");
    kured.into_iter().chain(finding(&by_others, "somebody else")).collect()
}

#[cfg(test)]
#[path = "rivals_tests.rs"]
mod tests;
