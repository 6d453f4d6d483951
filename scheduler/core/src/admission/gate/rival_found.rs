//! Another program in the cluster reboots nodes, and knows nothing of our slots.

use crate::admission::gate::Candidate;
use crate::admission::reason::Reason;

pub(super) fn gate(candidate: &Candidate<'_>) -> Option<Reason> {
    candidate.blockers.rival_reason()
}
