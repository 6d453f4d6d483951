//! Another program has taken the node away, or is about to: the autoscaler, Karpenter, a maintenance.

use crate::admission::gate::Candidate;
use crate::admission::reason::Reason;
use crate::observed::{Claim, NodeView};
use crate::timers::{Clock, later};

pub(super) fn gate(candidate: &Candidate<'_>) -> Option<Reason> {
    claimed(candidate.observation.node, candidate.clock)
}

/// The claim on a node as a reason. Asked again right before the reboot is ordered.
pub(super) fn claimed(node: &NodeView, clock: &Clock) -> Option<Reason> {
    let claim = Claim::on(node)?;
    let usual_until = claim.since.map(|since| later(since, Claim::USUAL_MAX));
    Some(Reason::Claimed {
        is_stale: usual_until.is_some_and(|until| clock.reached(until)),
        claim,
    })
}
