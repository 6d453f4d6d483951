//! The last attempt ended a short time ago.

use crate::admission::gate::Candidate;
use crate::admission::reason::Reason;

pub(super) fn gate(candidate: &Candidate<'_>) -> Option<Reason> {
    let last = candidate.last?;
    let until = last.retry_not_before.filter(|until| !candidate.clock.reached(*until))?;
    Some(Reason::cooling_down(last, until))
}
