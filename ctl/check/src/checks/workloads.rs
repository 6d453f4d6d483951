//! Our Deployments and DaemonSets: there, scaled, rolled out.

use serde_json::Value;

use crate::facts::{Facts, Places};
use crate::finding::{Finding, Topic, names};
use crate::object::{COMPONENT, images, instant, items, kind, label, name, namespace, number, text};

/// One of the four services as a workload.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) component: &'static str,
    pub(crate) kind: &'static str,
    in_agents: bool,
}

pub(crate) const SCHEDULER: Part = Part::new("scheduler", "Deployment", false);
pub(crate) const DRAINER: Part = Part::new("drainer", "Deployment", false);
pub(crate) const SENTINEL: Part = Part::new("sentinel", "DaemonSet", true);
pub(crate) const REBOOTER: Part = Part::new("rebooter", "DaemonSet", true);
pub(crate) const PARTS: [Part; 4] = [SCHEDULER, DRAINER, SENTINEL, REBOOTER];

impl Part {
    const fn new(component: &'static str, kind: &'static str, in_agents: bool) -> Self {
        Self {
            component,
            kind,
            in_agents,
        }
    }

    fn namespace<'a>(&self, places: &'a Places) -> &'a str {
        if self.in_agents {
            &places.agents
        } else {
            &places.control
        }
    }
}

/// The workload of a part: by its label, so that a prefix or another implementation does no harm;
/// else by its name.
pub(crate) fn find<'a>(part: &Part, workloads: &'a [Value], places: &Places) -> Option<&'a Value> {
    let here = |it: &&Value| kind(it) == part.kind && namespace(it) == part.namespace(places);
    let mut labelled = workloads.iter().filter(here);
    let mut named = workloads.iter().filter(here);
    labelled
        .find(|it| label(it, COMPONENT) == part.component)
        .or_else(|| named.find(|it| name(it) == part.component))
}

pub(crate) fn findings(facts: &Facts) -> Vec<Finding> {
    if facts.workloads.trouble.is_some() {
        return vec![];
    }
    PARTS
        .iter()
        .map(|part| match facts.workload(part) {
            Some(workload) => state(workload, &facts.beside(workload).objects),
            None => missing(part, &facts.places),
        })
        .collect()
}

fn missing(part: &Part, places: &Places) -> Finding {
    let flag = if part.in_agents {
        "--agents-namespace"
    } else {
        "--namespace"
    };
    Topic::Workloads.problem(
        format!("{} {}", part.kind, part.component),
        format!("not in namespace {}", part.namespace(places)),
        format!("kubectl apply -k OVERLAY    # yours, see docs/install.md; another namespace: {flag}"),
    )
}

/// How far a workload is. The objects are those of its namespace.
fn state(workload: &Value, objects: &[Value]) -> Finding {
    let (kind, name, namespace) = (kind(workload), name(workload), namespace(workload));
    let subject = format!("{kind} {name}");
    let told = |pointer| number(workload, pointer);
    let (desired, ready, updated) = if kind == "DaemonSet" {
        (
            told("/status/desiredNumberScheduled"),
            told("/status/numberReady"),
            told("/status/updatedNumberScheduled"),
        )
    } else {
        (
            told("/spec/replicas"),
            told("/status/readyReplicas"),
            told("/status/updatedReplicas"),
        )
    };
    let images: Vec<&str> = images(workload).collect();
    let found = format!("{ready} of {desired} ready, {}", names(&images));
    let look = format!("kubectl -n {namespace} describe {} {name}", kind.to_lowercase());
    if let Some(refusal) = refusal(workload, objects, desired) {
        let remedy = remedy_of_refusal(&refusal, kind, namespace, look);
        return Topic::Workloads.problem(subject, format!("{found}; its pods are refused: {refusal}"), remedy);
    }
    match (desired, ready) {
        (0, _) if kind == "DaemonSet" => Topic::Workloads.problem(subject, "no node matches its nodeSelector", look),
        (0, _) => Topic::Workloads.problem(
            subject,
            "scaled to zero",
            format!("kubectl -n {namespace} scale deployment {name} --replicas=2"),
        ),
        (_, 0) => Topic::Workloads.problem(subject, found, look),
        _ if ready < desired => Topic::Workloads.warning(subject, found, look),
        _ if updated < desired => Topic::Workloads.warning(
            subject,
            format!("{found}; {updated} of them of the newest revision"),
            format!("kubectl -n {namespace} rollout status {} {name}", kind.to_lowercase()),
        ),
        _ => Topic::Workloads.ok(subject, found),
    }
}

