//! The policy's canaries reboot first: until each one that needs a reboot has had it, and for some time after, no other
//! node starts.

use bellwether_policy::Governing;

use crate::admission::canaries::Trial;
use crate::admission::gate::{Blockers, Candidate};
use crate::admission::reason::Reason;
use crate::observed::NodeView;
use crate::policy::Policy;
use crate::timers::later;

pub(super) fn gate(candidate: &Candidate<'_>) -> Option<Reason> {
    let Candidate { blockers, clock, .. } = *candidate;
    let node = candidate.observation.node;
    if let Some(reason) = failed(candidate.governing, node, blockers) {
        return Some(reason);
    }
    // An order to reboot the node now goes before the order of the policy.
    if candidate.is_urgent() {
        return None;
    }
    let (policy, terms) = candidate.terms()?;
    let canaries = terms.canaries.as_ref()?;
    if canaries.selector.selects(&node.labels) {
        return None;
    }
    let policy = policy.name.clone();
    let last = match blockers.canaries.of_policy(&policy) {
        None => return Some(Reason::NoCanary { policy }),
        Some(Trial::Failed(canary, cause)) => {
            let (canary, cause) = (canary.clone(), *cause);
            return Some(Reason::CanaryFailed { policy, canary, cause });
        }
        Some(Trial::Running(canary, state)) => {
            let (canary, state) = (canary.clone(), *state);
            return Some(Reason::CanaryFirst { policy, canary, state });
        }
        Some(Trial::Skipped(canary)) => {
            let canary = canary.clone();
            return Some(Reason::CanarySkipped { policy, canary });
        }
        Some(Trial::Passed(last)) => *last,
    };
    let soaked = last.map(|last| later(last, canaries.soak));
    // The canaries may get the update of this node, and report their need, a little later than this node.
    let sentinel = candidate.observation.sentinel?;
    let since = sentinel.by_server_clock(candidate.need.first_since);
    let head_start = (since <= sentinel.stored_at).then(|| later(since, canaries.soak.min(Policy::CANARY_HEAD_START)));
    let until = soaked.max(head_start)?;
    (!clock.reached(until)).then_some(Reason::CanarySoaking { policy, until })
}

/// The failed canary that stops a node; none if there is none. Asked again right before the reboot is ordered.
pub(super) fn failed(governing: &Governing, node: &NodeView, blockers: &Blockers) -> Option<Reason> {
    let Governing::Policy(policy) = governing else {
        return None;
    };
    match blockers.canaries.of_policy(&policy.name)? {
        Trial::Failed(canary, cause) if *canary != node.name => Some(Reason::CanaryFailed {
            policy: policy.name.clone(),
            canary: canary.clone(),
            cause: *cause,
        }),
        Trial::Failed(..) | Trial::Running(..) | Trial::Skipped(_) | Trial::Passed(_) => None,
    }
}
