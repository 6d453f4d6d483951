//! Our Deployments and DaemonSets: there, scaled, rolled out.

use crate::check::Check;
use crate::code::Code;
use crate::facts::{Facts, NamespaceObjects};
use crate::finding::{Finding, Topic};
use crate::foreign::is_pod_security;
use crate::group::names;
use crate::namespaces::Namespaces;
use crate::object::{instant, name, namespace};
use crate::part::{PARTS, Part};
use crate::workload::{Rollout, Workload, WorkloadKind};

pub(crate) const CHECK: Check = Check {
    name: "workloads",
    needs_kubernetes: true,
    find: findings,
};

fn findings(facts: &Facts) -> Vec<Finding> {
    if facts.workloads.failure.is_some() {
        return vec![];
    }
    PARTS
        .iter()
        .map(|part| match facts.workload(part) {
            Some(workload) => state(workload, &facts.beside(namespace(workload.meta())).objects),
            None => missing(part, &facts.namespaces),
        })
        .collect()
}

fn missing(part: &Part, namespaces: &Namespaces) -> Finding {
    let flag = if part.in_agents {
        "--agents-namespace"
    } else {
        "--namespace"
    };
    Topic::Workloads.problem(
        Code::WorkloadMissing,
        format!("{} {}", part.kind.as_str(), part.component),
        format!("not in namespace {}", part.namespace(namespaces)),
        format!("kubectl apply -k OVERLAY    # yours, see docs/install.md; another namespace: {flag}"),
    )
}

/// How far a workload is. The objects are those of its namespace.
fn state(workload: &Workload, beside: &NamespaceObjects) -> Finding {
    let (kind, meta) = (workload.kind(), workload.meta());
    let (name, namespace) = (name(meta), namespace(meta));
    let subject = format!("{} {name}", kind.as_str());
    let rollout = workload.rollout();
    let Rollout {
        desired,
        ready,
        updated,
        ..
    } = rollout;
    let images: Vec<&str> = workload.images().collect();
    let found = format!("{ready} of {desired} ready, {}", names(&images));
    let argument = kind.argument();
    let look = format!("kubectl -n {namespace} describe {argument} {name}");
    if let Some(refusal) = refusal(workload, beside, rollout) {
        let found = format!("{found}; its pods are refused: {refusal}");
        // Agents need files of their host, which only the level `privileged` admits.
        let (code, remedy) = if kind == WorkloadKind::DaemonSet && is_pod_security(refusal) {
            let label = "pod-security.kubernetes.io/enforce=privileged";
            let remedy = format!("kubectl label namespace {namespace} {label} --overwrite");
            (Code::PodsRefusedByPodSecurity, remedy)
        } else {
            (Code::PodsRefused, look)
        };
        return Topic::Workloads.problem(code, subject, found, remedy);
    }
    match (desired, ready) {
        (0, _) if kind == WorkloadKind::DaemonSet => Topic::Workloads.problem(
            Code::WorkloadWithoutNodes,
            subject,
            "no node matches its nodeSelector",
            look,
        ),
        (0, _) => Topic::Workloads.problem(
            Code::WorkloadScaledToZero,
            subject,
            "scaled to zero",
            format!("kubectl -n {namespace} scale deployment {name} --replicas=2"),
        ),
        (_, 0) => Topic::Workloads.problem(Code::WorkloadNotReady, subject, found, look),
        _ if ready < desired => Topic::Workloads.warning(Code::WorkloadNotReady, subject, found, look),
        _ if updated < desired => Topic::Workloads.warning(
            Code::WorkloadRollingOut,
            subject,
            format!("{found}; {updated} of them of the newest revision"),
            format!("kubectl -n {namespace} rollout status {argument} {name}"),
        ),
        _ => Topic::Workloads.ok(subject, found),
    }
}

