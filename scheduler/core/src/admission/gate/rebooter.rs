//! The node's rebooter could not carry out an order now: such a node is not drained in vain.

use bellwether_proto::ProblemCode;

use crate::admission::gate::Candidate;
use crate::admission::reason::Reason;
use crate::observed::Observation;
use crate::timers::Clock;

pub(super) fn gate(candidate: &Candidate<'_>) -> Option<Reason> {
    unfit(&candidate.observation, candidate.clock)
}

/// Why the node's rebooter could not carry out an order, asked right before the reboot is ordered; none if it could. It waits
/// for the end of an inhibitor itself, as long as the order holds: the node is drained already.
pub(crate) fn unfit_for_order(observation: &Observation<'_>, clock: &Clock) -> Option<Reason> {
    let reported = observation.rebooter.and_then(|stored| stored.report.problem.as_ref());
    let waits = reported.is_some_and(|problem| problem.code == ProblemCode::ShutdownInhibited);
    unfit(observation, clock).filter(|reason| !(waits && matches!(reason, Reason::PreflightFailed(_))))
}

/// Why the node's rebooter could not carry out an order now; none if it could.
fn unfit(observation: &Observation<'_>, clock: &Clock) -> Option<Reason> {
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
