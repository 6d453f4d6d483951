//! Before the removal: may Bellwether be taken away now, without leaving a node cordoned or in
//! mid-reboot?

use bellwether_proto::wire::{NodeState, NodeStatus};

use super::traces;
use crate::code::Code;
use crate::finding::{Finding, Severity, Topic};
use crate::group::names;
use crate::object::{cordoned_for, name, namespace};
use crate::part::{PARTS, SCHEDULER};
use crate::removal_facts::RemovalFacts;
use crate::text;

/// Where no scheduler runs, nothing starts, and each node in an attempt carries our cordon.
const BY_THE_NODES: &str = "kubectl reboots check    # or go by the nodes: without our cordon none is under way";

pub(crate) fn findings(facts: &RemovalFacts) -> Vec<Finding> {
    let mut findings = standing(facts);
    findings.extend(cordons(facts));
    let is_ready = findings.iter().all(|it| it.severity == Severity::Ok);
    findings.extend(data(facts));
    if is_ready {
        let found = "safe to remove now; then run this command again, to see what is left";
        let remedy = "kubectl delete -k deploy/overlays/quickstart    # or your overlay".to_owned();
        findings.push(Topic::Removal.finding(Severity::Ok, Code::SafeToRemove, "removal", found, Some(remedy)));
    }
    findings
}

/// What the leading scheduler reports: paused, and nothing under way.
fn standing(facts: &RemovalFacts) -> Vec<Finding> {
    let answer = match &facts.fleet {
        Ok(answer) => answer,
        Err(why) => return unasked(facts, why),
    };
    let mut findings = Vec::new();
    match answer.list.control.as_ref().filter(|control| control.paused) {
        Some(control) => findings.push(Topic::Removal.ok("pause", text::paused(control, facts.now))),
        None => findings.push(Topic::Removal.problem(
            Code::NotPaused,
            "pause",
            "not paused: a reboot may start at any moment",
            "kubectl reboots pause --reason \"removal\"",
        )),
    }
    let in_progress = i32::from(NodeState::InProgress);
    for node in answer.list.nodes.iter().filter(|node| node.state == in_progress) {
        let name = &node.node;
        findings.push(Topic::Removal.problem(
            Code::AttemptInProgress,
            format!("node {name}"),
            format!("in an attempt: {}", phase(node)),
            format!(
                "kubectl reboots watch {name}    # wait for its end; before the reboot: kubectl reboots cancel {name}"
            ),
        ));
    }
    findings
}

/// The phase of a node in an attempt.
fn phase(node: &NodeStatus) -> String {
    let attempt = node.attempt.as_ref();
    attempt.map_or_else(|| "InProgress".to_owned(), |attempt| text::phase(attempt.phase))
}

/// The scheduler cannot be asked. As long as one runs, it may start a reboot at any moment.
fn unasked(facts: &RemovalFacts, why: &str) -> Vec<Finding> {
    let found = format!("whether reboots are under way is not known: {why}");
    let (code, subject) = (Code::AttemptsUnknown, "leading scheduler");
    let Some(deployment) = facts.workload(&SCHEDULER) else {
        return [Topic::Removal.warning(code, subject, found, BY_THE_NODES)]
            .into_iter()
            .chain(half_removed(facts))
            .collect();
    };
    vec![if deployment.rollout().ready == 0 {
        Topic::Removal.warning(code, subject, found, BY_THE_NODES)
    } else {
        let meta = deployment.meta();
        let remedy = format!(
            "try again, and see kubectl reboots check; if it cannot be reached at all: \
             kubectl -n {} scale deployment {} --replicas=0",
            namespace(meta),
            name(meta)
        );
        Topic::Removal.problem(code, subject, found, remedy)
    }]
}

/// Agents without a scheduler: a removal that has begun and not ended.
fn half_removed(facts: &RemovalFacts) -> Option<Finding> {
    let workloads = PARTS.iter().filter_map(|part| facts.workload(part));
    let left: Vec<String> = workloads.map(|workload| workload.path()).collect();
    (!left.is_empty()).then(|| {
        Topic::Removal.problem(
            Code::RemovalIncomplete,
            "removal",
            format!("half done: the scheduler is gone; still there: {}", names(&left)),
            "wait if it is under way; else: kubectl delete -k deploy/overlays/quickstart    # or your overlay",
        )
    })
}

/// Our cordons: a removal now leaves them behind.
fn cordons(facts: &RemovalFacts) -> Vec<Finding> {
    if let Some(failure) = &facts.nodes.failure {
        let found = format!("not looked at: {}", failure.message);
        let code = crate::checks::reading::code(failure);
        return vec![Topic::Removal.problem(code, "nodes", found, "kubectl get nodes")];
    }
    let nodes = facts.nodes.objects.iter();
    let marked: Vec<&str> = nodes
        .filter(|node| !cordoned_for(node).is_empty())
        .map(|node| name(&node.metadata))
        .collect();
    match marked.as_slice() {
        [] => vec![Topic::Removal.ok("cordons", "no node carries one of ours")],
        [first, ..] => {
            let found = format!("{} would stay cordoned", names(&marked));
            let remedy = format!(
                "wait until its attempt has ended; if that has failed: {}",
                traces::uncordon(first)
            );
            vec![Topic::Removal.problem(Code::CordonLeft, "cordons", found, remedy)]
        }
    }
}

/// The data that is lost with the namespace.
fn data(facts: &RemovalFacts) -> Option<Finding> {
    let objects = facts.control.objects.iter();
    let claims: Vec<String> = objects
        .filter(|object| object.kind == "PersistentVolumeClaim")
        .map(|claim| format!("{}/{}", namespace(&claim.metadata), name(&claim.metadata)))
        .collect();
    let found = format!(
        "{} goes with its namespace: all records and events of the past",
        names(&claims)
    );
    (!claims.is_empty()).then(|| {
        let remedy = "kubectl reboots explain NODE    # what is worth keeping, before it is gone";
        Topic::Removal.warning(Code::DataLost, "data of NATS", found, remedy)
    })
}

#[cfg(test)]
#[path = "before_tests.rs"]
mod tests;
