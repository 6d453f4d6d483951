//! Operators ordered a pause.

use std::sync::Arc;

use crate::admission::gate::Candidate;
use crate::admission::reason::Reason;

pub(super) fn gate(candidate: &Candidate<'_>) -> Option<Reason> {
    let order = candidate.blockers.orders.pause(candidate.clock)?;
    Some(Reason::Paused(Arc::clone(order)))
}
