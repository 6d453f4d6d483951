//! After the end of an attempt: whether its slot is kept, and when the node may be tried again.

use bellwether_proto::{Attempt, Cause, Ending, FailedReboot, ObstacleRun};
use jiff::{SignedDuration, Timestamp};

use crate::policy::Policy;
use crate::timers::later;

/// After these ends the node may still be disrupted, or about to be: an operator has to look, or the
/// node has to prove that it is healthy.
pub(super) fn keeps_slot(attempt: &Attempt, cause: Cause) -> bool {
    match cause {
        // A host that was never called for a reboot is not about to go down.
        Cause::RebootIgnored => attempt.reboot_started_at.is_some(),
        Cause::NodeNotBack | Cause::UncordonStuck => true,
        Cause::Completed
        | Cause::Operator
        | Cause::NeedCleared
        | Cause::RebootedElsewhere
        | Cause::ForeignCordon
        | Cause::NodeGone
        | Cause::DrainFailed
        | Cause::RebootRefused
        | Cause::RecordLost
        | Cause::NotFit => false,
    }
}

/// With these causes the reboot was ordered and did not bring the node back: what the host would boot, or the way to its
/// boot, may be broken on other nodes too. A drain that fails, or an uncordon that is stuck, proves nothing of the kind.
fn is_failed_reboot(cause: Cause) -> bool {
    match cause {
        Cause::RebootRefused | Cause::RebootIgnored | Cause::NodeNotBack => true,
        Cause::Completed
        | Cause::Operator
        | Cause::NeedCleared
        | Cause::RebootedElsewhere
        | Cause::ForeignCordon
        | Cause::NodeGone
        | Cause::DrainFailed
        | Cause::UncordonStuck
        | Cause::RecordLost
        | Cause::NotFit => false,
    }
}

/// Notes in the record that the reboot of the attempt failed, or was completed.
pub(super) fn note_outcome(attempt: &mut Attempt, ending: &Ending, now: Timestamp) {
    let cause = ending.rollback_cause.unwrap_or(ending.cause);
    if cause == Cause::Completed {
        attempt.failed_reboot = None;
    } else if is_failed_reboot(cause) {
        attempt.failed_reboot = Some(FailedReboot { cause, at: now });
    }
}

/// Ends the run of attempts at one obstacle, unless the drain of this attempt failed. A drainer that fell silent states
/// nothing of the obstacle, so such an attempt neither counts nor ends the run.
pub(super) fn note_obstacle(attempt: &mut Attempt, ending: &Ending) {
    if ending.rollback_cause.unwrap_or(ending.cause) != Cause::DrainFailed {
        attempt.obstacle_run = None;
    }
}

/// So many attempts in a row have ended at one obstacle that the next one would be in vain too. None: not yet.
pub(crate) fn same_obstacle(attempt: &Attempt) -> Option<&ObstacleRun> {
    let run = attempt.obstacle_run.as_ref();
    run.filter(|run| run.attempts >= Policy::SAME_OBSTACLE)
}

/// How long the node is left alone after the end of the attempt.
pub(super) fn delay(attempt: &Attempt, policy: &Policy) -> SignedDuration {
    match same_obstacle(attempt) {
        Some(_) => policy.retry_delay_max(),
        None => policy.retry_delay_after(attempt.failures_in_row),
    }
}

/// Writes into the record what an end with this cause means for its slot and the next try. Whatever
/// ended the attempt, the node is left alone for a while: what flaps must not have it drained again and
/// again. The wait grows with each attempt in a row that leaves the node with its need.
/// `need_returned`: a host that was rebooted reports the next need already, so the reboot was in vain too.
pub(super) fn after_end(attempt: &mut Attempt, cause: Cause, need_returned: bool, policy: &Policy, now: Timestamp) {
    attempt.slot_held = keeps_slot(attempt, cause);
    if cause == Cause::Completed && !need_returned {
        attempt.failures_in_row = 0;
    } else if attempt.history.iter().any(|entered| entered.phase.is_ended()) {
        // A node that came back late can end twice in one attempt: that counts once.
        return;
    } else {
        attempt.failures_in_row = attempt.failures_in_row.saturating_add(1);
    }
    attempt.retry_not_before = Some(later(now, delay(attempt, policy)));
}
