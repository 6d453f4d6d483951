//! The node's rebooter could not carry out an order now: such a node is not drained in vain.

use crate::admission::gate::Candidate;
use crate::admission::reason::Reason;
use crate::observed::Observation;
use crate::timers::Clock;

pub(super) fn gate(candidate: &Candidate<'_>) -> Option<Reason> {
    unfit(&candidate.observation, candidate.clock)
}

/// Why the node's rebooter could not carry out an order now; none if it could. Asked again right
/// before the reboot is ordered.
pub(crate) fn unfit(observation: &Observation<'_>, clock: &Clock) -> Option<Reason> {
    let boot = observation.sentinel.map(|stored| &stored.report.boot_id);
    let rebooter = observation
        .rebooter
        .filter(|stored| Some(&stored.report.boot_id) == boot && !clock.reached(stored.stale_at()));
    let Some(rebooter) = rebooter else {
        return Some(Reason::NoRebooter);
    };
    let problem = rebooter.report.problem.as_ref()?;
    Some(Reason::PreflightFailed(problem.message.clone()))
}
