//! What is wrong with one pod, by its status, its newest warning, and its own `/readyz`.

use bellwether_proto::readiness::NotReady;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{ContainerStateTerminated, ContainerStatus, Event, Pod};

use super::cure::Cure;
use super::ended::last_words;
use crate::code::Code;
use crate::facts::Readiness;
use crate::finding::Severity;
use crate::object::{condition, containers, created, init_containers, instant, is_pod_ready};
use crate::text;

/// So long a pod may take to start before it is called a problem: an image is pulled, NATS is found.
const START: SignedDuration = SignedDuration::from_secs(60);
/// As long as events stay: what ended before is history.
const RECENT: SignedDuration = SignedDuration::from_hours(1);
/// Once may be chance.
const RESTARTS_MIN: i32 = 2;
/// How containers end that were ordered to (0, or 143 by SIGTERM), or that went down with their node (255).
const ORDERLY: [i32; 3] = [0, 143, 255];

/// What is wrong with a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trouble {
    pub(super) severity: Severity,
    pub(super) code: Code,
    /// The one word for it: the kubelet's, the event's, or ours. Pods with one reason share a finding.
    reason: String,
    pub(super) found: String,
    pub(super) cure: Cure,
    /// The reason is not known: the pod was not asked, or has not answered.
    is_silent: bool,
}

impl Trouble {
    fn new(severity: Severity, code: Code, reason: &str, found: impl Into<String>, cure: Cure) -> Self {
        Self {
            severity,
            code,
            reason: reason.to_owned(),
            found: found.into(),
            cure,
            is_silent: false,
        }
    }

    /// Whether one finding may stand for both; a pod that is silent joins those that answered.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        let same = self.severity == other.severity && self.reason == other.reason;
        same && (self.is_silent || self.code == other.code && self.cure == other.cure)
    }
}

pub(super) fn trouble(
    pod: &Pod,
    event: Option<&Event>,
    readiness: Option<&Readiness>,
    now: Timestamp,
) -> Option<Trouble> {
    if is_pod_ready(pod) {
        return containers(pod).iter().find_map(|container| restless(container, now));
    }
    let young = created(&pod.metadata).is_some_and(|at| now.duration_since(at) < START);
    let waiting = if young { Severity::Warning } else { Severity::Problem };
    let statuses = unfinished(pod);
    if let Some(found) = statuses.iter().copied().find_map(broken) {
        return Some(found);
    }
    if let Some(unscheduled) = condition(pod, "PodScheduled").filter(|condition| condition.status == "False") {
        let found = format!(
            "no node takes it: {}",
            unscheduled.message.as_deref().unwrap_or_default()
        );
        let code = Code::PodUnschedulable;
        return Some(Trouble::new(waiting, code, "Unschedulable", found, Cure::Describe));
    }
    if !statuses.iter().any(|container| is_running(container)) {
        return Some(not_started(event, waiting));
    }
    Some(unready(readiness, waiting))
}

/// Its containers; of the init containers those that have not done their work, since the others wait for
/// something else.
fn unfinished(pod: &Pod) -> Vec<&ContainerStatus> {
    let is_unfinished = |container: &&ContainerStatus| terminated(container).is_none_or(|ended| ended.exit_code != 0);
    let before = init_containers(pod).iter().filter(is_unfinished);
    before.chain(containers(pod)).collect()
}

fn is_running(container: &ContainerStatus) -> bool {
    container.state.as_ref().is_some_and(|state| state.running.is_some())
}

fn terminated(container: &ContainerStatus) -> Option<&ContainerStateTerminated> {
    container.state.as_ref()?.terminated.as_ref()
}

fn last_terminated(container: &ContainerStatus) -> Option<&ContainerStateTerminated> {
    container.last_state.as_ref()?.terminated.as_ref()
}

