//! Instants of a record that the clock of its writer got wrong.
//!
//! A scheduler whose clock was ahead for a moment wrote deadlines that would keep a slot, or a node
//! from its next try, for as long as the clock was wrong. No instant may lie further in the future than
//! the policy allows from now on, and what has happened has happened by now.

use bellwether_proto::Attempt;
use jiff::Timestamp;

use crate::attempt::retry;
use crate::attempt::transition::time_limit;
use crate::policy::Policy;
use crate::timers::later;

/// Brings the instants of a record within their bounds. True if one was beyond.
pub(crate) fn clamp(attempt: &mut Attempt, policy: &Policy, now: Timestamp) -> bool {
    let mut clamped = false;
    let mut bound = |instant: &mut Timestamp, latest: Timestamp| {
        if *instant > latest {
            *instant = latest;
            clamped = true;
        }
    };
    let delay = attempt.reboot_delay().unwrap_or_default();
    let limit = time_limit(attempt, policy);
    if let (Some(deadline), Some(limit)) = (&mut attempt.deadline, limit) {
        bound(deadline, later(now, limit));
    }
    if let Some(reboot_not_after) = &mut attempt.reboot_not_after {
        bound(reboot_not_after, later(now, policy.reboot_start_timeout));
    }
    if let Some(reboot_not_before) = &mut attempt.reboot_not_before {
        bound(reboot_not_before, later(now, delay));
    }
    let retry_delay = retry::delay(attempt, policy);
    if let Some(retry_not_before) = &mut attempt.retry_not_before {
        bound(retry_not_before, later(now, retry_delay));
    }
    let facts = [
        attempt.cordoned_at.as_mut(),
        attempt.drained_at.as_mut(),
        attempt.cordon_removed_at.as_mut(),
        attempt.reboot_started_at.as_mut(),
        attempt.failed_reboot.as_mut().map(|failed| &mut failed.at),
    ];
    let reboots = attempt.last_reboot.iter_mut();
    let reboots = reboots.flat_map(|last| std::iter::once(&mut last.began_at).chain(&mut last.earlier));
    let entered = attempt.history.iter_mut().map(|entered| &mut entered.at);
    for instant in facts.into_iter().flatten().chain(reboots).chain(entered) {
        bound(instant, now);
    }
    clamped
}
