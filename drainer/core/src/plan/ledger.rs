//! What a drain has met, for the report at its end (D51). Counts only: no decision rests on it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bellwether_proto::{BlockedBudget, DrainReport, ReturnedPods};
use jiff::Timestamp;

use super::returns::Owner;
use crate::budget::BudgetKey;
use crate::pod::NodePod;

/// How many names of stuck pods are kept; the report names the first of them and counts the rest.
const STUCK_MAX: usize = 100;

/// The counts of one drain.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// How long each budget has kept pods. Never more than the node's pods have budgets.
    blocked: BTreeMap<BudgetKey, Duration>,
    /// The budgets that keep pods since the last look.
    blocking: BTreeSet<BudgetKey>,
    looked_at: Option<Timestamp>,
    evictions: u32,
    longest_grace: Duration,
    stuck: BTreeSet<String>,
    /// Never more than the owners whose rounds [`super::returns`] keeps.
    returned: BTreeMap<Owner, u32>,
}

impl Ledger {
    /// These budgets keep pods from now on.
    pub(super) fn looked(&mut self, now: Timestamp, blocking: BTreeSet<BudgetKey>) {
        self.count_blocked(now);
        self.blocking = blocking;
    }

    /// Counts the time since the last look. A clock that was set back adds nothing.
    fn count_blocked(&mut self, now: Timestamp) {
        let before = self.looked_at.replace(now).unwrap_or(now);
        let passed = Duration::try_from(now.duration_since(before)).unwrap_or_default();
        for budget in &self.blocking {
            let blocked = self.blocked.entry(budget.clone()).or_default();
            *blocked = blocked.saturating_add(passed);
        }
    }

    /// The API server accepted an eviction.
    pub(super) fn evicted(&mut self) {
        self.evictions = self.evictions.saturating_add(1);
    }

    /// A pod that has to go was found on the node.
    pub(super) fn entered(&mut self, pod: &NodePod, came_back: Option<&Owner>) {
        self.longest_grace = self.longest_grace.max(pod.facts.grace);
        if let Some(owner) = came_back {
            let pods = self.returned.entry(owner.clone()).or_default();
            *pods = pods.saturating_add(1);
        }
    }

    /// A pod is over its grace.
    pub(super) fn is_stuck(&mut self, pod: &NodePod) {
        if self.stuck.len() < STUCK_MAX {
            self.stuck.insert(format!("{}/{}", pod.namespace, pod.name));
        }
    }

    /// The report at this instant, without the pods that are there.
    pub(super) fn report(&mut self, now: Timestamp) -> DrainReport {
        self.count_blocked(now);
        let mut budgets: Vec<BlockedBudget> = self
            .blocked
            .iter()
            .map(|((namespace, budget), blocked)| BlockedBudget {
                namespace: namespace.clone(),
                budget: budget.clone(),
                blocked_seconds: seconds(*blocked),
            })
            .collect();
        budgets.sort_by_key(|budget| std::cmp::Reverse(budget.blocked_seconds));
        let mut returned: Vec<ReturnedPods> = self
            .returned
            .iter()
            .map(|(owner, pods)| owner.returned(*pods))
            .collect();
        returned.sort_by_key(|returned| std::cmp::Reverse(returned.pods));
        DrainReport {
            evictions: self.evictions,
            budgets,
            longest_grace_seconds: seconds(self.longest_grace),
            stuck_pods: self.stuck.iter().cloned().collect(),
            returned,
            ..DrainReport::default()
        }
    }
}

/// Whole seconds, as many as a report can have.
pub(crate) fn seconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_secs()).unwrap_or(u32::MAX)
}
