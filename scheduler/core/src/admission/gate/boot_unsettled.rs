//! Sentinel and kubelet report different boots: the proof of the reboot needs one known boot to end.

use crate::admission::gate::Candidate;
use crate::admission::reason::Reason;

pub(super) fn gate(candidate: &Candidate<'_>) -> Option<Reason> {
    let sentinel = candidate.observation.sentinel.map(|stored| &stored.report.boot_id);
    (sentinel != candidate.observation.node.boot_id.as_ref()).then_some(Reason::BootUnsettled)
}
