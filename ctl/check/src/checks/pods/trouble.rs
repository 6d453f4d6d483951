//! What is wrong with one pod, by its status, its newest warning, and what it says of itself.

use bellwether_proto::readiness::{self, NotReady};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::facts::UNASKED;
use crate::finding::Severity;
use crate::object::{holds, instant, items, number, text};
use super::cure::Cure;
use super::words::last_words;
use crate::time;

/// So long a pod may take to start before it is called a problem: an image is pulled, NATS is found.
const START: SignedDuration = SignedDuration::from_secs(60);
/// As long as events stay: what ended before is history.
const RECENT: SignedDuration = SignedDuration::from_hours(1);
/// Once may be chance.
const RESTARTS_MIN: u64 = 2;
/// How containers end that were told to (0, or 143 by SIGTERM), or that went down with their node (255).
const ORDERLY: [u64; 3] = [0, 143, 255];

/// What is wrong with a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trouble {
    pub(super) severity: Severity,
    /// The one word for it: the kubelet's, the event's, or ours.
    reason: String,
    pub(super) found: String,
    pub(super) cure: Cure,
    /// It is not known why: nobody has asked the pod, or it has not answered.
    silent: bool,
}

impl Trouble {
    fn new(severity: Severity, reason: &str, found: impl Into<String>, cure: Cure) -> Self {
        Self {
            severity,
            reason: reason.to_owned(),
            found: found.into(),
            cure,
            silent: false,
        }
    }

    /// Whether one finding may stand for both; whoever says nothing joins those that do.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        self.severity == other.severity && self.reason == other.reason && (self.silent || self.cure == other.cure)
    }
}

pub(super) fn trouble(pod: &Value, event: Option<&Value>, said: &str, now: Timestamp) -> Option<Trouble> {
    if holds(pod, "Ready") {
        return items(pod, "/status/containerStatuses")
            .iter()
            .find_map(|container| restless(container, now));
    }
    let started = instant(pod, "/metadata/creationTimestamp");
    let young = started.is_some_and(|at| now.duration_since(at) < START);
    let waiting = if young { Severity::Warning } else { Severity::Problem };
    // One that has done its work; the others wait for something else.
    let unfinished = |container: &&Value| container.pointer("/state/terminated/exitCode") != Some(&Value::from(0));
    let before = items(pod, "/status/initContainerStatuses").iter().filter(unfinished);
    let statuses: Vec<&Value> = before.chain(items(pod, "/status/containerStatuses")).collect();
    if let Some(found) = statuses.iter().copied().find_map(broken) {
        return Some(found);
    }
    if let Some(unscheduled) = items(pod, "/status/conditions")
        .iter()
        .find(|it| text(it, "/type") == "PodScheduled" && text(it, "/status") == "False")
    {
        let found = format!("no node takes it: {}", text(unscheduled, "/message"));
        return Some(Trouble::new(waiting, "Unscheduled", found, Cure::Describe));
    }
    if statuses.iter().all(|it| it.pointer("/state/running").is_none()) {
        return Some(match event {
            Some(event) => {
                let message = text(event, "/message");
                Trouble::new(waiting, text(event, "/reason"), message, Cure::of_mount(message))
            }
            None => Trouble::new(waiting, "Creating", "its container is being created", Cure::Describe),
        });
    }
    let silent = said.is_empty() || said.starts_with(UNASKED);
    let parts = if silent { Vec::new() } else { readiness::parse(said) };
    let found = match (said, parts.as_slice()) {
        ("", _) => "not ready".to_owned(),
        (said, []) => format!("not ready: {said}"),
        (_, parts) => format!("not ready: {}", parts.iter().map(shown).collect::<Vec<_>>().join("; ")),
    };
    Some(Trouble {
        silent,
        ..Trouble::new(waiting, "NotReady", found, Cure::of_readiness(&parts))
    })
}

fn shown(part: &NotReady) -> String {
    match part.part.as_str() {
        "" => part.message.clone(),
        name => format!("{name}: {}", part.message),
    }
}

/// A container that will not run by waiting alone.
fn broken(container: &Value) -> Option<Trouble> {
    let reason = text(container, "/state/waiting/reason");
    let message = text(container, "/state/waiting/message");
    let image = text(container, "/image");
    let (reason, found, cure) = match reason {
        "CrashLoopBackOff" => {
            let ended = ["/lastState/terminated", "/state/terminated"]
                .into_iter()
                .find_map(|it| container.pointer(it))
                .unwrap_or(&Value::Null);
            let times = number(container, "/restartCount");
            let found = format!("crash-looping ({times} restarts): {}", last_words(ended));
            (reason, found, Cure::PreviousLogs)
        }
        "ImagePullBackOff" | "ErrImagePull" | "InvalidImageName" | "ErrImageNeverPull" => {
            let remedy = "name an image that this cluster can pull under `images:` of your overlay, and apply it";
            // The kubelet says now the one and now the other.
            ("Image", format!("{reason}: {image}: {message}"), Cure::Say(remedy))
        }
        "CreateContainerConfigError" | "CreateContainerError" | "RunContainerError" => {
            (reason, format!("{reason}: {message}"), Cure::Describe)
        }
        _ => {
            // Ended just now, and not yet started again.
            let ended = container.pointer("/state/terminated")?;
            ("Ended", format!("has ended: {}", last_words(ended)), Cure::Logs)
        }
    };
    let cure = Cure::of_missing(message).unwrap_or(cure);
    Some(Trouble::new(Severity::Problem, reason, found, cure))
}

/// A container that is ready now, and yet ends again and again.
fn restless(container: &Value, now: Timestamp) -> Option<Trouble> {
    let ended = container.pointer("/lastState/terminated")?;
    let at = instant(ended, "/finishedAt").filter(|at| now.duration_since(*at) < RECENT)?;
    let orderly = ORDERLY.contains(&number(ended, "/exitCode")) && text(ended, "/reason") != "OOMKilled";
    let times = number(container, "/restartCount");
    (times >= RESTARTS_MIN && !orderly).then(|| {
        let found = format!(
            "ready, but it ends again and again ({times} restarts, the last {} ago): {}",
            time::between(at, now),
            last_words(ended)
        );
        Trouble::new(Severity::Warning, "Restless", found, Cure::PreviousLogs)
    })
}

#[cfg(test)]
#[path = "trouble_tests.rs"]
mod tests;
