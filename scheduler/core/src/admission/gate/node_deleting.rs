//! The Node object is being deleted: its machine is about to go.

use crate::admission::gate::Candidate;
use crate::admission::reason::Reason;

pub(super) fn gate(candidate: &Candidate<'_>) -> Option<Reason> {
    candidate.observation.node.deleting.then_some(Reason::NodeDeleting)
}
