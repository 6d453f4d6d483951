//! The node's rebooter could not carry out an order now: such a node is not drained in vain.

use bellwether_proto::ProblemCode;

use crate::admission::gate::Candidate;
use crate::admission::reason::Reason;
use crate::observed::Observation;
use crate::policy::Policy;
use crate::timers::Clock;

pub(super) fn gate(candidate: &Candidate<'_>) -> Option<Reason> {
    let observation = &candidate.observation;
    unfit(observation, candidate.clock, |_| true).or_else(|| clock_off(observation))
}

/// Why the node's rebooter could not carry out an order, asked right before the reboot is ordered; none if it could. It waits
/// for the end of an inhibitor itself, as long as the order holds: the node is drained already.
pub(crate) fn unfit_for_order(observation: &Observation<'_>, clock: &Clock) -> Option<Reason> {
    unfit(observation, clock, |code| code != ProblemCode::ShutdownInhibited)
}

/// Why the node's rebooter could not carry out an order now; none if it could. `counts` chooses the problems that count.
fn unfit(observation: &Observation<'_>, clock: &Clock, counts: impl Fn(ProblemCode) -> bool) -> Option<Reason> {
    let boot = observation.sentinel.map(|stored| &stored.report.boot_id);
    let rebooter = observation
        .rebooter
        .filter(|stored| Some(&stored.report.boot_id) == boot && !clock.reached(stored.stale_at()));
    let Some(rebooter) = rebooter else {
        return Some(Reason::NoRebooter);
    };
    let problem = rebooter
        .report
        .problem
        .as_ref()
        .filter(|problem| counts(problem.code))?;
    Some(Reason::PreflightFailed(problem.message.clone()))
}

/// The clock of the host judges until when a reboot may begin: one that is ahead refuses the order after the drain, and one
/// that is behind obeys an order that is over. Of a drained node it is waited for: a report that NATS stored late makes a clock
/// look behind until the next one.
pub(crate) fn clock_off(observation: &Observation<'_>) -> Option<Reason> {
    let ahead = observation.rebooter?.clock_ahead();
    (ahead.abs() > Policy::CLOCK_OFF_MAX).then_some(Reason::ClockOff { ahead })
}
