//! How many nodes there are in each state and with each reason, kept up to date by each change.

use std::collections::{BTreeMap, BTreeSet};

use bellwether_proto::NodeName;
use jiff::Timestamp;

use crate::explain::standing::{Stand, State};

/// The numbers of the fleet, for metrics.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    states: BTreeMap<State, usize>,
    reasons: BTreeMap<&'static str, usize>,
    needs: BTreeSet<(Timestamp, NodeName)>,
}

impl Counts {
    /// How many nodes are in this state.
    #[must_use]
    pub fn in_state(&self, state: State) -> usize {
        self.states.get(&state).copied().unwrap_or(0)
    }

    /// How many nodes do not continue for the reason with this code.
    #[must_use]
    pub fn with_reason(&self, code: &str) -> usize {
        self.reasons.get(code).copied().unwrap_or(0)
    }

    /// Since when the node that waits longest needs its reboot, by its host's clock; none if no node needs one.
    #[must_use]
    pub fn oldest_need(&self) -> Option<Timestamp> {
        self.needs.first().map(|(since, _)| *since)
    }

    /// How many nodes have needed their reboot since this instant or longer. Costs by their number.
    #[must_use]
    pub fn needs_until(&self, instant: Timestamp) -> usize {
        let is_as_old = |(since, _): &&(Timestamp, NodeName)| *since <= instant;
        self.needs.iter().take_while(is_as_old).count()
    }

    /// Counts a node's new stand in place of its old one.
    pub(crate) fn replace(&mut self, old: Option<&Stand>, new: Option<&Stand>) {
        if let Some(old) = old {
            decrease(&mut self.states, &old.state);
            if let Some(code) = old.basis.code() {
                decrease(&mut self.reasons, &code);
            }
        }
        if let Some(new) = new {
            increase(&mut self.states, new.state);
            if let Some(code) = new.basis.code() {
                increase(&mut self.reasons, code);
            }
        }
    }

    /// Notes a node's new need in place of its old one.
    pub(crate) fn replace_need(&mut self, node: &NodeName, old: Option<Timestamp>, new: Option<Timestamp>) {
        if old == new {
            return;
        }
        if let Some(old) = old {
            self.needs.remove(&(old, node.clone()));
        }
        if let Some(new) = new {
            self.needs.insert((new, node.clone()));
        }
    }
}

fn increase<K: Ord>(counts: &mut BTreeMap<K, usize>, key: K) {
    let count = counts.entry(key).or_insert(0);
    *count = count.saturating_add(1);
}

fn decrease<K: Ord>(counts: &mut BTreeMap<K, usize>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count = count.saturating_sub(1);
        if *count == 0 {
            counts.remove(key);
        }
    }
}
