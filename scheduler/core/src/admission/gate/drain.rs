//! A node whose pods cannot all go: its drain would evict the others for nothing.
//!
//! A drainer is asked only when the node is at the head of the queue. A node whose gate is shut leaves the queue for a
//! while, so that the next one goes: of nodes that need one budget, one is drained at a time while others are there to go.

use bellwether_policy::Governing;

use crate::admission::gate::Candidate;
use crate::admission::reason::Reason;

/// The policy of the node lets its drain end in the reboot whatever keeps its pods: the check makes no difference.
pub(crate) fn overrides_budgets(governing: &Governing) -> bool {
    let terms = governing.terms();
    terms.is_some_and(|terms| terms.drain.on_timeout.overrides_budgets())
}

pub(super) fn gate(candidate: &Candidate<'_>) -> Option<Reason> {
    if overrides_budgets(candidate.governing) {
        return None;
    }
    let (reason, until) = candidate.own.drain.shut()?;
    (!candidate.clock.reached(until)).then_some(reason)
}
