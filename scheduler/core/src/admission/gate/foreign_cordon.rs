//! The node is cordoned, and not by a running attempt: an operator or another program works on it, or a
//! cordon of ours was left behind.

use crate::admission::gate::Candidate;
use crate::admission::reason::Reason;

pub(super) fn gate(candidate: &Candidate<'_>) -> Option<Reason> {
    let node = candidate.observation.node;
    node.unschedulable.then_some(match node.cordoned_for {
        Some(_) => Reason::CordonLeftBehind,
        None => Reason::ForeignCordon,
    })
}
