//! What the state of a node means for the other nodes of its policy: failed reboots and canaries.

use std::sync::Arc;

use bellwether_policy::Governing;
use bellwether_proto::{Attempt, Phase};
use jiff::Timestamp;

use crate::admission::{Canary, Failure};
use crate::attempt;
use crate::explain::{Stand, State};
use crate::fleet::Fleet;
use crate::fleet::member::Member;

impl Fleet {
    /// The failed reboot of a node under the policy that governs the node now, and its state as a canary of that policy.
    pub(super) fn under_policy(
        &self,
        member: &Member,
        governing: &Governing,
        stand: Option<&Stand>,
    ) -> (Option<Failure>, Option<(Arc<str>, Canary)>) {
        let (Some(node), Some(stand)) = (&member.node, stand) else {
            return (None, None);
        };
        let attempt = member.attempt.as_deref();
        let failed = attempt.and_then(|attempt| attempt.failed_reboot);
        if failed.is_none() && !self.blockers.policies.have_canaries() {
            return (None, None);
        }
        let Governing::Policy(policy) = governing else {
            return (None, None);
        };
        let canaries = policy.terms.as_ref().ok().and_then(|terms| terms.canaries.as_ref());
        let is_canary = canaries.is_some_and(|canaries| canaries.selector.selects(&node.labels));
        let began = member
            .observation()
            .and_then(|observation| observation.need_began_at_latest());
        let skipped = began.filter(|_| stand.is_skipped());
        let canary = is_canary.then(|| (Arc::clone(&policy.name), canary(stand.state, attempt, skipped)));
        let kernel = attempt.map_or("", |attempt| &attempt.kernel_before);
        let failure = failed.map(|failed| Failure::new(node, kernel, Arc::clone(policy), failed));
        (failure, canary)
    }

    /// Has the nodes decided on again that wait, or drain and would have their reboot ordered next: other nodes stop
    /// them, or do not any more. Costs by the number of nodes, and is rare.
    pub(super) fn touch_those_before_the_order(&mut self) {
        let is_before = |member: &Member| {
            let state = member.stand.as_ref().map(|stand| stand.state);
            matches!(state, Some(State::Waiting | State::InProgress(Phase::Draining)))
        };
        let before = self.members.iter().filter(|(_, member)| is_before(member));
        self.touched.extend(before.map(|(name, _)| name.clone()));
    }
}

/// `skipped` is when the need began that an operator leaves unserved.
fn canary(state: State, attempt: Option<&Attempt>, skipped: Option<Timestamp>) -> Canary {
    if let Some(failed) = attempt.and_then(|attempt| attempt.failed_reboot) {
        return Canary::Failed(failed.cause);
    }
    match state {
        State::Waiting => skipped.map_or(Canary::Needs, Canary::Skipped),
        // A failed attempt that keeps its slot, or one that cannot be read, counts as one that has not ended.
        State::InProgress(_) | State::Failed => Canary::InAttempt,
        State::Unknown => Canary::Unknown,
        State::Idle => Canary::Rebooted(attempt.and_then(rebooted_at)),
    }
}

/// When the node came back from its last reboot, if that has ended well.
pub(super) fn back_at(attempt: &Attempt) -> Option<Timestamp> {
    let is_on_its_way = attempt.phase != Phase::Done && attempt::has_noted_reboot(attempt);
    rebooted_at(attempt).filter(|_| !is_on_its_way && attempt.failed_reboot.is_none())
}

/// When the node was back from its last reboot or, of a node with an attempt since, when that reboot began.
fn rebooted_at(attempt: &Attempt) -> Option<Timestamp> {
    if attempt.phase == Phase::Done {
        return Some(attempt.phase_since());
    }
    attempt.last_reboot.as_ref().map(|last| last.began_at)
}
