//! The pods that are left, counted by the reason for which they are still there. Each pod counts once.

use std::collections::BTreeMap;

use bellwether_proto::{Blocker, BlockerKind, BudgetNumbers};
use jiff::Timestamp;

use super::turns::Kept;
use crate::answer::Answer;
use crate::budget::BudgetKey;

/// How many budgets have an entry of their own: those that keep most pods. More would not fit on an operator's screen.
const BUDGETS_MAX: usize = 8;

/// The pods that are left.
#[derive(Debug, Default)]
pub(super) struct Tally {
    others: BTreeMap<BlockerKind, u32>,
    budgets: BTreeMap<BudgetKey, (BudgetNumbers, u32)>,
    grace_ends_at: Option<Timestamp>,
}

impl Tally {
    /// Counts a pod.
    pub(super) fn count(&mut self, kind: BlockerKind) {
        let pods = self.others.entry(kind).or_default();
        *pods = pods.saturating_add(1);
    }

    /// Counts a pod that ends within its grace.
    pub(super) fn count_ending(&mut self, grace_ends_at: Timestamp) {
        self.count(BlockerKind::Grace);
        self.grace_ends_at = self.grace_ends_at.max(Some(grace_ends_at));
    }

    /// Counts a pod that a budget keeps.
    pub(super) fn count_kept(&mut self, kept: &Kept<'_>) {
        let numbers = kept.numbers();
        let key = (numbers.namespace.clone(), numbers.name.clone());
        let (_, pods) = self.budgets.entry(key).or_insert((numbers, 0));
        *pods = pods.saturating_add(1);
    }

    /// The budgets that keep pods. A budget that only an answer of the API server names has no name here.
    pub(super) fn budgets(&self) -> impl Iterator<Item = &BudgetKey> {
        self.budgets.keys()
    }

    /// The reasons, most important first.
    pub(super) fn blockers(self) -> Vec<Blocker> {
        let mut budgets: Vec<(BudgetNumbers, u32)> = self.budgets.into_values().collect();
        // Stable: of those that keep as many pods the first by name.
        budgets.sort_by_key(|(_, pods)| std::cmp::Reverse(*pods));
        let rest = budgets.split_off(budgets.len().min(BUDGETS_MAX));
        let named = |(numbers, pods)| Blocker {
            budget: Some(numbers),
            ..Blocker::of(BlockerKind::Budget, pods)
        };
        let mut blockers: Vec<Blocker> = budgets.into_iter().map(named).collect();
        if !rest.is_empty() {
            let pods = rest.iter().fold(0, |sum: u32, (_, pods)| sum.saturating_add(*pods));
            blockers.push(Blocker::of(BlockerKind::Budget, pods));
        }
        for (kind, pods) in self.others {
            let grace_ends_at = self.grace_ends_at.filter(|_| kind == BlockerKind::Grace);
            blockers.push(Blocker {
                grace_ends_at,
                ..Blocker::of(kind, pods)
            });
        }
        // Stable: the budgets keep their order.
        blockers.sort_by_key(|blocker| blocker.kind);
        blockers
    }
}

/// Why a pod is still there that is not deleted, and that no budget keeps.
pub(super) fn kind_of(last: Option<&Answer>) -> BlockerKind {
    match last {
        Some(Answer::SeveralBudgets) => BlockerKind::SeveralBudgets,
        Some(Answer::AdmissionDenied(_)) => BlockerKind::Webhook,
        Some(Answer::Gone | Answer::Forbidden(_) | Answer::Failed(_)) => BlockerKind::EvictionFailed,
        None
        | Some(
            Answer::Accepted
            | Answer::Conflict
            | Answer::BudgetBlocked(_)
            | Answer::BudgetUnprocessed
            | Answer::Throttled(_)
            | Answer::NamespaceEnding,
        ) => BlockerKind::Turn,
    }
}
