//! The wait for the node's volumes, once its pods are gone (D36).
//!
//! A pod that moved needs its volume on its new node, and most drivers attach a volume to one node at a time. A host that
//! reboots with a volume attached keeps that pod waiting until the host is back, or until Kubernetes detaches by force. The
//! volumes of pods that stay on the node stay attached. The wait has a limit: at its end the node is drained all the same,
//! since its pods are gone and a driver that does not detach now may not do so later either.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

use crate::backoff::after;
use crate::pod::{Class, NodePod, StayReason};
use crate::volume::{Attached, ClaimKey};
use crate::watched::{Looked, Unseen};

/// What the proof at the end takes at most, on a busy API server: the wait ends so long before the drain's time is over,
/// so that volumes alone never make a drain fail.
const PROOF_TIME: Duration = Duration::from_secs(10);
/// How many volumes a sentence names.
const NAMES_MAX: usize = 3;

/// The wait of one drain.
#[derive(Debug)]
pub(super) struct Detach {
    limit: Duration,
    attached: Looked<Vec<Attached>>,
    /// The pods that had to go, by their claims: a volume is attached for longer than its pod exists.
    pods: BTreeMap<ClaimKey, String>,
    until: Option<Timestamp>,
}

/// Whether the node's volumes let the drain end.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Awaited {
    /// The wait is over. The sentence names the volumes that are still attached, or why that is not known; empty: none.
    Over(String),
    /// Volumes are still attached, as the sentence says; the wait ends at this instant at the latest.
    Until(Timestamp, String),
}

impl Detach {
    pub(super) fn new(limit: Duration) -> Self {
        Self {
            limit,
            attached: Err(Unseen::passing("they have not been listed yet")),
            pods: BTreeMap::new(),
            until: None,
        }
    }

    /// Takes in what is attached to the node.
    pub(super) fn handle(&mut self, attached: Looked<Vec<Attached>>) {
        self.attached = attached;
    }

    /// Remembers the claims of the pods that have to go. While there are such pods the wait has not begun.
    pub(super) fn note(&mut self, pods: &[NodePod]) {
        for pod in pods.iter().filter(|pod| pod.has_to_go()) {
            for claim in pod.claims() {
                self.pods.entry(claim).or_insert_with(|| pod.to_string());
            }
        }
    }

    /// A pod that has to go is on the node: the next wait begins when that pod is gone.
    pub(super) fn restart(&mut self) {
        self.until = None;
    }

    /// Decides whether the volumes let the drain end, given with the pods that are left on the node: those that stay.
    pub(super) fn poll(&mut self, now: Timestamp, not_after: Timestamp, staying: &[NodePod]) -> Awaited {
        let sentence = match &self.attached {
            // Not to wait is not to ask.
            Err(_) if self.limit.is_zero() => String::new(),
            Err(unseen) => format!("whether volumes are still attached is not known: {}", unseen.reason),
            Ok(attached) => self.sentence(attached, staying),
        };
        if sentence.is_empty() {
            return Awaited::Over(sentence);
        }
        let lasts = self.attached.as_ref().is_err_and(|unseen| unseen.lasts);
        let latest = after(now, self.limit).min(before(not_after, PROOF_TIME));
        // A limit that is further away than the longest wait was noted before the clock was set back.
        let until = self.until.map_or(latest, |until| until.min(latest));
        self.until = Some(until);
        if lasts || until <= now {
            return Awaited::Over(sentence);
        }
        Awaited::Until(until, sentence)
    }

    /// The sentence about the volumes that no pod that stays uses; empty if there are none.
    fn sentence(&self, attached: &[Attached], staying: &[NodePod]) -> String {
        let used: BTreeSet<ClaimKey> = staying
            .iter()
            .filter(|pod| uses_volumes(pod))
            .flat_map(NodePod::claims)
            .collect();
        let left = attached
            .iter()
            .filter(|attached| !attached.claim.as_ref().is_some_and(|claim| used.contains(claim)));
        let mut names: Vec<String> = left.map(|attached| self.name(attached)).collect();
        if names.is_empty() {
            return String::new();
        }
        let more = names.len().saturating_sub(NAMES_MAX);
        names.truncate(NAMES_MAX);
        let mut names = names.join(", ");
        if more > 0 {
            names = format!("{names} and {more} more");
        }
        format!("volumes are still attached: {names}")
    }

    fn name(&self, attached: &Attached) -> String {
        let Attached { volume, driver, claim } = attached;
        let owner = claim.as_ref().map(|claim| match self.pods.get(claim) {
            Some(pod) => format!(" of {pod}"),
            None => format!(" of claim {}/{}", claim.0, claim.1),
        });
        format!("{volume}{} ({driver})", owner.unwrap_or_default())
    }
}

/// A pod that stays and whose volumes stay with it. Kubernetes detaches those of a finished pod; a pod that has to go is
/// gone by now, and only the watch is late.
fn uses_volumes(pod: &NodePod) -> bool {
    match pod.class {
        Class::Stays(StayReason::Static | StayReason::DaemonSet | StayReason::Annotated | StayReason::Returning) => {
            true
        }
        Class::Stays(StayReason::Finished) | Class::Terminating { .. } | Class::Evictable { .. } => false,
    }
}

fn before(at: Timestamp, wait: Duration) -> Timestamp {
    at.checked_sub(wait).unwrap_or(Timestamp::MIN)
}
