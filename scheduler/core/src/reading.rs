//! Readings: the answers of other servers, on which gates depend.
//!
//! The core says which query it wants to have asked and when; the driver asks, and hands the outcome back. A
//! reading counts from the instant at which the core wanted it: what it shows is not older than that.

use std::collections::BTreeMap;

use bellwether_policy::{PodGate, PrometheusGate, Selector};
use bellwether_proto::{DaemonPod, NodeName};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::encoding::{as_text, as_texts};
use crate::timers::{Clock, later};

/// A question to another server.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Query {
    /// A question to a Prometheus server, for all nodes of the policies that have this gate.
    Prometheus(PrometheusGate),
    /// Whether such a pod is on this node.
    Pods {
        /// The node.
        #[serde(with = "as_text")]
        node: NodeName,
        /// The gate.
        gate: PodGate,
    },
    /// Whether this node can be drained.
    Drain {
        /// The node.
        #[serde(with = "as_text")]
        node: NodeName,
        /// The nodes that are drained now: what their pods need of a disruption budget is not free for this node.
        #[serde(with = "as_texts")]
        beside: Vec<NodeName>,
    },
    /// The pods of DaemonSets on this node.
    DaemonPods {
        /// The node.
        #[serde(with = "as_text")]
        node: NodeName,
        /// Those that count, by their labels.
        selector: Selector,
    },
}

/// The outcome of a query. The texts are for operators.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Nothing was found that shuts the gate.
    Open,
    /// This was found, which shuts the gate.
    Shut(Found),
    /// As before, and that may be over in a moment. No gate of a policy is answered so.
    NotNow(Found),
    /// The server could not be asked, or its answer is none.
    Failed(String),
    /// These pods of DaemonSets are on the node. No gate is asked so.
    DaemonPods(Vec<PodOfDaemonSet>),
}

/// What shuts a gate, or keeps a node from being drained.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "RecordedFound", into = "RecordedFound")]
pub struct Found {
    /// For operators.
    pub text: String,
    /// The same about pods that keep a node from being drained, by who answers for them; under the empty name those without an
    /// owner. Empty: not known by owner.
    pub by_owner: BTreeMap<String, String>,
}

impl From<String> for Found {
    fn from(text: String) -> Self {
        let by_owner = BTreeMap::new();
        Self { text, by_owner }
    }
}

impl From<&str> for Found {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

/// As a recording has it: without owners the text alone, as before there were owners.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum RecordedFound {
    Text(String),
    ByOwner {
        text: String,
        by_owner: BTreeMap<String, String>,
    },
}

impl From<Found> for RecordedFound {
    fn from(Found { text, by_owner }: Found) -> Self {
        if by_owner.is_empty() {
            Self::Text(text)
        } else {
            Self::ByOwner { text, by_owner }
        }
    }
}

impl From<RecordedFound> for Found {
    fn from(recorded: RecordedFound) -> Self {
        match recorded {
            RecordedFound::Text(text) => text.into(),
            RecordedFound::ByOwner { text, by_owner } => Self { text, by_owner },
        }
    }
}

/// A pod of a DaemonSet, as a recording has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PodOfDaemonSet {
    /// The DaemonSet, as `NAMESPACE/NAME`.
    pub daemon_set: String,
    /// The run of the pod's containers.
    pub run: String,
    /// The pod is Ready.
    pub ready: bool,
}

impl From<&PodOfDaemonSet> for DaemonPod {
    fn from(pod: &PodOfDaemonSet) -> Self {
        let PodOfDaemonSet { daemon_set, run, ready } = pod.clone();
        Self { daemon_set, run, ready }
    }
}

/// The outcome of a query with the instant at which the core wanted it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reading {
    pub(crate) asked_at: Timestamp,
    pub(crate) outcome: Outcome,
}

/// The readings of a node's own gates: those of the pods on the node.
pub(crate) type PodReadings = BTreeMap<PodGate, Slot>;

/// The newest reading of one query, and whether a newer one is on its way.
#[derive(Debug, Clone, Default)]
pub(crate) struct Slot {
    pub(crate) last: Option<Reading>,
    /// When the newest query was handed out that has no answer yet.
    pub(crate) asked_at: Option<Timestamp>,
}

impl Slot {
    /// A reading counts for so long: alerts are evaluated each 15 to 60 s, so an older one says little of now.
    pub(crate) const FRESH_FOR: SignedDuration = SignedDuration::from_secs(60);

    /// How often a query is repeated while its outcome is wanted: so that a fresh reading is there although one
    /// query fails.
    pub(crate) const RENEWAL: SignedDuration = SignedDuration::from_secs(30);

    /// How soon a query is repeated that has failed: a server that restarts is back by then.
    pub(crate) const AFTER_FAILURE: SignedDuration = SignedDuration::from_secs(15);

    /// A query without an answer is lost after this time: longer than any time-out of the driver.
    pub(crate) const LOST_AFTER: SignedDuration = SignedDuration::from_secs(60);

