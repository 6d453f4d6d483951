//! The policy demands an operator's approval, and there is none.

use bellwether_policy::Approval;

use crate::admission::gate::Candidate;
use crate::admission::reason::Reason;

pub(super) fn gate(candidate: &Candidate<'_>) -> Option<Reason> {
    let (policy, terms) = candidate.terms()?;
    let node = &candidate.observation.node.name;
    let orders = &candidate.blockers.orders;
    let is_missing =
        terms.approval == Approval::Manual && !orders.is_approved(node, Some(&policy.name), candidate.clock);
    is_missing.then(|| Reason::NotApproved {
        policy: policy.name.clone(),
        node: node.clone(),
    })
}
