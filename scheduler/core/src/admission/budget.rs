//! The slots: how many nodes may be disrupted at once, and who takes one now.

use std::collections::BTreeMap;
use std::fmt;

use bellwether_proto::{Attempt, NodeName, Phase};

use crate::observed::node::NodeView;

/// Why a node takes a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holder {
    /// By an attempt of ours, in this phase.
    Attempt(Phase),
    /// By an attempt whose record cannot be read.
    Unreadable,
    /// It is not Ready, and that is not our doing.
    NotReady,
    /// Somebody else cordoned it.
    Cordoned,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Attempt(phase) => f.write_str(phase.as_str()),
            Self::Unreadable => f.write_str("record unreadable"),
            Self::NotReady => f.write_str("not Ready"),
            Self::Cordoned => f.write_str("cordoned by somebody else"),
        }
    }
}

/// Who takes a slot now.
#[must_use]
pub fn holders(
    nodes: &BTreeMap<NodeName, NodeView>,
    attempts: &BTreeMap<NodeName, Attempt>,
    unreadable: &BTreeMap<NodeName, String>,
) -> BTreeMap<NodeName, Holder> {
    let mut holders = BTreeMap::new();
    for node in nodes.values() {
        if !node.ready {
            holders.insert(node.name.clone(), Holder::NotReady);
        } else if node.unschedulable {
            holders.insert(node.name.clone(), Holder::Cordoned);
        }
    }
    for node in unreadable.keys().filter(|node| nodes.contains_key(*node)) {
        holders.insert(node.clone(), Holder::Unreadable);
    }
    // Ours last: a node that is down because we reboot it takes one slot, not two.
    for attempt in attempts.values().filter(|attempt| attempt.slot_held) {
        holders.insert(attempt.node.clone(), Holder::Attempt(attempt.phase));
    }
    holders
}
