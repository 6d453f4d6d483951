//! The policy's shortest time between two reboots of one node is not over.

use crate::admission::gate::Candidate;
use crate::admission::reason::Reason;
use crate::timers::later;

pub(super) fn gate(candidate: &Candidate<'_>) -> Option<Reason> {
    let (policy, terms) = candidate.terms()?;
    let interval = terms.brakes.min_interval?;
    let last = candidate.last?.last_reboot.as_ref()?;
    let until = later(last.began_at, interval);
    (!candidate.clock.reached(until)).then(|| Reason::MinInterval {
        policy: policy.name.clone(),
        rebooted_at: last.began_at,
        until,
    })
}
