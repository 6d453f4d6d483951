//! The attempts that a scheduler has named, and how they stand. Each agent of a node may write any attempt's id into its events;
//! such an event counts only for an attempt that a scheduler's own event has named with that node.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bellwether_proto::{Fact, NodeEvent, Phase};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::blocked::continued;

/// So many attempts are known; above the nodes of any fleet within a day.
const ATTEMPTS_MAX: usize = 10_000;

/// So many events wait for the scheduler's: an agent that acts on a record at once may be faster than the event about it.
const EARLY_MAX: usize = 64;

/// How long they wait: far above the time between a record and its event.
const EARLY_WAIT: SignedDuration = SignedDuration::from_mins(1);

/// An attempt, by the scheduler's newest event about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Course {
    pub(crate) node: String,
    /// The policy that governs the node; empty: none does. None: only the first event of an attempt has it, and that was not read.
    pub(crate) policy: Option<String>,
    /// The phase that it has entered.
    pub(crate) phase: String,
    /// When it did.
    pub(crate) since: Timestamp,
    /// The owners of the namespaces whose pods block the drain, or blocked one that failed, each with the time since when.
    #[serde(default)]
    owners: BTreeMap<String, Timestamp>,
    is_over: bool,
}

impl Course {
    /// Who has to hear of the attempt at this time: those who have blocked its drain for `blocked_after`; of a drain that was shorter,
    /// all who did.
    pub(crate) fn owners(&self, at: Timestamp, blocked_after: SignedDuration) -> BTreeSet<String> {
        let blocking_for = |least: SignedDuration| -> BTreeSet<String> {
            let blocking = self
                .owners
                .iter()
                .filter(|(_, since)| at.duration_since(**since) >= least);
            blocking.map(|(owner, _)| owner.clone()).collect()
        };
        let lasting = blocking_for(blocked_after);
        if lasting.is_empty() {
            blocking_for(SignedDuration::ZERO)
        } else {
            lasting
        }
    }
}

/// The attempts by their ids.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Named(BTreeMap<String, Course>);

impl Named {
    /// Takes in a scheduler's event. An attempt without one for so long is forgotten: the event that ended it is lost.
    pub(crate) fn take(&mut self, event: &NodeEvent, at: Timestamp, max_age: SignedDuration) {
        let Fact::PhaseChanged { to, detail, .. } = &event.fact else {
            return;
        };
        let attempt = event.attempt.to_string();
        // Before the old ones are forgotten: an attempt may last longer than that, and its end still needs its policy.
        let known = self.0.remove(&attempt);
        self.0.retain(|_, course| at.duration_since(course.since) <= max_age);
        if self.0.len() >= ATTEMPTS_MAX {
            self.0.pop_first();
        }
        let start = detail.as_ref().and_then(|detail| detail.start.as_ref());
        let policy = start.map(|start| start.policy.clone());
        let policy = policy.or_else(|| known.as_ref().and_then(|known| known.policy.clone()));
        let course = match known {
            // A late copy of an earlier step.
            Some(known) if known.since > at => Course { policy, ..known },
            Some(_) | None => Course {
                node: event.node.to_string(),
                policy,
                phase: to.as_str().to_owned(),
                since: at,
                // What follows a reboot is no matter of a drain.
                owners: known
                    .filter(|_| *to != Phase::Rebooting)
                    .map(|known| known.owners)
                    .unwrap_or_default(),
                is_over: to.is_ended(),
            },
        };
        // A node has one attempt at a time.
        for other in self.0.values_mut().filter(|other| other.node == course.node) {
            other.is_over |= other.since <= course.since;
        }
        self.0.insert(attempt, course);
    }

    /// An attempt that a scheduler has named.
    pub(crate) fn of(&self, attempt: &str) -> Option<&Course> {
        self.0.get(attempt)
    }

    /// Takes in who answers for what blocks the drain of the attempt at this time.
    pub(crate) fn is_blocked_by(&mut self, attempt: &str, owners: BTreeSet<String>, at: Timestamp) {
        let course = self.0.get_mut(attempt);
        // A drainer that was superseded may report once more.
        if let Some(course) = course.filter(|course| course.phase == Phase::Draining.as_str()) {
            course.owners = continued(Some(&course.owners), owners, at);
        }
    }

    /// The attempts in progress, with their ids.
    pub(crate) fn in_progress(&self) -> impl Iterator<Item = (&str, &Course)> {
        let in_progress = self.0.iter().filter(|(_, course)| !course.is_over);
        in_progress.map(|(attempt, course)| (attempt.as_str(), course))
    }
}

/// Events about attempts that no scheduler has named yet. In memory only.
#[derive(Debug, Default)]
pub(crate) struct Early(VecDeque<(Timestamp, NodeEvent)>);

impl Early {
    /// Keeps an event, which the stream stored at this time.
    pub(crate) fn push(&mut self, stored_at: Timestamp, event: NodeEvent) {
        if self.0.len() >= EARLY_MAX {
            self.0.pop_front();
        }
        self.0.push_back((stored_at, event));
    }

    /// The events about the attempt of this one, on its node; each with the time at which it was stored.
    pub(crate) fn take(&mut self, named: &NodeEvent, stored_at: Timestamp) -> Vec<(Timestamp, NodeEvent)> {
        self.0
            .retain(|(early, _)| stored_at.duration_since(*early) <= EARLY_WAIT);
        let all = std::mem::take(&mut self.0).into_iter();
        let (fitting, rest): (VecDeque<_>, VecDeque<_>) =
            all.partition(|(_, event)| event.attempt == named.attempt && event.node == named.node);
        self.0 = rest;
        fitting.into()
    }
}
