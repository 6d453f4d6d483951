//! The pods that are left, counted by the reason for which they are still there. Each pod counts once.

use std::collections::{BTreeMap, BTreeSet};

use bellwether_proto::{Blocker, BlockerKind, BudgetNumbers};
use jiff::Timestamp;

use super::turns::Kept;
use crate::answer::Answer;
use crate::budget::BudgetKey;
use crate::namespace::NamespaceOwners;
use crate::pod::NodePod;

/// How many budgets have an entry of their own: those that keep most pods. More would not fit on an operator's screen.
const BUDGETS_MAX: usize = 8;

/// The pods that are left.
#[derive(Debug, Default)]
pub(super) struct Tally<'a> {
    others: BTreeMap<BlockerKind, Pods<'a>>,
    budgets: BTreeMap<BudgetKey, (BudgetNumbers, Pods<'a>)>,
    grace_ends_at: Option<Timestamp>,
}

/// Pods that are left for one reason.
#[derive(Debug, Default)]
struct Pods<'a> {
    number: u32,
    namespaces: BTreeSet<&'a str>,
}

impl<'a> Pods<'a> {
    fn add(&mut self, pod: &'a NodePod) {
        self.number = self.number.saturating_add(1);
        self.namespaces.insert(&pod.namespace);
    }

    fn and(mut self, others: Self) -> Self {
        self.number = self.number.saturating_add(others.number);
        self.namespaces.extend(others.namespaces);
        self
    }

    fn blocker(self, kind: BlockerKind, owners: &NamespaceOwners) -> Blocker {
        let namespaces = self.namespaces.into_iter();
        Blocker {
            // What passes by itself is no matter of their owners.
            namespace_owners: owners.of(namespaces.filter(|_| kind.is_obstacle())),
            ..Blocker::of(kind, self.number)
        }
    }
}

impl<'a> Tally<'a> {
    /// Counts a pod.
    pub(super) fn count(&mut self, kind: BlockerKind, pod: &'a NodePod) {
        self.others.entry(kind).or_default().add(pod);
    }

    /// Counts a pod that ends within its grace.
    pub(super) fn count_ending(&mut self, grace_ends_at: Timestamp, pod: &'a NodePod) {
        self.count(BlockerKind::Grace, pod);
        self.grace_ends_at = self.grace_ends_at.max(Some(grace_ends_at));
    }

    /// Counts a pod that a budget keeps.
    pub(super) fn count_kept(&mut self, kept: &Kept<'a>) {
        let numbers = kept.numbers();
        let key = (numbers.namespace.clone(), numbers.name.clone());
        let (_, pods) = self.budgets.entry(key).or_insert_with(|| (numbers, Pods::default()));
        pods.add(kept.pod);
    }

    /// The budgets that keep pods. A budget that only an answer of the API server names has no name here.
    pub(super) fn budgets(&self) -> impl Iterator<Item = &BudgetKey> {
        self.budgets.keys()
    }

    /// The reasons, most important first.
    pub(super) fn blockers(self, owners: &NamespaceOwners) -> Vec<Blocker> {
        let mut budgets: Vec<(BudgetNumbers, Pods<'_>)> = self.budgets.into_values().collect();
        // Stable: of those that keep as many pods the first by name.
        budgets.sort_by_key(|(_, pods)| std::cmp::Reverse(pods.number));
        let rest = budgets.split_off(budgets.len().min(BUDGETS_MAX));
        let named = |(numbers, pods): (_, Pods<'_>)| Blocker {
            budget: Some(numbers),
            ..pods.blocker(BlockerKind::Budget, owners)
        };
        let mut blockers: Vec<Blocker> = budgets.into_iter().map(named).collect();
        if let Some(rest) = rest.into_iter().map(|(_, pods)| pods).reduce(Pods::and) {
            blockers.push(rest.blocker(BlockerKind::Budget, owners));
        }
        for (kind, pods) in self.others {
            let grace_ends_at = self.grace_ends_at.filter(|_| kind == BlockerKind::Grace);
            blockers.push(Blocker {
                grace_ends_at,
                ..pods.blocker(kind, owners)
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
