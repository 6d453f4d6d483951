//! The node is not Ready: its drain could not end, and the cause is not ours to hide by a reboot.

use crate::admission::gate::Candidate;
use crate::admission::reason::Reason;

pub(super) fn gate(candidate: &Candidate<'_>) -> Option<Reason> {
    (!candidate.observation.node.ready).then_some(Reason::NotReady)
}
