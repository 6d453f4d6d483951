//! No policy lets the node reboot: none is for the node, two are, or the one that is has a mistake.

use bellwether_policy::Governing;

use crate::admission::gate::Candidate;
use crate::admission::reason::Reason;

pub(super) fn gate(candidate: &Candidate<'_>) -> Option<Reason> {
    ungoverned(candidate.governing)
}

/// Why no policy lets a node reboot; none if one does. Asked again right before the reboot is ordered.
pub(super) fn ungoverned(governing: &Governing) -> Option<Reason> {
    match governing {
        Governing::BuiltIn => None,
        Governing::None => Some(Reason::NoPolicy),
        Governing::Conflict(first, second) => Some(Reason::PolicyConflict {
            first: first.name.clone(),
            second: second.name.clone(),
        }),
        Governing::Policy(policy) => policy.terms.is_err().then(|| Reason::PolicyRefused {
            policy: policy.name.clone(),
            faults: policy.faults(),
        }),
    }
}