    /// Takes the outcome of a query. False: a newer one is here already.
    pub(crate) fn take(&mut self, asked_at: Timestamp, outcome: Outcome) -> bool {
        if self.asked_at.is_some_and(|newest| newest <= asked_at) {
            self.asked_at = None;
        }
        let is_newer = self.last.as_ref().is_none_or(|last| last.asked_at <= asked_at);
        if is_newer {
            self.last = Some(Reading { asked_at, outcome });
        }
        is_newer
    }

    /// Forgets what a clock that was set back would keep for too long.
    pub(crate) fn clamp(&mut self, now: Timestamp) {
        self.last.take_if(|last| last.asked_at > now);
        self.asked_at.take_if(|asked_at| *asked_at > now);
    }

    /// When the query is to be asked next, for an outcome that was asked for at `since` or later; in the past: now.
    pub(crate) fn due_at(&self, since: Timestamp) -> Timestamp {
        if let Some(asked_at) = self.asked_at.filter(|asked_at| *asked_at >= since) {
            return later(asked_at, Self::LOST_AFTER);
        }
        match &self.last {
            Some(last) if last.asked_at >= since => {
                let again = match last.outcome {
                    Outcome::Failed(_) => Self::AFTER_FAILURE,
                    Outcome::Open | Outcome::Shut(_) | Outcome::NotNow(_) | Outcome::DaemonPods(_) => Self::RENEWAL,
                };
                later(last.asked_at, again)
            }
            Some(_) | None => Timestamp::MIN,
        }
    }

    /// A query is on its way.
    pub(crate) fn is_asked(&self, clock: &Clock) -> bool {
        self.asked_at
            .is_some_and(|asked_at| !clock.reached(later(asked_at, Self::LOST_AFTER)))
    }

    /// The outcome of the newest reading, if that is fresh and was asked for at `since` or later.
    pub(crate) fn outcome(&self, since: Timestamp, clock: &Clock) -> Option<&Outcome> {
        let last = self.last.as_ref().filter(|last| last.asked_at >= since)?;
        (!clock.reached(later(last.asked_at, Self::FRESH_FOR))).then_some(&last.outcome)
    }

    /// The last instant at which the newest reading counts is before this one.
    pub(crate) fn fresh_until(&self) -> Option<Timestamp> {
        self.last.as_ref().map(|last| later(last.asked_at, Self::FRESH_FOR))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn after(at: Timestamp, by: SignedDuration) -> Timestamp {
        later(at, by)
    }

    #[test]
    fn a_query_is_due_at_once_and_then_by_its_last_outcome() {
        let mut slot = Slot::default();
        assert_eq!(slot.due_at(at(0)), Timestamp::MIN);
        slot.asked_at = Some(at(100));
        assert_eq!(slot.due_at(at(100)), after(at(100), Slot::LOST_AFTER));
        assert_eq!(slot.due_at(at(101)), Timestamp::MIN, "a newer reading is wanted");
        assert!(slot.take(at(100), Outcome::Open));
        assert_eq!(slot.due_at(at(100)), after(at(100), Slot::RENEWAL));
        assert_eq!(slot.due_at(at(101)), Timestamp::MIN);
        assert!(slot.take(at(110), Outcome::Failed("no".into())));
        assert_eq!(slot.due_at(at(100)), after(at(110), Slot::AFTER_FAILURE));
        assert_eq!(slot.fresh_until(), Some(after(at(110), Slot::FRESH_FOR)));
    }

    #[test]
    fn an_older_outcome_that_comes_late_changes_nothing() {
        let mut slot = Slot {
            asked_at: Some(at(20)),
            ..Slot::default()
        };
        assert!(slot.take(at(10), Outcome::Open), "the first answer there is");
        assert_eq!(slot.asked_at, Some(at(20)));
        assert!(slot.take(at(20), Outcome::Shut("x".into())));
        assert_eq!(slot.asked_at, None);
        assert!(!slot.take(at(10), Outcome::Open));
        assert_eq!(slot.last.unwrap().outcome, Outcome::Shut("x".into()));
    }

    #[test]
    fn a_recording_of_before_the_owners_is_read_and_one_with_them_keeps_them() {
        let read = |text: &str| serde_json::from_str::<Outcome>(text).unwrap();
        assert_eq!(read(r#"{"shut":"x"}"#), Outcome::Shut("x".into()));
        assert_eq!(
            serde_json::to_string(&Outcome::Shut("x".into())).unwrap(),
            r#"{"shut":"x"}"#
        );
        let owned = Outcome::NotNow(Found {
            text: "x".to_owned(),
            by_owner: [("team-shop".to_owned(), "y".to_owned())].into(),
        });
        assert_eq!(read(&serde_json::to_string(&owned).unwrap()), owned);
    }

    #[test]
    fn a_clock_that_was_set_back_keeps_no_reading_of_the_future() {
        let mut slot = Slot {
            asked_at: Some(at(50)),
            ..Slot::default()
        };
        slot.take(at(40), Outcome::Open);
        slot.clamp(at(45));
        assert!(slot.last.is_some() && slot.asked_at.is_none());
        slot.clamp(at(39));
        assert!(slot.last.is_none());
    }
}
