//! A node whose pods cannot all go: its drain would evict the others for nothing.
//!
//! A drainer is asked only when the node is at the head of the queue. A node whose gate is shut leaves the queue for a
//! while, so that the next one goes: of nodes that need one budget, one is drained at a time while others are there to go.

use crate::admission::gate::Candidate;
use crate::admission::reason::Reason;

pub(super) fn gate(candidate: &Candidate<'_>) -> Option<Reason> {
    let (reason, until) = candidate.own.drain.shut()?;
    (!candidate.clock.reached(until)).then_some(reason)
}
