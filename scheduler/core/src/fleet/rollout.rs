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
    /// All nodes are looked at once for each attempt, in their records alone; the policy, which compares labels, only of those that
    /// ended last, until one is of this policy.
    pub(super) fn previous_of(&self, node: &NodeView, now: Timestamp) -> Option<TraceParent> {
        let policy = self.blockers.policies.name_for(node);
        let ended = self.members.values().filter_map(|member| {
            let attempt = member.attempt.as_deref()?;
            let ended = ended_at(attempt).filter(|ended| now <= later(*ended, Policy::ROLLOUT_PAUSE))?;
            Some((ended, (member.node.as_ref()?, attempt)))
        });
        let is_of_policy = |(node, _): &(&NodeView, &Attempt)| self.blockers.policies.name_for(node) == policy;
        let last = last_that_fits(ended.collect(), is_of_policy);
        last.map(|(_, attempt)| attempt.trace)
    }
}

/// The one with the latest time that fits. Looks at an earlier one only if no later one fits.
fn last_that_fits<T>(mut all: Vec<(Timestamp, T)>, mut fits: impl FnMut(&T) -> bool) -> Option<T> {
    all.sort_by_key(|(at, _)| *at);
    all.into_iter().rev().map(|(_, one)| one).find(|one| fits(one))
}

/// When an attempt to reboot its node ended; none: it is under way.
fn ended_at(attempt: &Attempt) -> Option<Timestamp> {
    let has_ended = attempt.phase.is_ended() && attempt::is_for_reboot(attempt);
    has_ended.then(|| attempt.phase_since())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_attempts_are_compared_than_ended_after_the_last_one_of_the_policy() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let all: Vec<(Timestamp, i64)> = (0..1000).map(|second| (at(second), second)).collect();
        let mut compared = 0;
        let last = last_that_fits(all, |second| {
            compared += 1;
            *second < 998
        });
        assert_eq!((last, compared), (Some(997), 3));
    }
}
