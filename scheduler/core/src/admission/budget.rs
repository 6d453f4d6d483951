//! The budget: how many nodes may be disrupted at once, and which take a slot now.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::num::NonZeroU32;

use bellwether_proto::{Attempt, NodeName, Phase};

use crate::observed::{Claim, Claimant, NodeView};

/// Why a node takes a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holder {
    /// By an attempt of ours, in this phase.
    Attempt(Phase),
    /// By an attempt of ours whose Node object was deleted while its host rebooted.
    NodeDeleted,
    /// By an attempt whose record cannot be read.
    Unreadable,
    /// It is not Ready, and no attempt of ours is the reason.
    NotReady,
    /// Its Node object is being deleted.
    Deleting,
    /// Another program has taken it away.
    Claimed(Claimant),
    /// An operator or another program cordoned it.
    Cordoned,
    /// It carries a cordon of ours, and no attempt is running.
    CordonLeftBehind,
}

impl Holder {
    /// The node takes the slot by an attempt of ours.
    pub(crate) fn is_attempt(self) -> bool {
        matches!(self, Self::Attempt(_) | Self::NodeDeleted | Self::Unreadable)
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Attempt(phase) => f.write_str(phase.as_str()),
            Self::NodeDeleted => f.write_str("Node object deleted while its host rebooted"),
            Self::Unreadable => f.write_str("record unreadable"),
            Self::NotReady => f.write_str("not Ready"),
            Self::Deleting => f.write_str("being deleted"),
            Self::Claimed(claimant) => claimant.fmt(f),
            Self::Cordoned => f.write_str("cordoned by an operator or another program"),
            Self::CordonLeftBehind => f.write_str("carries a cordon of ours that was left behind"),
        }
    }
}

/// Why this node takes a slot, if it does. An attempt of ours comes first: a node that is down
/// because we reboot it takes one slot, not two.
#[must_use]
pub fn holder(node: Option<&NodeView>, attempt: Option<&Attempt>, unreadable: bool) -> Option<Holder> {
    if let Some(attempt) = attempt.filter(|attempt| attempt.slot_held) {
        let is_gone = node.is_none_or(|node| node.uid != attempt.node_uid);
        return Some(if is_gone {
            Holder::NodeDeleted
        } else {
            Holder::Attempt(attempt.phase)
        });
    }
    let node = node?;
    if unreadable {
        Some(Holder::Unreadable)
    } else if !node.ready {
        Some(Holder::NotReady)
    } else if node.unschedulable && node.cordoned_for.is_some() {
        Some(Holder::CordonLeftBehind)
    } else if node.deleting {
        Some(Holder::Deleting)
    } else if let Some(claim) = Claim::on(node).filter(|claim| claim.claimant.disrupts()) {
        Some(Holder::Claimed(claim.claimant))
    } else if node.unschedulable {
        Some(Holder::Cordoned)
    } else {
        None
    }
}

/// The slots and the nodes that take them.
#[derive(Debug, Clone)]
pub(crate) struct Budget {
    slots: NonZeroU32,
    holders: BTreeMap<NodeName, Holder>,
    /// The nodes whose running attempt follows one that ended without a reboot.
    retries: BTreeSet<NodeName>,
}

impl Budget {
    pub(crate) fn new(slots: NonZeroU32) -> Self {
        Self {
            slots,
            holders: BTreeMap::new(),
            retries: BTreeSet::new(),
        }
    }

    /// States whether a node takes a slot, and why.
    pub(crate) fn set(&mut self, node: &NodeName, holder: Option<Holder>) {
        match holder {
            Some(holder) => self.holders.insert(node.clone(), holder),
            None => self.holders.remove(node),
        };
    }

    /// States whether a running attempt of a node follows one that ended without a reboot.
    pub(crate) fn set_retry(&mut self, node: &NodeName, is_retry: bool) {
        if is_retry {
            self.retries.insert(node.clone());
        } else {
            self.retries.remove(node);
        }
    }

    /// How many running attempts follow one that ended without a reboot.
    pub(crate) fn retries(&self) -> usize {
        self.retries.len()
    }

    /// How many slots there are.
    pub(crate) fn slots(&self) -> u32 {
        self.slots.get()
    }

    /// How many nodes take a slot; more than there are slots if nodes went down by themselves.
    pub(crate) fn taken(&self) -> usize {
        self.holders.len()
    }

    /// How many slots are free.
    pub(crate) fn free(&self) -> usize {
        usize::try_from(self.slots())
            .unwrap_or(usize::MAX)
            .saturating_sub(self.taken())
    }

    /// The nodes that take a slot, by name.
    pub(crate) fn holders(&self) -> impl Iterator<Item = (&NodeName, Holder)> {
        self.holders.iter().map(|(node, holder)| (node, *holder))
    }
}
