//! Orphans: nodes with our cordon and without a running attempt.
//!
//! The record was lost, or a drainer cordoned late. An attempt that only rolls back takes the cordon away.

use bellwether_proto::Attempt;

use crate::attempt::start::roll_back_only;
use crate::observed::NodeView;
use crate::policy::Policy;
use crate::timers::{Clock, later};

/// The attempt that takes an orphan's cordon away, with its message for operators; none if the node
/// is no orphan. `beside_bellwether`: another Bellwether is in the cluster, tolerated or not, so an
/// unknown mark may be its own.
pub(crate) fn orphan_of(
    node: &NodeView,
    last: Option<&Attempt>,
    beside_bellwether: bool,
    policy: &Policy,
    clock: &Clock,
) -> Option<(Attempt, &'static str)> {
    const MESSAGE: &str = "the node carries our cordon and no attempt is running";
    let id = node.cordoned_for?;
    if !node.ready || node.deleting {
        return None;
    }
    if let Some(last) = last
        && (!last.phase.is_ended() || last.slot_held || !clock.reached(later(last.phase_since(), Policy::ORPHAN_AFTER)))
    {
        return None;
    }
    let known = last.is_some_and(|last| last.id == id);
    if !known && beside_bellwether {
        return None;
    }
    let attempt = roll_back_only(id, node, last, MESSAGE, policy, clock.now())?;
    Some((attempt, MESSAGE))
}