/// Why pods of this workload are not even created, if that is so now.
fn refusal(workload: &Value, objects: &[Value], desired: u64) -> Option<String> {
    let conditions = items(workload, "/status/conditions").iter();
    let failing = conditions
        .filter(|it| text(it, "/type") == "ReplicaFailure" && text(it, "/status") == "True")
        .map(|it| text(it, "/message").to_owned())
        .next();
    if failing.is_some() {
        return failing;
    }
    // Events stay for an hour, so they count only while pods are missing.
    let lacking = kind(workload) == "DaemonSet" && number(workload, "/status/currentNumberScheduled") < desired;
    let events = objects.iter().filter(|it| {
        lacking
            && text(it, "/reason") == "FailedCreate"
            && text(it, "/involvedObject/kind") == "DaemonSet"
            && text(it, "/involvedObject/name") == name(workload)
    });
    let newest = events.max_by_key(|event| instant(event, "/lastTimestamp"));
    newest.map(|event| text(event, "/message").to_owned())
}

/// Agents need files of their host, which only the level `privileged` admits.
fn remedy_of_refusal(refusal: &str, kind: &str, namespace: &str, look: String) -> String {
    if kind == "DaemonSet" && refusal.contains("PodSecurity") {
        format!("kubectl label namespace {namespace} pod-security.kubernetes.io/enforce=privileged --overwrite")
    } else {
        look
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::finding::Severity;
    use super::*;

    fn places() -> Places {
        Places {
            control: "bellwether".to_owned(),
            agents: "bellwether-agents".to_owned(),
        }
    }

    fn deployment(replicas: u64, ready: u64, updated: u64) -> Value {
        json!({
            "kind": "Deployment",
            "metadata": { "name": "eu-drainer", "namespace": "bellwether", "labels": { COMPONENT: "drainer" } },
            "spec": { "replicas": replicas, "template": { "spec": { "containers": [{ "image": "bellwether/drainer:0.1.0" }] } } },
            "status": { "readyReplicas": ready, "updatedReplicas": updated },
        })
    }

    fn daemon_set(desired: u64, current: u64) -> Value {
        json!({
            "kind": "DaemonSet",
            "metadata": { "name": "rebooter", "namespace": "bellwether-agents" },
            "status": { "desiredNumberScheduled": desired, "currentNumberScheduled": current, "numberReady": current,
                "updatedNumberScheduled": current },
        })
    }

    #[test]
    fn a_part_is_found_by_its_label_or_its_name_in_its_namespace_only() {
        let mut stray = deployment(2, 2, 2);
        *stray.pointer_mut("/metadata/namespace").unwrap() = json!("elsewhere");
        let all = [stray, deployment(2, 2, 2), daemon_set(3, 3)];
        assert_eq!(find(&DRAINER, &all, &places()), all.get(1));
        assert_eq!(find(&REBOOTER, &all, &places()), all.get(2));
        assert_eq!(find(&SCHEDULER, &all, &places()), None);
        assert_eq!(missing(&SCHEDULER, &places()).severity, Severity::Problem);
    }

    #[test]
    fn how_far_a_rollout_is_decides_how_bad_it_is() {
        let of = |replicas, ready, updated| state(&deployment(replicas, ready, updated), &[]).severity;
        assert_eq!(of(2, 2, 2), Severity::Ok);
        assert_eq!(of(2, 1, 2), Severity::Warning);
        assert_eq!(of(2, 2, 1), Severity::Warning);
        assert_eq!(of(2, 0, 2), Severity::Problem);
        let scaled_down = state(&deployment(0, 0, 0), &[]);
        assert!(scaled_down.remedy.unwrap().contains("scale deployment eu-drainer"));
        assert_eq!(state(&daemon_set(0, 0), &[]).severity, Severity::Problem);
    }

    #[test]
    fn pods_that_pod_security_refuses_are_a_problem_with_the_label_that_admits_them() {
        let event = json!({
            "kind": "Event", "reason": "FailedCreate", "lastTimestamp": "2026-11-22T12:00:00Z",
            "involvedObject": { "kind": "DaemonSet", "name": "rebooter" },
            "message": "Error creating: pods \"rebooter-x\" is forbidden: violates PodSecurity \"baseline:latest\": hostPath volumes (volume \"dbus\")",
        });
        let finding = state(&daemon_set(3, 0), std::slice::from_ref(&event));
        assert_eq!(finding.severity, Severity::Problem);
        assert!(finding.found.contains("violates PodSecurity"), "{finding:?}");
        assert!(
            finding
                .remedy
                .unwrap()
                .starts_with("kubectl label namespace bellwether-agents")
        );
        assert_eq!(
            state(&daemon_set(3, 3), &[event]).severity,
            Severity::Ok,
            "that is over"
        );
    }
}
