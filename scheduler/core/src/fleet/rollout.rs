//! Which attempts belong together, for their traces. Nothing is decided by this.

use bellwether_proto::{Attempt, TraceParent};
use jiff::Timestamp;

use crate::attempt;
use crate::fleet::Fleet;
use crate::observed::NodeView;
use crate::policy::Policy;
use crate::timers::later;

impl Fleet {
    /// The attempt before in the rollout of this node's policy: the one that has ended last, also of the same node. None if the last one
    /// ended longer ago than a rollout pauses.
    ///
    /// All nodes are looked at once for each attempt, in their records alone; the policy only of those that ended in time.
    pub(super) fn previous_of(&self, node: &NodeView, now: Timestamp) -> Option<TraceParent> {
        let policy = self.blockers.policies.name_for(node);
        let of_policy = self.members.values().filter_map(|member| {
            let attempt = member.attempt.as_deref()?;
            let ended = ended_at(attempt).filter(|ended| now <= later(*ended, Policy::ROLLOUT_PAUSE))?;
            let is_same = self.blockers.policies.name_for(member.node.as_ref()?) == policy;
            is_same.then_some((ended, attempt))
        });
        let last = of_policy.max_by_key(|(ended, _)| *ended);
        last.map(|(_, attempt)| attempt.trace)
    }
}

/// When an attempt to reboot its node ended; none: it is under way.
fn ended_at(attempt: &Attempt) -> Option<Timestamp> {
    let has_ended = attempt.phase.is_ended() && attempt::is_for_reboot(attempt);
    has_ended.then(|| attempt.phase_since())
}
