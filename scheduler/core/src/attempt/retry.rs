//! After the end of an attempt: whether its slot is kept, and when the node may be tried again.

use bellwether_proto::{Attempt, Cause, Phase};
use jiff::Timestamp;

use crate::policy::Policy;
use crate::timers::later;

/// After these causes the node may still be disrupted, or about to be: an operator has to look.
fn keeps_slot(cause: Cause) -> bool {
    matches!(cause, Cause::RebootIgnored | Cause::NodeNotBack | Cause::UncordonStuck)
}

/// Writes into the record what an end with this cause means for its slot and the next try.
pub(super) fn after_end(attempt: &mut Attempt, cause: Cause, policy: &Policy, now: Timestamp) {
    attempt.slot_held = keeps_slot(cause);
    if cause.outcome() != Phase::Failed {
        attempt.failures_in_row = 0;
        // The operator who cancels does not want the attempt to start again at once.
        attempt.retry_not_before = (cause == Cause::Operator).then(|| later(now, policy.retry_delay));
        return;
    }
    // A node that came back late can fail twice in one attempt: that is one failure.
    if !attempt.history.iter().any(|entered| entered.phase == Phase::Failed) {
        attempt.failures_in_row = attempt.failures_in_row.saturating_add(1);
        attempt.retry_not_before = Some(later(now, policy.retry_delay_after(attempt.failures_in_row)));
    }
}
