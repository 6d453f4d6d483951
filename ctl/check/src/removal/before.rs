//! Before the removal: may Bellwether be taken away now, without leaving a node cordoned or in
//! mid-reboot?

use bellwether_proto::mark::CORDONED_FOR;
use bellwether_proto::wire::NodeState;

use crate::finding::{Finding, Topic, names};
use crate::object::{annotation, kind, name, namespace, number};
use crate::removal_facts::Remains;
use crate::removal::traces;
use crate::checks::workloads::{PARTS, SCHEDULER};
use crate::facts::Answer;
use crate::{render, time, words};

/// Where no scheduler runs, nobody starts anything, and each node in an attempt carries our cordon.
const BY_THE_NODES: &str = "kubectl reboots check    # or go by the nodes: without our cordon none is under way";

pub(crate) fn findings(remains: &Remains) -> Vec<Finding> {
    let mut findings = standing(remains);
    findings.extend(cordons(remains));
    let is_ready = findings.iter().all(|it| it.severity == crate::finding::Severity::Ok);
    findings.extend(data(remains));
    if is_ready {
        let found = "safe to remove now; then run this command again, to see what is left";
        let mut safe = Topic::Removal.ok("removal", found);
        safe.remedy = Some("kubectl delete -k deploy/overlays/quickstart    # or your overlay".to_owned());
        findings.push(safe);
    }
    findings
}

/// What the leading scheduler says: paused, and nothing under way.
fn standing(remains: &Remains) -> Vec<Finding> {
    let reached = match &remains.fleet {
        Ok(reached) => reached,
        Err(why) => return unasked(remains, why),
    };
    let mut findings = Vec::new();
    match reached.list.control.as_ref().filter(|control| control.paused) {
        Some(control) => findings.push(Topic::Removal.ok("pause", render::paused(control, time::now()))),
        None => findings.push(Topic::Removal.problem(
            "pause",
            "not paused: a reboot may start at any moment",
            "kubectl reboots pause --reason \"removal\"",
        )),
    }
    let in_progress = i32::from(NodeState::InProgress);
    for node in reached.list.nodes.iter().filter(|node| node.state == in_progress) {
        let name = &node.node;
        findings.push(Topic::Removal.problem(
            format!("node {name}"),
            format!("in an attempt: {}", words::state(node)),
            format!(
                "kubectl reboots watch {name}    # wait for its end; before the reboot: kubectl reboots cancel {name}"
            ),
        ));
    }
    findings
}

/// The scheduler cannot be asked. As long as one runs, it may start a reboot at any moment.
fn unasked(remains: &Remains, why: &str) -> Vec<Finding> {
    let found = format!("whether reboots are under way is not known: {why}");
    let subject = "leading scheduler";
    let Some(deployment) = remains.workload(&SCHEDULER) else {
        return [Topic::Removal.warning(subject, found, BY_THE_NODES)]
            .into_iter()
            .chain(half_removed(remains))
            .collect();
    };
    vec![if number(deployment, "/status/readyReplicas") == 0 {
        Topic::Removal.warning(subject, found, BY_THE_NODES)
    } else {
        let (namespace, name) = (namespace(deployment), name(deployment));
        let remedy = format!(
            "try again, and see kubectl reboots check; if it cannot be reached at all: \
             kubectl -n {namespace} scale deployment {name} --replicas=0"
        );
        Topic::Removal.problem(subject, found, remedy)
    }]
}

/// Agents without a scheduler: a removal that has begun and not ended.
fn half_removed(remains: &Remains) -> Option<Finding> {
    let left: Vec<String> = PARTS
        .iter()
        .filter_map(|part| remains.workload(part))
        .map(|it| format!("{} {}/{}", kind(it), namespace(it), name(it)))
        .collect();
    (!left.is_empty()).then(|| {
        Topic::Removal.problem(
            "removal",
            format!("half done: the scheduler is gone; still there: {}", names(&left)),
            "wait if it is under way; else: kubectl delete -k deploy/overlays/quickstart    # or your overlay",
        )
    })
}

/// Our cordons: whoever takes Bellwether away now leaves them behind.
fn cordons(remains: &Remains) -> Vec<Finding> {
    let Answer { objects, trouble } = &remains.nodes;
    if let Some(trouble) = trouble {
        let found = format!("not looked at: {trouble}");
        return vec![Topic::Removal.problem("nodes", found, "kubectl get nodes")];
    }
    let marked: Vec<&str> = objects
        .iter()
        .filter(|node| !annotation(node, CORDONED_FOR).is_empty())
        .map(name)
        .collect();
    match marked.as_slice() {
        [] => vec![Topic::Removal.ok("cordons", "no node carries one of ours")],
        [first, ..] => {
            let found = format!("{} would stay cordoned", names(&marked));
            let remedy = format!(
                "wait until its attempt has ended; if that has failed: {}",
                traces::uncordon(first)
            );
            vec![Topic::Removal.problem("cordons", found, remedy)]
        }
    }
}

/// What is lost with the namespace.
fn data(remains: &Remains) -> Option<Finding> {
    let claims: Vec<String> = remains
        .control
        .of("PersistentVolumeClaim")
        .map(|claim| format!("{}/{}", namespace(claim), name(claim)))
        .collect();
    let found = format!(
        "{} goes with its namespace: all records and events of the past",
        names(&claims)
    );
    (!claims.is_empty()).then(|| {
        let remedy = "kubectl reboots explain NODE    # what is worth keeping, before it is gone";
        Topic::Removal.warning("data of NATS", found, remedy)
    })
}

#[cfg(test)]
#[path = "removal_tests.rs"]
mod tests;
