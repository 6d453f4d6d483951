//! Another node of the control plane is disrupted: etcd keeps its quorum only while one is away.

use crate::admission::gate::Candidate;
use crate::admission::reason::Reason;

pub(super) fn gate(candidate: &Candidate<'_>) -> Option<Reason> {
    let node = candidate.observation.node;
    if !node.control_plane {
        return None;
    }
    let (other, holder) = candidate.blockers.control_plane.disrupted_beside(&node.name)?;
    Some(Reason::ControlPlaneBusy(other.clone(), holder))
}
