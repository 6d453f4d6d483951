//! Operators ordered a pause of the fleet or of the node's policy, or hold the node.

use std::sync::Arc;

use bellwether_policy::Governing;

use crate::admission::gate::Candidate;
use crate::admission::reason::Reason;

pub(super) fn gate(candidate: &Candidate<'_>) -> Option<Reason> {
    let policy = match candidate.governing {
        Governing::Policy(policy) => Some(&*policy.name),
        Governing::BuiltIn | Governing::None | Governing::Conflict(..) => None,
    };
    let node = &candidate.observation.node.name;
    let order = candidate.blockers.orders.block(node, policy, candidate.clock)?;
    Some(Reason::Paused(Arc::clone(order)))
}
