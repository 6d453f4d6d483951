//! The node has a condition with which its policy lets no node start.

use std::sync::Arc;

use bellwether_policy::Governing;

use crate::admission::gate::{Candidate, gates_of};
use crate::admission::reason::Reason;
use crate::observed::NodeView;

pub(super) fn gate(candidate: &Candidate<'_>) -> Option<Reason> {
    found(candidate.governing, candidate.observation.node)
}

/// The first condition of the node that shuts the gate. Asked again right before the reboot is ordered.
pub(super) fn found(governing: &Governing, node: &NodeView) -> Option<Reason> {
    let (policy, gates) = gates_of(governing)?;
    let has = |type_: &str, status: &str| node.conditions.get(type_).is_some_and(|found| found.status == status);
    let mut conditions = gates.conditions.iter();
    let gate = conditions.find(|gate| has(&gate.type_, &gate.status))?;
    Some(Reason::ConditionFound {
        policy: Arc::clone(policy),
        condition: gate.to_string(),
    })
}
