//! The attempts that a scheduler has named. Each agent of a node may write any attempt's id into its events; such an event
//! counts only for an attempt that a scheduler's own event has named with that node.

use std::collections::{BTreeMap, VecDeque};

use bellwether_proto::NodeEvent;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// So many attempts are known; above the nodes of any fleet within a day.
const ATTEMPTS_MAX: usize = 10_000;

/// So many events wait for the scheduler's: an agent that acts on a record at once may be faster than the event about it.
const EARLY_MAX: usize = 64;

/// How long they wait: far above the time between a record and its event.
const EARLY_WAIT: SignedDuration = SignedDuration::from_mins(1);

/// The attempts by their ids, with node and time of the scheduler's newest event.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Named(BTreeMap<String, (String, Timestamp)>);

impl Named {
    /// A scheduler names an attempt on a node. What is older than this is forgotten.
    pub(crate) fn take(&mut self, attempt: &str, node: &str, at: Timestamp, max_age: SignedDuration) {
        self.0
            .retain(|_, (_, named_at)| at.duration_since(*named_at) <= max_age);
        if self.0.len() >= ATTEMPTS_MAX && !self.0.contains_key(attempt) {
            self.0.pop_first();
        }
        self.0.insert(attempt.to_owned(), (node.to_owned(), at));
    }

    /// A scheduler has named this attempt, on this node.
    pub(crate) fn contains(&self, attempt: &str, node: &str) -> bool {
        self.0.get(attempt).is_some_and(|(named, _)| named == node)
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
