//! An operator skips the node: the need that was there at the time of the order is left unserved.

use std::sync::Arc;

use crate::admission::gate::Candidate;
use crate::admission::reason::{Reason, Skip};

pub(super) fn gate(candidate: &Candidate<'_>) -> Option<Reason> {
    let Candidate { blockers, clock, .. } = *candidate;
    let node = candidate.observation.node;
    let need_began = candidate.observation.sentinel?.began(candidate.need);
    let ordered = blockers
        .orders
        .skip(&node.name, candidate.policy_name(), need_began, clock);
    let annotated = || node.annotated_skip(need_began, clock);
    let skip = ordered
        .map(|order| Skip::Ordered(Arc::clone(order)))
        .or_else(|| annotated().map(|order| Skip::Annotated(Box::new(order.clone()))))?;
    Some(Reason::Skipped(skip))
}
