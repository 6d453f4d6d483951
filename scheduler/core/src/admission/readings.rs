//! The readings that many nodes share: those of the Prometheus gates.
//!
//! A query is asked while a node needs its outcome: the node waits and every cheaper gate is open, or its reboot is
//! about to be ordered. What one outcome changes costs by the nodes that need it, and only when the outcome changes.

use std::collections::BTreeMap;

use bellwether_policy::PrometheusGate;
use bellwether_proto::NodeName;
use jiff::Timestamp;

use crate::reading::{Outcome, Slot};

/// Since when the reading may have been asked for that a node wants: the drain of its attempt has ended at that
/// instant; the smallest instant: the node waits, and any fresh reading will do.
pub(crate) type Since = Timestamp;

/// All shared readings, by their query.
#[derive(Debug, Clone, Default)]
pub(crate) struct SharedReadings {
    entries: BTreeMap<PrometheusGate, Entry>,
}

#[derive(Debug, Clone, Default)]
struct Entry {
    wanted_by: BTreeMap<NodeName, Since>,
    slot: Slot,
    /// The newest reading was fresh at the last look.
    is_fresh: bool,
}

impl Entry {
    fn newest_since(&self) -> Option<Since> {
        self.wanted_by.values().max().copied()
    }

    fn due_at(&self) -> Option<Timestamp> {
        Some(self.slot.due_at(self.newest_since()?))
    }
}

impl SharedReadings {
    /// States which outcomes a node wants. A query that no node wants any more is forgotten.
    pub(crate) fn set_wanted<'a>(
        &mut self,
        node: &NodeName,
        gates: impl Iterator<Item = &'a PrometheusGate>,
        since: Since,
    ) {
        let gates: Vec<_> = gates.collect();
        for (gate, entry) in &mut self.entries {
            if !gates.contains(&gate) {
                entry.wanted_by.remove(node);
            }
        }
        for gate in gates {
            let entry = match self.entries.get_mut(gate) {
                Some(entry) => entry,
                None => self.entries.entry(gate.clone()).or_default(),
            };
            entry.wanted_by.insert(node.clone(), since);
        }
        self.entries.retain(|_, entry| !entry.wanted_by.is_empty());
    }

    /// Looks which readings are fresh at this instant. Returns the nodes that have to be decided on again.
    pub(crate) fn refresh(&mut self, now: Timestamp) -> Vec<NodeName> {
        let mut touched = Vec::new();
        for entry in self.entries.values_mut() {
            entry.slot.clamp(now);
            let is_fresh = entry.slot.fresh_until().is_some_and(|until| now < until);
            if is_fresh != entry.is_fresh {
                entry.is_fresh = is_fresh;
                touched.extend(entry.wanted_by.keys().cloned());
            }
        }
        touched
    }

    /// Takes the outcome of a query. Returns the nodes that have to be decided on again: all, if the outcome is another
    /// one than before; else those that have waited for a newer reading.
    pub(crate) fn take(&mut self, gate: &PrometheusGate, asked_at: Timestamp, outcome: Outcome) -> Vec<NodeName> {
        let Some(entry) = self.entries.get_mut(gate) else {
            return Vec::new();
        };
        let before = entry.slot.last.as_ref().map(|last| last.outcome.clone());
        if !entry.slot.take(asked_at, outcome) {
            return Vec::new();
        }
        let changed = !entry.is_fresh || entry.slot.last.as_ref().map(|last| &last.outcome) != before.as_ref();
        let waits = |since: &Since| changed || *since > Timestamp::MIN;
        let nodes = entry.wanted_by.iter().filter(|(_, since)| waits(since));
        nodes.map(|(node, _)| node.clone()).collect()
    }

    /// The queries that are to be asked now; each counts as asked.
    pub(crate) fn take_due(&mut self, now: Timestamp) -> Vec<PrometheusGate> {
        let mut due = Vec::new();
        for (gate, entry) in &mut self.entries {
            if entry.due_at().is_some_and(|at| at <= now) {
                entry.slot.asked_at = Some(now);
                due.push(gate.clone());
            }
        }
        due
    }

    /// When a query is to be asked next, or a reading stops to be fresh.
    pub(crate) fn next(&self) -> Option<Timestamp> {
        let instants = self.entries.values().flat_map(|entry| {
            let fresh_until = entry.slot.fresh_until().filter(|_| entry.is_fresh);
            [entry.due_at(), fresh_until].into_iter().flatten()
        });
        instants.min()
    }

    /// The outcome that counts for a node; none: there is no reading yet that was asked for at `since` or later.
    pub(crate) fn outcome(&self, gate: &PrometheusGate, since: Since) -> Option<&Outcome> {
        let entry = self.entries.get(gate).filter(|entry| entry.is_fresh)?;
        let last = entry.slot.last.as_ref().filter(|last| last.asked_at >= since)?;
        Some(&last.outcome)
    }
}
