//! Pods that do not run, and why: in the words of the kubelet, of the service itself, or of the
//! last container that ended.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::facts::Facts;
use super::finding::{Finding, Groups, Severity, Topic, count, names};
use super::object::{COMPONENT, holds, instant, items, kind, label, name, namespace, number, text};

/// So long a pod may take to start before it is called a problem: an image is pulled, NATS is found.
const START: SignedDuration = SignedDuration::from_secs(60);

/// What is wrong with a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Trouble {
    severity: Severity,
    found: String,
    cure: Cure,
}

/// What helps, in general; in particular it depends on the pod's name.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Cure {
    Logs,
    PreviousLogs,
    Describe,
    /// Make a Secret or ConfigMap of this name.
    Make(&'static str, String),
    Say(&'static str),
}

pub(crate) fn findings(facts: &Facts) -> Vec<Finding> {
    let answers = [&facts.control, &facts.agents];
    let pods: Vec<&Value> = answers.iter().flat_map(|answer| answer.of("Pod")).collect();
    let events: Vec<&Value> = answers.iter().flat_map(|answer| answer.of("Event")).collect();
    let current: Vec<&Value> = pods.into_iter().filter(|pod| is_current(pod)).collect();
    let mut groups = Groups::new();
    for pod in &current {
        let key = (namespace(pod).to_owned(), name(pod).to_owned());
        let said = facts.readiness.get(&key).map_or("", String::as_str);
        if let Some(mut trouble) = trouble(pod, &events, said, facts.now) {
            if facts.is_away(text(pod, "/spec/nodeName")) {
                // No pod outlives the reboot of its node unharmed.
                trouble.severity = Severity::Warning;
                trouble.found.push_str(" (its node is down or in an attempt)");
            }
            groups.add((namespace(pod), label(pod, COMPONENT), trouble), name(pod));
        }
    }
    let mut findings = Vec::new();
    for ((namespace, component, trouble), pods) in groups {
        let first = pods.first().map_or("", String::as_str);
        let remedy = match trouble.cure {
            Cure::Logs => format!("kubectl -n {namespace} logs {first} --tail=20"),
            Cure::PreviousLogs => format!("kubectl -n {namespace} logs {first} --previous --tail=20"),
            Cure::Describe => format!("kubectl -n {namespace} describe pod {first}"),
            Cure::Make("secret", name) => {
                format!("kubectl -n {namespace} create secret generic {name} --from-file=FILE    # what the pod mounts")
            }
            Cure::Make(_, name) => format!("kubectl apply -k OVERLAY    # it generates the ConfigMap {name}"),
            Cure::Say(remedy) => remedy.to_owned(),
        };
        let subject = match pods.as_slice() {
            [one] => format!("pod {one}"),
            many => format!("{} of {component}", count(many.len(), "pod")),
        };
        let found = match pods.as_slice() {
            [_] => trouble.found,
            many => format!("{} ({})", trouble.found, names(many)),
        };
        findings.push(Topic::Pods.finding(trouble.severity, subject, found, Some(remedy)));
    }
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

fn trouble(pod: &Value, events: &[&Value], said: &str, now: Timestamp) -> Option<Trouble> {
    if holds(pod, "Ready") {
        return None;
    }
    let started = instant(pod, "/metadata/creationTimestamp");
    let young = started.is_some_and(|at| now.duration_since(at) < START);
    let waiting = if young { Severity::Warning } else { Severity::Problem };
    let statuses = || {
        ["/status/initContainerStatuses", "/status/containerStatuses"]
            .into_iter()
            .flat_map(|it| items(pod, it))
    };
    if let Some(found) = statuses().find_map(broken) {
        return Some(found);
    }
    let trouble = |severity, found: String, cure| Some(Trouble { severity, found, cure });
    if let Some(unscheduled) = items(pod, "/status/conditions")
        .iter()
        .find(|it| text(it, "/type") == "PodScheduled" && text(it, "/status") == "False")
    {
        return trouble(
            waiting,
            format!("no node takes it: {}", text(unscheduled, "/message")),
            Cure::Describe,
        );
    }
    let creating = statuses().all(|it| it.pointer("/state/running").is_none());
    if creating {
        return match newest_warning(pod, events) {
            Some(event) => {
                let message = text(event, "/message");
                trouble(waiting, message.to_owned(), cure_of_mount(message))
            }
            None => trouble(waiting, "its container is being created".to_owned(), Cure::Describe),
        };
    }
    let found = match said {
        "" | "ok" => "not ready".to_owned(),
        said => format!("not ready: {said}"),
    };
    trouble(waiting, found, Cure::Logs)
}

/// A container that will not run by waiting alone.
fn broken(container: &Value) -> Option<Trouble> {
    let reason = text(container, "/state/waiting/reason");
    let message = text(container, "/state/waiting/message");
    let image = text(container, "/image");
    let (found, cure) = match reason {
        "CrashLoopBackOff" => {
            let ended = ["/lastState/terminated", "/state/terminated"]
                .into_iter()
                .find_map(|it| container.pointer(it))
                .unwrap_or(&Value::Null);
            let times = number(container, "/restartCount");
            (
                format!("crash-looping ({times} restarts): {}", last_words(ended)),
                Cure::PreviousLogs,
            )
        }
        "ImagePullBackOff" | "ErrImagePull" | "InvalidImageName" | "ErrImageNeverPull" => {
            let remedy = "name an image that this cluster can pull under `images:` of your overlay, and apply it";
            (format!("{reason}: {image}: {message}"), Cure::Say(remedy))
        }
        "CreateContainerConfigError" | "CreateContainerError" | "RunContainerError" => {
            (format!("{reason}: {message}"), Cure::Describe)
        }
        _ => {
            // Ended just now, and not yet started again.
            let ended = container.pointer("/state/terminated")?;
            (format!("has ended: {}", last_words(ended)), Cure::Logs)
        }
    };
    Some(Trouble {
        severity: Severity::Problem,
        found,
        cure: missing_object(message).unwrap_or(cure),
    })
}

/// How a container ended: what it said last, as far as it is kept with the pod
/// (`terminationMessagePolicy: FallbackToLogsOnError`), else the code.
fn last_words(ended: &Value) -> String {
    let (reason, code) = (text(ended, "/reason"), number(ended, "/exitCode"));
    let message = text(ended, "/message").trim();
    match (message.lines().last(), reason) {
        (Some(line), _) => logged(line),
        (None, "") => format!("exit code {code}"),
        (None, reason) => format!("{reason}, exit code {code}"),
    }
}

/// What a log line of ours says; any other line as it is.
fn logged(line: &str) -> String {
    let entry: Value = serde_json::from_str(line).unwrap_or_default();
    match (text(&entry, "/message"), text(&entry, "/error")) {
        ("", "") => line.to_owned(),
        (message, "") => message.to_owned(),
        ("", error) => error.to_owned(),
        (message, error) => format!("{message}: {error}"),
    }
}

fn newest_warning<'a>(pod: &Value, events: &[&'a Value]) -> Option<&'a Value> {
    let mine = events.iter().copied().filter(|event| {
        text(event, "/type") == "Warning"
            && kind(pod) == text(event, "/involvedObject/kind")
            && text(event, "/involvedObject/uid") == text(pod, "/metadata/uid")
    });
    mine.max_by_key(|event| instant(event, "/lastTimestamp"))
}

fn cure_of_mount(message: &str) -> Cure {
    if message.contains("hostPath type check failed") {
        return Cure::Say(
            "make it on the host (for /run/dbus: install and start dbus), or patch the volume in your overlay",
        );
    }
    missing_object(message).unwrap_or(Cure::Describe)
}

/// For a message that misses a Secret or ConfigMap, such as `secret "nats" not found`.
fn missing_object(message: &str) -> Option<Cure> {
    if !message.contains("not found") {
        return None;
    }
    ["secret", "configmap"].into_iter().find_map(|kind| {
        let (_, rest) = message.split_once(&format!("{kind} \""))?;
        let (name, _) = rest.split_once('"')?;
        Some(Cure::Make(kind, name.to_owned()))
    })
}

#[cfg(test)]
#[path = "pods_tests.rs"]
mod tests;
