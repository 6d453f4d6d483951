//! The need is older than the reboot that should have ended it: another reboot would not help.

use crate::admission::gate::Candidate;
use crate::admission::reason::Reason;

pub(super) fn gate(candidate: &Candidate<'_>) -> Option<Reason> {
    let last = candidate.last?;
    let boot = candidate.observation.sentinel.map(|stored| &stored.report.boot_id);
    let survived =
        last.boot_after.is_some() && last.boot_after.as_ref() == boot && candidate.need.since <= last.need_since;
    survived.then_some(Reason::NeedSurvivedReboot)
}
