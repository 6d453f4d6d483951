//! Events of drainers and rebooters, as facts of the attempt's record.

use bellwether_proto::{
    AfterTimeout, Attempt, Cause, DrainFailure, Fact, NodeEvent, Obstacle, ObstacleRun, Phase, event as proto_event,
};
use jiff::Timestamp;

use crate::attempt::Transition;

/// What an event changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Consequence {
    /// At most the facts of the record.
    Facts,
    /// The attempt takes this transition at once.
    Transition(Transition),
    /// A drainer reports our cordon on the node. The cordon is noted once the view of the node agrees.
    CordonReported,
    /// A drainer reports the drain as done, or as over with pods left behind, in the present generation. It counts once the view of the node shows our
    /// cordon: without a cordon, pods come again.
    DrainReported,
    /// The drainer reports our cordon as removed. The phase ends once the view of the node agrees.
    UncordonReported,
}

/// Writes an event into the record of its attempt, and returns what follows at once. The caller has
/// made sure that the event belongs to this attempt, and is not of a newer generation. What follows
/// from the facts over time is decided by `phases`.
pub(crate) fn apply_event(attempt: &mut Attempt, event: &NodeEvent, now: Timestamp) -> Consequence {
    let current = event.generation == attempt.generation;
    match &event.fact {
        Fact::Cordoned if attempt.phase == Phase::Draining => Consequence::CordonReported,
        Fact::Drained { report, .. } if current && attempt.phase == Phase::Draining => {
            attempt.drain_report.clone_from(report);
            Consequence::DrainReported
        }
        Fact::DrainFailed {
            failure,
            message,
            obstacle,
            report,
        } if current && attempt.phase == Phase::Draining => {
            let before = attempt.obstacle_run.take();
            let run = |obstacle: &Obstacle| ObstacleRun::continued(before.as_ref(), obstacle.clone());
            let again = obstacle.as_ref().map(run);
            // A drainer that the time left no look at the node knows less than the one before.
            if attempt.left_behind.is_empty() || report.is_some() {
                attempt.obstacle_run = again;
                attempt.drain_report.clone_from(report);
                drain_failed(attempt, *failure, message)
            } else {
                attempt.obstacle_run = before;
                drain_failed(attempt, *failure, &attempt.left_behind.clone())
            }
        }
        Fact::Uncordoned { .. } if current && matches!(attempt.phase, Phase::Uncordoning | Phase::RollingBack) => {
            Consequence::UncordonReported
        }
        Fact::RebootStarted { boot_id, .. }
            if *boot_id == attempt.boot_before && attempt.reboot_started_at.is_none() =>
        {
            attempt.reboot_started_at = Some(now);
            reboot_started(attempt)
        }
        Fact::RebootRefused { message, code } if current && attempt.phase == Phase::Rebooting => {
            // The announced reboot will not come, so the slot need not wait for it.
            if proto_event::is_certainly_uncalled(code) {
                attempt.reboot_started_at = None;
            }
            Consequence::Transition(Transition::RollBack(
                Cause::RebootRefused,
                format!("the rebooter refused: {message}"),
            ))
        }
        // The host may reboot all the same, so only the deadline ends the phase.
        Fact::RebootFailed { .. } => Consequence::Facts,
        Fact::Cordoned
        | Fact::Drained { .. }
        | Fact::DrainFailed { .. }
        | Fact::Uncordoned { .. }
        | Fact::RebootStarted { .. }
        | Fact::RebootRefused { .. }
        | Fact::DrainProgressed(_)
        | Fact::UncordonFailed { .. }
        | Fact::PhaseChanged { .. } => Consequence::Facts,
    }
}

fn drain_failed(attempt: &mut Attempt, failure: DrainFailure, message: &str) -> Consequence {
    let text = message.to_owned();
    Consequence::Transition(match (failure, attempt.drain_terms.after_timeout) {
        (DrainFailure::ForeignCordon, _) => Transition::End(Cause::ForeignCordon, text),
        (DrainFailure::NodeGone, _) => Transition::End(Cause::NodeGone, text),
        (DrainFailure::Timeout, AfterTimeout::Hold) => Transition::Hold(format!(
            "held by the policy of the node until an operator cancels: {text}"
        )),
        (DrainFailure::Timeout, AfterTimeout::Proceed) => {
            attempt.left_behind = text;
            return Consequence::DrainReported;
        }
        (DrainFailure::Timeout, AfterTimeout::Restore | AfterTimeout::Force) | (DrainFailure::Forbidden, _) => {
            Transition::RollBack(Cause::DrainFailed, text)
        }
    })
}

/// A rebooter that looked at the record just before a cancel reboots its host all the same. An attempt
/// that has ended by then is rolled back once more, which holds its slot until the host is back.
fn reboot_started(attempt: &Attempt) -> Consequence {
    match (&attempt.ending, attempt.phase) {
        (Some(ending), Phase::Failed | Phase::Cancelled) => {
            let message = format!("{}; its rebooter had called for the reboot by then", ending.message);
            Consequence::Transition(Transition::RollBack(ending.cause, message))
        }
        _ => Consequence::Facts,
    }
}
