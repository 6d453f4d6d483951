//! The node was rebooted as often within a day as its policy permits, and needs a reboot again: a program asks for the
//! next one at each boot.
//!
//! The need has returned if this boot's sentinel has never reported that no reboot is required, or if the need began
//! within a day of the last reboot. Past reboots are compared with each other and not with the present time, so the
//! hold does not end by itself: an operator has to cancel, or the next need has to come a day after the last reboot.

use bellwether_proto::{HostReport, LastReboot, RebootNeed};

use crate::admission::gate::Candidate;
use crate::admission::reason::Reason;
use crate::observed::StoredReport;
use crate::policy::Policy;
use crate::timers::later;

pub(super) fn gate(candidate: &Candidate<'_>) -> Option<Reason> {
    let (_, terms) = candidate.terms()?;
    let last = candidate.last?.last_reboot.as_ref()?;
    let sentinel = candidate.observation.sentinel?;
    let since = last.within(Policy::LOOP_SPAN).last()?;
    let reboots = u32::try_from(last.within(Policy::LOOP_SPAN).count()).unwrap_or(u32::MAX);
    let is_loop = reboots >= terms.brakes.reboots_per_day_max && has_returned(candidate.need, last, sentinel);
    is_loop.then_some(Reason::RebootLoop { reboots, since })
}

fn has_returned(need: &RebootNeed, last: &LastReboot, sentinel: &StoredReport<HostReport>) -> bool {
    let was_never_gone = last.boot_id == sentinel.report.boot_id && !last.need_cleared;
    was_never_gone || sentinel.by_server_clock(need.first_since) <= later(last.began_at, Policy::LOOP_SPAN)
}
