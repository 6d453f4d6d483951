//! The node is cordoned, and not by a running attempt: an operator or another program works on it.

use crate::admission::gate::Candidate;
use crate::admission::reason::Reason;

pub(super) fn gate(candidate: &Candidate<'_>) -> Option<Reason> {
    candidate
        .observation
        .node
        .unschedulable
        .then_some(Reason::ForeignCordon)
}
