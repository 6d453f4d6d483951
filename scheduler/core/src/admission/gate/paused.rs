//! Operators ordered a pause of the fleet or of the node's policy, or hold the node.

use std::sync::Arc;

use crate::admission::gate::Candidate;
use crate::admission::reason::Reason;

pub(super) fn gate(candidate: &Candidate<'_>) -> Option<Reason> {
    let node = &candidate.observation.node.name;
    let orders = &candidate.blockers.orders;
    let order = orders.block(node, candidate.policy_name(), candidate.clock)?;
    Some(Reason::Paused(Arc::clone(order)))
}
