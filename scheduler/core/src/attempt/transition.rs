//! The transitions of an attempt, and what each one writes into its record.

use bellwether_proto::{Attempt, Cause, Ending, Phase, PhaseEntered};
use jiff::{SignedDuration, Timestamp};

use crate::attempt::retry;
use crate::observed::Observation;
use crate::policy::Policy;
use crate::timers::later;

/// The next step of an attempt. The texts are for operators.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Transition {
    /// The attempt continues in this phase.
    Enter(Phase, String),
    /// The attempt takes our cordon away, and ends with this cause.
    RollBack(Cause, String),
    /// The attempt ends, with nothing left to undo.
    End(Cause, String),
    /// The drain has to be done again, in what is left of its time.
    DrainAgain(String),
    /// The slot of an ended attempt is free.
    ReleaseSlot(String),
}

impl Transition {
    /// The reason of the transition, for operators; may be empty.
    pub(crate) fn message(&self) -> &str {
        match self {
            Self::Enter(_, message)
            | Self::RollBack(_, message)
            | Self::End(_, message)
            | Self::DrainAgain(message)
            | Self::ReleaseSlot(message) => message,
        }
    }
}

/// Writes a transition into the record. The history gains the phase that is entered.
pub(crate) fn apply(
    attempt: &mut Attempt,
    transition: Transition,
    observation: Option<&Observation<'_>>,
    policy: &Policy,
    now: Timestamp,
) {
    match transition {
        Transition::Enter(phase, _) => {
            if phase == Phase::Rebooting {
                attempt.reboot_not_after = Some(later(now, policy.reboot_start_timeout));
            }
            if phase == Phase::Uncordoning {
                attempt.ending = None;
                attempt.slot_held = true;
                if let Some(observation) = observation {
                    attempt.boot_after = observation.proved_boot(&attempt.boot_before).cloned();
                    attempt.kernel_after = Some(observation.node.kernel.clone());
                }
            }
            enter(attempt, phase, policy, now);
        }
        Transition::RollBack(cause, message) => {
            attempt.ending = Some(Ending { cause, message });
            enter(attempt, Phase::RollingBack, policy, now);
        }
        Transition::End(cause, message) => {
            if matches!(cause, Cause::ForeignCordon | Cause::NodeGone) {
                attempt.cordoned_at = None;
            }
            retry::after_end(attempt, cause, policy, now);
            attempt.ending = Some(Ending { cause, message });
            enter(attempt, cause.outcome(), policy, now);
        }
        Transition::DrainAgain(_) => {
            attempt.drained_at = None;
            let deadline = attempt.deadline;
            enter(attempt, Phase::Draining, policy, now);
            attempt.deadline = deadline;
        }
        Transition::ReleaseSlot(_) => attempt.slot_held = false,
    }
}

/// Enters a phase: a new generation, a new deadline, one entry more in the history.
pub(super) fn enter(attempt: &mut Attempt, phase: Phase, policy: &Policy, now: Timestamp) {
    attempt.generation = attempt.generation.next();
    begin(attempt, phase, policy, now);
}

/// Begins a phase in the attempt's present generation.
pub(super) fn begin(attempt: &mut Attempt, phase: Phase, policy: &Policy, now: Timestamp) {
    attempt.phase = phase;
    attempt.history.push(PhaseEntered { phase, at: now });
    attempt.deadline = time_limit(phase, policy).map(|limit| later(now, limit));
}

/// How long a phase may last; none if the attempt has ended.
fn time_limit(phase: Phase, policy: &Policy) -> Option<SignedDuration> {
    match phase {
        Phase::Draining => Some(policy.drain_timeout),
        Phase::Rebooting => Some(policy.reboot_timeout),
        Phase::Verifying => Some(policy.verify_timeout),
        Phase::Uncordoning | Phase::RollingBack => Some(policy.uncordon_timeout),
        Phase::Soaking => Some(policy.soak),
        Phase::Done | Phase::Failed | Phase::Cancelled => None,
    }
}

/// A failed attempt whose cordon has to go, unlike that of a node that never came back.
pub(crate) fn wants_uncordon(attempt: &Attempt) -> bool {
    let cause = attempt.ending.as_ref().map(|ending| ending.cause);
    attempt.phase == Phase::Failed && attempt.slot_held && cause == Some(Cause::UncordonStuck)
}
