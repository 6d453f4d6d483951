//! Which node goes first.

use bellwether_policy::{ControlPlaneTurn, Governing};
use bellwether_proto::{Attempt, NodeName, RebootNeed};
use jiff::Timestamp;

use crate::observed::NodeView;

/// A place in the queue: the smallest goes first. Nodes that an operator has ordered to reboot now come first. Nodes that
/// were not tried yet come next, since a node that is tried in vain again and again must not keep them waiting; then by
/// the part that the node has in the cluster, the longest wait first, then by name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// No operator has ordered to reboot the node now.
    is_in_turn: bool,
    /// The last attempt on this node ended without a reboot.
    pub(crate) is_retry: bool,
    turn: Turn,
    /// Of a node that was not tried: the begin of its need. Of another one: the end of its last attempt.
    waits_since: Timestamp,
    pub(crate) node: NodeName,
}

/// The part of a node in the cluster, in the order in which nodes go. It holds across policies: there is one order for
/// the slots that they share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Turn {
    ControlPlaneFirst,
    Worker,
    ControlPlaneLast,
}

impl Turn {
    fn of(node: &NodeView, governing: &Governing) -> Self {
        if !node.control_plane {
            return Self::Worker;
        }
        match governing.terms().map(|terms| terms.control_plane) {
            Some(ControlPlaneTurn::First) => Self::ControlPlaneFirst,
            Some(ControlPlaneTurn::Last) | None => Self::ControlPlaneLast,
        }
    }
}

/// The place of a node with this need and this last attempt.
pub(crate) fn place(
    node: &NodeView,
    governing: &Governing,
    need: &RebootNeed,
    last: Option<&Attempt>,
    is_urgent: bool,
) -> Place {
    let in_vain = last.filter(|last| last.failures_in_row > 0);
    Place {
        is_in_turn: !is_urgent,
        is_retry: in_vain.is_some(),
        turn: Turn::of(node, governing),
        waits_since: in_vain.map_or(need.first_since, Attempt::phase_since),
        node: node.name.clone(),
    }
}
