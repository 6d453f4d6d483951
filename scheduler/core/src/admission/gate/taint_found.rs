//! The node has a taint with which its policy lets no node start.

use std::sync::Arc;

use bellwether_policy::Governing;

use crate::admission::gate::{Candidate, gates_of};
use crate::admission::reason::Reason;
use crate::observed::NodeView;

pub(super) fn gate(candidate: &Candidate<'_>) -> Option<Reason> {
    found(candidate.governing, candidate.observation.node)
}

/// The first taint of the node that shuts the gate. Asked again right before the reboot is ordered.
pub(super) fn found(governing: &Governing, node: &NodeView) -> Option<Reason> {
    let (policy, gates) = gates_of(governing)?;
    let shuts = |key: &str, effect: &str| gates.taints.iter().any(|gate| gate.matches(key, effect));
    let taint = node.taints.iter().find(|taint| shuts(&taint.key, &taint.effect))?;
    Some(Reason::TaintFound {
        policy: Arc::clone(policy),
        taint: format!("{}:{}", taint.key, taint.effect),
    })
}
