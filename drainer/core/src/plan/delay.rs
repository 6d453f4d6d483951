//! The wait between two evictions of one pod, after each answer of the API server.

use std::time::Duration;

use crate::answer::Answer;

/// First and longest wait after a budget blocked. The drain learns that a budget has room again late
/// by at most the longest; a shorter wait would only make the API server count the same pods again.
const BLOCKED: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(30));
/// First and longest wait after a failure.
const FAILED: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// First and longest wait after an answer that the pod is gone. A watch shows its end within milliseconds; a pod
/// that is still there after the first wait is not gone, whatever the answer was.
const GONE: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(30));
/// Wait where the server needs only a moment.
const MOMENT: Duration = Duration::from_secs(1);
/// Wait for the budget's controller.
const UNPROCESSED: Duration = Duration::from_secs(2);
/// Wait for the turn of a StatefulSet that another drain has: costs no request.
pub(super) const NO_TURN: Duration = Duration::from_secs(2);
/// Wait for the namespace controller to delete the pod.
const NAMESPACE: Duration = Duration::from_secs(10);
/// An accepted eviction shows on the pod within milliseconds; one that does not was lost.
const LOST: Duration = Duration::from_secs(30);

/// First and longest wait while the API server is busy, beside the wait that it asks for. A longer one counts as the
/// longest: a server that recovers is used again within half a minute, whatever a proxy before it asks for.
const BUSY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// The longest rest, with its spread: one that ends later was noted before the clock was set back.
pub(crate) const QUIET_MAX: Duration = Duration::from_secs(36);

/// How long all evictions rest after the API server asked for this wait, `same` times in a row.
pub(crate) fn quiet(asked: Duration, same: u32) -> Duration {
    asked.max(growing(BUSY, same)).min(BUSY.1)
}

/// The wait after this answer to an eviction of the pod, which was the answer `same` times in a row: each cause has a wait
/// of its own, so that a pod that a budget kept for long is tried again soon after another fault.
pub(super) fn after_answer(answer: &Answer, same: u32) -> Duration {
    match answer {
        Answer::Accepted => LOST,
        Answer::Gone => growing(GONE, same),
        Answer::Conflict => MOMENT,
        Answer::BudgetUnprocessed => UNPROCESSED,
        Answer::Throttled(wait) => quiet(*wait, same),
        Answer::NamespaceEnding => NAMESPACE,
        Answer::BudgetBlocked(_) | Answer::AdmissionDenied(_) => growing(BLOCKED, same),
        // The server will always refuse, but an operator may remove one of the budgets.
        Answer::SeveralBudgets => BLOCKED.1,
        Answer::Forbidden(_) | Answer::Failed(_) => growing(FAILED, same),
    }
}

fn growing((first, longest): (Duration, Duration), same: u32) -> Duration {
    let doubled = same.saturating_sub(1).min(16);
    first.saturating_mul(1 << doubled).min(longest)
}
