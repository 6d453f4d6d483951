//! Pods that go whatever the budgets say, since the time of the drain ends (D32, D50).
//!
//! With [`AfterTimeout::Force`] pods are deleted. With [`AfterTimeout::Proceed`] pods that no budget keeps, and that would
//! wait for those that one does, are evicted: the reboot would end them without a grace. Each pod so early that its own
//! grace ends before the drain has to; and not in the first half of the drain, which belongs to the budgets whatever a
//! pod's grace is.

use bellwether_proto::{AfterTimeout, DrainTerms};
use jiff::{SignedDuration, Timestamp};

use crate::pod::NodePod;

/// Time after a pod's grace for the kubelet to end the pod, and for the proof that the node is empty.
const RESERVE: SignedDuration = SignedDuration::from_secs(60);
/// How many pods one sentence names.
const NAMES_MAX: usize = 5;

/// The end of a drain's time, before which pods go whatever the budgets say.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline {
    /// They are deleted; else evicted.
    pub(super) deletes: bool,
    not_before: Timestamp,
    not_after: Timestamp,
}

impl Deadline {
    /// Of a drain with these terms, which began and has to end at these instants; none: each pod waits for the budgets to the end.
    pub(crate) fn of(terms: &DrainTerms, began_at: Timestamp, not_after: Timestamp) -> Option<Self> {
        let deletes = match terms.after_timeout {
            AfterTimeout::Restore | AfterTimeout::Hold => return None,
            AfterTimeout::Proceed => false,
            AfterTimeout::Force => true,
        };
        let half = not_after.duration_since(began_at).checked_div(2).unwrap_or_default();
        // A begin after the end was noted by another clock: then no pod goes before the end.
        let not_before = not_after
            .checked_sub(half.max(SignedDuration::ZERO))
            .unwrap_or(not_after);
        Some(Self {
            deletes,
            not_before,
            not_after,
        })
    }

    /// When the pod goes if its eviction has not been accepted by then.
    pub(super) fn due_at(&self, pod: &NodePod) -> Timestamp {
        let grace = SignedDuration::try_from(pod.facts.grace).unwrap_or(SignedDuration::MAX);
        let needs = grace.saturating_add(RESERVE);
        let own = self.not_after.checked_sub(needs).unwrap_or(Timestamp::MIN);
        own.max(self.not_before)
    }
}

/// The pods that were deleted so, for the sentence about them.
#[derive(Debug, Default)]
pub(super) struct Forced {
    names: Vec<String>,
    more: usize,
}

impl Forced {
    /// The API server has accepted that the pod is deleted.
    pub(super) fn add(&mut self, pod: &str) {
        if self.names.len() < NAMES_MAX {
            self.names.push(pod.to_owned());
        } else {
            self.more = self.more.saturating_add(1);
        }
    }

    /// The sentence for operators; empty if there are none.
    pub(super) fn sentence(&self) -> String {
        if self.names.is_empty() {
            return String::new();
        }
        let more = match self.more {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        format!(
            "deleted whatever their budgets say, as the policy of the node demands: {}{more}",
            self.names.join(", ")
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::tests::pod_with_grace;
    use crate::plan::turns_tests::{Drain, blocked, pod};

    #[test]
    fn d32_a_pod_is_deleted_in_time_for_its_own_grace_and_not_in_the_first_half() {
        let terms = DrainTerms {
            after_timeout: AfterTimeout::Force,
            timeout: None,
            ..DrainTerms::default()
        };
        let deadline = Deadline::of(&terms, at(0), at(1800)).unwrap();
        assert_eq!(deadline.due_at(&pod_with_grace(30)), at(1800 - 30 - 60));
        assert_eq!(deadline.due_at(&pod_with_grace(600)), at(1800 - 600 - 60));
        assert_eq!(deadline.due_at(&pod_with_grace(7200)), at(900));
        assert_eq!(deadline.due_at(&pod_with_grace(u64::MAX)), at(900));
    }

    #[test]
    fn d50_without_the_terms_no_pod_is_deleted() {
        for after_timeout in [AfterTimeout::Restore, AfterTimeout::Hold, AfterTimeout::Proceed] {
            let terms = DrainTerms {
                after_timeout,
                timeout: None,
                ..DrainTerms::default()
            };
            let deletes = Deadline::of(&terms, at(0), at(1800)).is_some_and(|deadline| deadline.deletes);
            assert!(!deletes, "{after_timeout:?}");
        }
    }

    #[test]
    fn d50_before_a_reboot_with_pods_left_those_that_no_budget_keeps_are_evicted_in_time_for_their_grace() {
        for (after_timeout, goes) in [(AfterTimeout::Restore, false), (AfterTimeout::Proceed, true)] {
            let terms = DrainTerms {
                after_timeout,
                ..DrainTerms::default()
            };
            let mut drain = Drain::new(&[("web", 0, 1)]);
            drain.plan = drain.plan.ending_by(Deadline::of(&terms, at(0), at(1800)));
            let pods = [pod("free-0"), pod("web-0")];
            assert_eq!(drain.evict(0, &pods), ["web-0"]);
            drain.answered(0, "web-0", blocked());
            assert_eq!(drain.evict(1709, &pods), ["web-0"], "the budget is probed");
            drain.answered(1709, "web-0", blocked());
            let evicted = drain.evict(1710, &pods);
            assert_eq!(evicted.contains(&"free-0".to_owned()), goes, "{after_timeout:?}");
            assert!(drain.step(1710, &pods).delete.is_empty());
        }
    }

    #[test]
    fn a_sentence_names_five_pods_and_counts_the_others() {
        let mut forced = Forced::default();
        assert_eq!(forced.sentence(), "");
        for number in 0..7 {
            forced.add(&format!("shop/web-{number}"));
        }
        let sentence = forced.sentence();
        assert!(sentence.ends_with("shop/web-4 and 2 more"), "{sentence}");
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }
}
