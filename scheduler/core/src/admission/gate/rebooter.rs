//! The node's rebooter could not carry out an order now: such a node is not drained in vain.

use bellwether_proto::{ProblemCode, RebootKind, RebooterReport};

use crate::admission::gate::Candidate;
use crate::admission::reason::Reason;
use crate::attempt::reboot_kind;
use crate::observed::Observation;
use crate::policy::Policy;
use crate::timers::Clock;

/// Without the number nothing would prove a soft reboot.
const NOT_COUNTED: &str = "the rebooter does not report how many soft reboots this boot has had, so none could be proved: systemd 256 and a rebooter that knows soft reboots are needed, or rebootKind: Full in the policy of the node";

pub(super) fn gate(candidate: &Candidate<'_>) -> Option<Reason> {
    let observation = &candidate.observation;
    let kind = reboot_kind(candidate.governing);
    unfit(observation, kind, candidate.clock, |_| true).or_else(|| clock_off(observation))
}

/// Why the node's rebooter could not carry out an order, asked right before the reboot is ordered; none if it could. It waits
/// for the end of an inhibitor itself, as long as the order holds: the node is drained already.
pub(crate) fn unfit_for_order(observation: &Observation<'_>, kind: RebootKind, clock: &Clock) -> Option<Reason> {
    unfit(observation, kind, clock, |code| code != ProblemCode::ShutdownInhibited)
}

/// Why the node's rebooter could not carry out an order of this kind now; none if it could. `counts` chooses the problems that
/// count.
fn unfit(
    observation: &Observation<'_>,
    kind: RebootKind,
    clock: &Clock,
    counts: impl Fn(ProblemCode) -> bool,
) -> Option<Reason> {
    let boot = observation.sentinel.map(|stored| &stored.report.boot_id);
    let rebooter = observation
        .rebooter
        .filter(|stored| Some(&stored.report.boot_id) == boot && !clock.reached(stored.stale_at()));
    let Some(rebooter) = rebooter else {
        return Some(Reason::NoRebooter);
    };
    let problem = rebooter.report.problem.as_ref();
    match problem.filter(|problem| counts(problem.code)) {
        Some(problem) => Some(Reason::PreflightFailed(problem.message.clone())),
        None => kind_refused(&rebooter.report, kind),
    }
}

/// Why the rebooter could not reboot by this kind, beyond its other problems. One that does not report the kind would reboot
/// in full.
fn kind_refused(report: &RebooterReport, kind: RebootKind) -> Option<Reason> {
    if kind == RebootKind::Full {
        return None;
    }
    if kind == RebootKind::Soft && report.soft_reboots.is_none() {
        let of_kind = report
            .preflight_of(kind)
            .and_then(|preflight| preflight.problem.as_ref());
        let message = of_kind.map_or(NOT_COUNTED, |problem| &problem.message);
        return Some(Reason::PreflightFailed(message.to_owned()));
    }
    match report.preflight_of(kind) {
        Some(preflight) => Some(Reason::PreflightFailed(preflight.problem.as_ref()?.message.clone())),
        None => Some(Reason::PreflightFailed(format!(
            "the rebooter {} of this node does not know the kind of reboot {kind}: upgrade the rebooter, or set rebootKind: Full in the policy of the node",
            report.agent_version
        ))),
    }
}

/// The clock of the host judges until when a reboot may begin: one that is ahead refuses the order after the drain, and one
/// that is behind obeys an order that is over. Of a drained node it is waited for: a report that NATS stored late makes a clock
/// look behind until the next one.
pub(crate) fn clock_off(observation: &Observation<'_>) -> Option<Reason> {
    let ahead = observation.rebooter?.clock_ahead();
    (ahead.abs() > Policy::CLOCK_OFF_MAX).then_some(Reason::ClockOff { ahead })
}
