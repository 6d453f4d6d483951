//! The policy demands an operator's approval, and there is none.

use bellwether_policy::Approval;

use crate::admission::gate::Candidate;
use crate::admission::reason::Reason;
use crate::observed::AnnotatedKind;

pub(super) fn gate(candidate: &Candidate<'_>) -> Option<Reason> {
    let (policy, terms) = candidate.terms()?;
    let (node, clock) = (candidate.observation.node, candidate.clock);
    let orders = &candidate.blockers.orders;
    if terms.approval != Approval::Manual || orders.is_approved(&node.name, Some(&policy.name), clock) {
        return None;
    }
    let annotation = match node.annotated(AnnotatedKind::Approve) {
        Some(order) => Some(order.approval_refused(clock)?),
        None => None,
    };
    Some(Reason::NotApproved {
        policy: policy.name.clone(),
        node: node.name.clone(),
        annotation,
    })
}
