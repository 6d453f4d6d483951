//! Reboots of other nodes failed: of so many nodes of the policy, or of the node's cohort, that no further one starts
//! before an operator has looked.

use bellwether_policy::Governing;

use crate::admission::gate::{Blockers, Candidate};
use crate::admission::reason::Reason;
use crate::observed::NodeView;

pub(super) fn gate(candidate: &Candidate<'_>) -> Option<Reason> {
    stopped(candidate.governing, candidate.observation.node, candidate.blockers)
}

/// Why failed reboots stop a node; none if they do not. Asked again right before the reboot is ordered.
pub(super) fn stopped(governing: &Governing, node: &NodeView, blockers: &Blockers) -> Option<Reason> {
    let Governing::Policy(policy) = governing else {
        return None;
    };
    if let Some(stop) = blockers.failures.of_policy(&policy.name) {
        return Some(Reason::PolicyStopped {
            policy: policy.name.clone(),
            stop: stop.clone(),
        });
    }
    let mut cohorts = blockers.failures.of_cohorts(&policy.name);
    let (cohort, stop) = cohorts.find(|(cohort, _)| cohort.has(node))?;
    Some(Reason::CohortStopped {
        policy: policy.name.clone(),
        cohort: cohort.clone(),
        stop: stop.clone(),
    })
}
