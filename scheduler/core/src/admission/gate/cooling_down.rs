//! The last attempt ended a short time ago.

use crate::admission::gate::Candidate;
use crate::admission::reason::Reason;
use crate::attempt;

pub(super) fn gate(candidate: &Candidate<'_>) -> Option<Reason> {
    let last = candidate.last?;
    let until = last.retry_not_before.filter(|until| !candidate.clock.reached(*until))?;
    Some(match attempt::same_obstacle(last) {
        Some(run) => Reason::SameObstacle {
            until,
            obstacle: run.obstacle.clone(),
            attempts: run.attempts,
        },
        None => Reason::cooling_down(last, until),
    })
}