/// A container that will not run by waiting alone.
fn broken(container: &ContainerStatus) -> Option<Trouble> {
    let problem = |code, reason: &str, found, cure| Trouble::new(Severity::Problem, code, reason, found, cure);
    let waiting = container.state.as_ref().and_then(|state| state.waiting.as_ref());
    let reason = waiting
        .and_then(|waiting| waiting.reason.as_deref())
        .unwrap_or_default();
    let message = waiting
        .and_then(|waiting| waiting.message.as_deref())
        .unwrap_or_default();
    let trouble = match reason {
        "CrashLoopBackOff" => {
            let ended = last_terminated(container).or_else(|| terminated(container));
            let words = ended.map_or_else(|| "exit code 0".to_owned(), last_words);
            let found = format!("crash-looping ({} restarts): {words}", container.restart_count);
            problem(Code::PodCrashLooping, reason, found, Cure::PreviousLogs)
        }
        "ImagePullBackOff" | "ErrImagePull" | "InvalidImageName" | "ErrImageNeverPull" => {
            let found = format!("{reason}: {}: {message}", container.image);
            // The kubelet reports now the one and now the other.
            problem(Code::ImageNotPulled, "Image", found, Cure::NameImage)
        }
        "CreateContainerConfigError" | "CreateContainerError" | "RunContainerError" => {
            let found = format!("{reason}: {message}");
            problem(Code::ContainerNotCreated, reason, found, Cure::Describe)
        }
        _ => {
            // Ended just now, and not yet started again.
            let found = format!("has ended: {}", last_words(terminated(container)?));
            problem(Code::PodEnded, "Ended", found, Cure::Logs)
        }
    };
    Some(match Cure::of_missing(message) {
        Some(cure) => Trouble {
            code: Code::PodMissesObject,
            cure,
            ..trouble
        },
        None => trouble,
    })
}

/// A pod of which no container runs yet, for the reason that its newest warning gives.
fn not_started(event: Option<&Event>, waiting: Severity) -> Trouble {
    let Some(event) = event else {
        let found = "its container is being created";
        return Trouble::new(waiting, Code::PodNotStarted, "Creating", found, Cure::Describe);
    };
    let message = event.message.as_deref().unwrap_or_default();
    let (code, cure) = Cure::of_mount(message);
    Trouble::new(
        waiting,
        code,
        event.reason.as_deref().unwrap_or_default(),
        message,
        cure,
    )
}

/// A pod that runs and is not ready.
fn unready(readiness: Option<&Readiness>, waiting: Severity) -> Trouble {
    let trouble = |found, (code, cure)| Trouble::new(waiting, code, "NotReady", found, cure);
    let unknown = (Code::PodNotReady, Cure::Logs);
    match readiness {
        Some(Readiness::Answered(parts)) => {
            let words: Vec<String> = parts.iter().map(NotReady::shown).collect();
            trouble(format!("not ready: {}", words.join("; ")), Cure::of_readiness(parts))
        }
        Some(Readiness::Unanswered(why)) => Trouble {
            is_silent: true,
            ..trouble(format!("not ready: its /readyz could not be asked: {why}"), unknown)
        },
        None => Trouble {
            is_silent: true,
            ..trouble("not ready".to_owned(), unknown)
        },
    }
}

/// A container that is ready now, and yet ends again and again.
fn restless(container: &ContainerStatus, now: Timestamp) -> Option<Trouble> {
    let ended = last_terminated(container)?;
    let at = instant(ended.finished_at.as_ref()).filter(|at| now.duration_since(*at) < RECENT)?;
    let orderly = ORDERLY.contains(&ended.exit_code) && ended.reason.as_deref() != Some("OOMKilled");
    let times = container.restart_count;
    (times >= RESTARTS_MIN && !orderly).then(|| {
        let found = format!(
            "ready, but it ends again and again ({times} restarts, the last {} ago): {}",
            text::between(at, now),
            last_words(ended)
        );
        let code = Code::PodRestarting;
        Trouble::new(Severity::Warning, code, "Restless", found, Cure::PreviousLogs)
    })
}

#[cfg(test)]
#[path = "trouble_tests.rs"]
mod tests;
