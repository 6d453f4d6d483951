//! An annotation of the Node holds the node.

use crate::admission::gate::Candidate;
use crate::admission::reason::Reason;

pub(super) fn gate(candidate: &Candidate<'_>) -> Option<Reason> {
    let order = candidate.observation.node.annotated_hold(candidate.clock)?;
    Some(Reason::Held(Box::new(order.clone())))
}