/// Why pods of this workload are not even created, if that is so now.
fn refusal<'a>(workload: &'a Workload, beside: &'a NamespaceObjects, rollout: Rollout) -> Option<&'a str> {
    if let Some(failure) = workload.replica_failure() {
        return Some(failure);
    }
    // Events stay for an hour, so they count only while pods are missing.
    if workload.kind() != WorkloadKind::DaemonSet || rollout.created >= rollout.desired {
        return None;
    }
    let events = beside.events.iter().filter(|event| {
        event.reason.as_deref() == Some("FailedCreate")
            && event.involved_object.kind.as_deref() == Some("DaemonSet")
            && event.involved_object.name.as_deref() == Some(name(workload.meta()))
    });
    let newest = events.max_by_key(|event| instant(event.last_timestamp.as_ref()))?;
    Some(newest.message.as_deref().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::finding::Severity;
    use crate::object::COMPONENT;
    use crate::testing::{beside, namespaces, typed};

    fn deployment(replicas: u64, ready: u64, updated: u64) -> Workload {
        Workload::Deployment(typed(json!({
            "kind": "Deployment",
            "metadata": { "name": "eu-drainer", "namespace": "bellwether", "labels": { COMPONENT: "drainer" } },
            "spec": { "replicas": replicas, "template": { "spec": { "containers": [{ "image": "bellwether/drainer:0.1.0" }] } } },
            "status": { "readyReplicas": ready, "updatedReplicas": updated },
        })))
    }

    fn daemon_set(desired: u64, current: u64) -> Workload {
        Workload::DaemonSet(typed(json!({
            "kind": "DaemonSet",
            "metadata": { "name": "rebooter", "namespace": "bellwether-agents" },
            "status": { "desiredNumberScheduled": desired, "currentNumberScheduled": current, "numberReady": current,
                "updatedNumberScheduled": current },
        })))
    }

    #[test]
    fn a_part_that_is_not_there_is_a_problem() {
        let findings = findings(&crate::testing::facts());
        assert_eq!(findings.len(), PARTS.len());
        assert!(
            findings.iter().all(|it| it.code == Code::WorkloadMissing),
            "{findings:?}"
        );
        assert_eq!(missing(&PARTS[0], &namespaces()).severity, Severity::Problem);
    }

    #[test]
    fn how_far_a_rollout_is_decides_how_bad_it_is() {
        let of = |replicas, ready, updated| {
            state(&deployment(replicas, ready, updated), &NamespaceObjects::default()).severity
        };
        assert_eq!(of(2, 2, 2), Severity::Ok);
        assert_eq!(of(2, 1, 2), Severity::Warning);
        assert_eq!(of(2, 2, 1), Severity::Warning);
        assert_eq!(of(2, 0, 2), Severity::Problem);
        let scaled_down = state(&deployment(0, 0, 0), &NamespaceObjects::default());
        assert!(scaled_down.remedy.unwrap().contains("scale deployment eu-drainer"));
        assert_eq!(
            state(&daemon_set(0, 0), &NamespaceObjects::default()).severity,
            Severity::Problem
        );
    }

    #[test]
    fn pods_that_pod_security_refuses_are_a_problem_with_the_label_that_admits_them() {
        let event = json!({
            "kind": "Event", "reason": "FailedCreate", "lastTimestamp": "2026-11-22T12:00:00Z",
            "involvedObject": { "kind": "DaemonSet", "name": "rebooter" },
            "message": "Error creating: pods \"rebooter-x\" is forbidden: violates PodSecurity \"baseline:latest\": hostPath volumes (volume \"dbus\")",
        });
        let beside = beside([event]);
        let finding = state(&daemon_set(3, 0), &beside);
        assert_eq!(finding.severity, Severity::Problem);
        assert_eq!(finding.code, Code::PodsRefusedByPodSecurity);
        assert!(finding.found.contains("violates PodSecurity"), "{finding:?}");
        assert!(
            finding
                .remedy
                .unwrap()
                .starts_with("kubectl label namespace bellwether-agents")
        );
        assert_eq!(state(&daemon_set(3, 3), &beside).severity, Severity::Ok, "that is over");
    }
}
