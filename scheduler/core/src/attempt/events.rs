//! Events of drainers and rebooters, as facts of the attempt's record.

use bellwether_proto::{Attempt, Cause, DrainFailure, Fact, NodeEvent, Phase};
use jiff::Timestamp;

use crate::attempt::Transition;

/// Writes an event into the record of its attempt, and returns the transition that follows at
/// once. The caller has made sure that the event belongs to this attempt. What follows from the
/// facts over time is decided by `phases`.
pub(crate) fn apply_event(attempt: &mut Attempt, event: &NodeEvent, now: Timestamp) -> Option<Transition> {
    let current = event.generation == attempt.generation;
    match &event.fact {
        // A repetition after the uncordon proves nothing any more.
        Fact::Cordoned if attempt.cordoned_at.is_none() && may_carry_cordon(attempt.phase) => {
            attempt.cordoned_at = Some(now);
            None
        }
        Fact::Drained { .. } if current && attempt.phase == Phase::Draining => {
            attempt.cordoned_at.get_or_insert(now);
            attempt.drained_at.get_or_insert(now);
            None
        }
        Fact::DrainFailed { failure, message } if current && attempt.phase == Phase::Draining => {
            Some(drain_failed(*failure, message.clone()))
        }
        Fact::Uncordoned { .. } if current => uncordoned(attempt),
        Fact::RebootStarted { boot_id, .. } if *boot_id == attempt.boot_before => {
            attempt.reboot_started_at.get_or_insert(now);
            None
        }
        Fact::RebootRefused { message } if current && attempt.phase == Phase::Rebooting => Some(Transition::RollBack(
            Cause::RebootRefused,
            format!("the rebooter refused: {message}"),
        )),
        // The host may reboot all the same, so only the deadline ends the phase.
        Fact::RebootFailed { .. } => None,
        Fact::Cordoned
        | Fact::Drained { .. }
        | Fact::DrainFailed { .. }
        | Fact::Uncordoned { .. }
        | Fact::RebootStarted { .. }
        | Fact::RebootRefused { .. }
        | Fact::DrainProgressed { .. }
        | Fact::UncordonFailed { .. }
        | Fact::PhaseChanged { .. } => None,
    }
}

fn drain_failed(failure: DrainFailure, message: String) -> Transition {
    match failure {
        DrainFailure::ForeignCordon => Transition::End(Cause::ForeignCordon, message),
        DrainFailure::NodeGone => Transition::End(Cause::NodeGone, message),
        DrainFailure::Timeout | DrainFailure::Forbidden => Transition::RollBack(Cause::DrainFailed, message),
    }
}

fn uncordoned(attempt: &mut Attempt) -> Option<Transition> {
    attempt.cordoned_at = None;
    match attempt.phase {
        Phase::Uncordoning => Some(Transition::Enter(Phase::Soaking, String::new())),
        Phase::RollingBack => {
            let ending = attempt.ending.clone()?;
            Some(Transition::End(ending.cause, ending.message))
        }
        Phase::Draining
        | Phase::Rebooting
        | Phase::Verifying
        | Phase::Soaking
        | Phase::Done
        | Phase::Failed
        | Phase::Cancelled => None,
    }
}

fn may_carry_cordon(phase: Phase) -> bool {
    match phase {
        Phase::Draining | Phase::Rebooting | Phase::Verifying | Phase::Uncordoning | Phase::RollingBack => true,
        Phase::Soaking | Phase::Done | Phase::Failed | Phase::Cancelled => false,
    }
}
