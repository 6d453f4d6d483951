//! Sentinel and kubelet report different boots: the proof of the reboot needs one known boot to end.

use crate::admission::gate::Candidate;
use crate::admission::reason::Reason;

pub(super) fn gate(candidate: &Candidate<'_>) -> Option<Reason> {
    let settled = candidate.observation.settled_boot();
    settled.is_none().then_some(Reason::BootUnsettled)
}
