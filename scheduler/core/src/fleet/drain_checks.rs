//! The check whether a node can be drained: a drainer is asked right before the node would start.
//!
//! One node is asked about at a time, the first of the queue. Its answer counts beside the nodes that are drained then, so
//! answers about further nodes would be void once this one starts. A node that cannot be drained leaves the queue for a
//! while, by `admission::gate::drain`, and the next one is asked about.

use bellwether_proto::{Attempt, NodeName, Phase};
use jiff::{SignedDuration, Timestamp};

use crate::admission::{self, DrainCheck};
use crate::effect::Effect;
use crate::fleet::Fleet;
use crate::reading::{Outcome, Query, Slot};
use crate::timers::{Clock, later};

/// How long no further node is asked about after a drainer did not answer, or could not look: the next question would
/// hardly have another answer.
const REST: SignedDuration = SignedDuration::from_secs(5);

/// The checks of the fleet.
#[derive(Debug, Clone, Default)]
pub(super) struct DrainChecks {
    /// The question that has no answer yet.
    asked: Option<(NodeName, Timestamp)>,
    /// The newest answer was that none could be given: when it was asked for, and why.
    failed: Option<(Timestamp, String)>,
    /// When the last drain ended.
    ended_at: Timestamp,
}

/// What is known of the drain of a node at the head of the queue.
pub(super) enum Drainable {
    /// The node can be drained.
    Yes,
    /// A drainer has not answered yet, or is not to be asked yet.
    Awaited,
    /// A drainer has to be asked.
    Unknown,
}

impl DrainChecks {
    /// The clock was set back: what is to end would end too late, or never.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }

    /// When the next node may be asked about, if that is later than `now`.
    pub(super) fn next_after(&self, now: Timestamp) -> Option<Timestamp> {
        let lost_at = self.asked.iter().map(|(_, at)| later(*at, Slot::LOST_AFTER));
        let rested_at = self.failed.iter().map(|(at, _)| later(*at, REST));
        lost_at.chain(rested_at).max().filter(|at| *at > now)
    }

    /// Why no node can be checked at present.
    pub(super) fn failure(&self) -> Option<&str> {
        self.failed.as_ref().map(|(_, error)| error.as_str())
    }
}

impl Fleet {
    pub(super) fn drainable(&self, name: &NodeName, now: Timestamp) -> Drainable {
        let member = self.members.get(name);
        let node = member.and_then(|member| member.node.as_ref());
        let overrides = node.is_some_and(|node| admission::overrides_budgets(&self.blockers.policies.governing(node)));
        if overrides || !self.policy.check_drains {
            return Drainable::Yes;
        }
        let check = member.map(|member| &member.drain_check);
        let outcome = check.and_then(|check| check.slot.outcome(self.drain_checks.ended_at, &Clock::new(now)));
        // An answer that does not count with a node that is drained now is void, and so is one of before the end of a
        // drain: what that drain has used of a budget is not free at once.
        let counts = |check: &DrainCheck| self.draining().all(|other| check.counts_beside(other));
        match outcome {
            Some(Outcome::Open) if check.is_some_and(counts) => Drainable::Yes,
            _ if self.drain_checks.next_after(now).is_none() => Drainable::Unknown,
            _ => Drainable::Awaited,
        }
    }

    /// Has a drainer asked whether this node can be drained.
    pub(super) fn check_drain(&mut self, name: &NodeName, now: Timestamp) {
        let beside = self.draining().cloned().collect();
        let Some(member) = self.members.get_mut(name) else {
            return;
        };
        member.drain_check.slot.asked_at = Some(now);
        self.drain_checks.asked = Some((name.clone(), now));
        self.effects.push_back(Effect::Read {
            query: Query::Drain {
                node: name.clone(),
                beside,
            },
            asked_at: now,
        });
    }

    /// The drain of this node has ended: nodes that have waited for its budgets are asked about again.
    pub(super) fn note_end_of_drain(&mut self, ended: &NodeName, now: Timestamp) {
        self.drain_checks.ended_at = now;
        for (name, member) in &mut self.members {
            if member.drain_check.waits_for(ended) {
                member.drain_check = DrainCheck::default();
                self.touched.insert(name.clone());
            }
        }
    }

    /// Takes the answer to the question about a node.
    pub(super) fn take_drain_check(
        &mut self,
        name: &NodeName,
        beside: Vec<NodeName>,
        asked_at: Timestamp,
        outcome: Outcome,
    ) {
        let is_answer = |(node, at): &mut (NodeName, Timestamp)| node == name && *at == asked_at;
        let is_own = self.drain_checks.asked.take_if(is_answer).is_some();
        // An operator has looked, and found what is known or worse: the scheduler asks when it would have asked.
        if !is_own && outcome != Outcome::Open {
            return;
        }
        self.drain_checks.failed = match &outcome {
            Outcome::Failed(error) => Some((asked_at, error.clone())),
            Outcome::Open | Outcome::Shut(_) | Outcome::NotNow(_) | Outcome::DaemonPods(_) => None,
        };
        let is_over = matches!(outcome, Outcome::NotNow(_)) && !beside.iter().all(|other| self.is_draining(other));
        let Some(member) = self.members.get_mut(name) else {
            return;
        };
        if is_over {
            // A drain has ended meanwhile: the answer may be another one by now.
            member.drain_check = DrainCheck::default();
            self.touch(name);
        } else if member.drain_check.take(beside, asked_at, outcome) {
            self.touch(name);
        }
    }

    fn is_draining(&self, name: &NodeName) -> bool {
        self.attempt(name).is_some_and(is_draining)
    }
}

/// The pods of the attempt's node are being evicted, or may be.
pub(super) fn is_draining(attempt: &Attempt) -> bool {
    attempt.phase == Phase::Draining && attempt.drained_at.is_none()
}
