//! The need has survived the reboot that should have ended it: another reboot would not help.
//!
//! A need is new if this boot's sentinel has reported before that no reboot is required. If its first
//! report shows a need already, the need is new only if all of this holds: the host shows when it began; it is another
//! one than the old boot reported last; it is not older than this boot, by the host's clock; and it began after the old
//! boot began to end, by the host's clock corrected by how far that clock is ahead of the server's now. A report that
//! comes late makes a clock
//! look behind, and a clock may be set between two boots, so no time alone proves anything.
//!
//! Of annotations the record of the reboot knows which ones it has served: these alone are no new need, and another one is.

use bellwether_proto::{LastReboot, RebootNeed};

use crate::admission::gate::Candidate;
use crate::admission::reason::Reason;
use crate::observed::{Asking, StoredReport};

pub(super) fn gate(candidate: &Candidate<'_>) -> Option<Reason> {
    let last = candidate.last?.last_reboot.as_ref()?;
    let sentinel = candidate.observation.sentinel?;
    let is_new = match candidate.observation.memory.asking {
        Asking::Nothing => is_new(candidate.need, last, sentinel),
        Asking::Again => false,
        Asking::Reboot => true,
    };
    let survived = last.boot_id == sentinel.report.boot_id && !is_new;
    survived.then_some(Reason::NeedSurvivedReboot)
}

fn is_new(need: &RebootNeed, last: &LastReboot, sentinel: &StoredReport<bellwether_proto::HostReport>) -> bool {
    if last.need_cleared {
        return true;
    }
    // That the host does not show when it began, and that it was there from the first look on, proves nothing.
    if need.undated {
        return false;
    }
    let since = sentinel.by_server_clock(need.since);
    let in_this_boot = sentinel.report.booted_at.is_none_or(|booted| need.since >= booted);
    need.since != last.need_since && in_this_boot && since > last.began_at
}
