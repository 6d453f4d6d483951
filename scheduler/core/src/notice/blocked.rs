//! Drains that a blocker keeps from their end: one notice for each blocker of an attempt, once it has lasted.

use std::collections::{BTreeMap, BTreeSet};

use bellwether_proto::{Attempt, AttemptId, Blocker, Fact, Generation, NodeEvent, NodeName, NodeUid, Phase};
use jiff::{SignedDuration, Timestamp};

use crate::notice::kind::name;
use crate::notice::{Notice, NoticeAction, NoticeReason};
use crate::timers::later;

/// How long a blocker is normal: a pod that was evicted is usually replaced, and Ready, by then.
const BLOCKED_AFTER: SignedDuration = SignedDuration::from_secs(30);

/// The longest name of a budget within a notice's name, whose limit is 253 with the attempt and a namespace of 63.
const BUDGET_NAME_MAX: usize = 100;

/// The drains under way: at most as many as there are slots.
#[derive(Debug, Default)]
pub(super) struct BlockedDrains(BTreeMap<NodeName, BlockedDrain>);

#[derive(Debug)]
struct BlockedDrain {
    attempt: AttemptId,
    node_uid: NodeUid,
    /// Reports of an earlier generation are of a drain before this one.
    generation: Generation,
    /// By the end of the notice's name.
    blockers: BTreeMap<String, Lasting>,
    /// Those that were named: a blocker that comes back is no news.
    given: BTreeSet<String>,
}

#[derive(Debug)]
struct Lasting {
    blocker: Blocker,
    since: Timestamp,
}

impl BlockedDrains {
    /// Begins to look at a drain, or ends that.
    pub(super) fn follow(&mut self, attempt: &Attempt) {
        if attempt.phase != Phase::Draining || attempt.drained_at.is_some() {
            self.0.remove(&attempt.node);
        } else if self
            .0
            .get(&attempt.node)
            .is_none_or(|drain| drain.attempt != attempt.id)
        {
            let drain = BlockedDrain {
                attempt: attempt.id,
                node_uid: attempt.node_uid.clone(),
                generation: attempt.generation,
                blockers: BTreeMap::new(),
                given: BTreeSet::new(),
            };
            self.0.insert(attempt.node.clone(), drain);
        } else if let Some(drain) = self.0.get_mut(&attempt.node) {
            drain.generation = attempt.generation;
        }
    }

    /// Notes the blockers that a drainer reports. One that it does not report any more is forgotten.
    pub(super) fn note(&mut self, event: &NodeEvent, now: Timestamp) {
        let Fact::DrainProgressed(progress) = &event.fact else {
            return;
        };
        let drain = self.0.get_mut(&event.node);
        let is_of = |drain: &&mut BlockedDrain| drain.attempt == event.attempt && drain.generation == event.generation;
        let Some(drain) = drain.filter(is_of) else {
            return;
        };
        let mut before = std::mem::take(&mut drain.blockers);
        for blocker in progress.blockers.iter().filter(|blocker| blocker.kind.is_obstacle()) {
            let key = key(blocker);
            // A drainer's clock may be ahead.
            let reported = event.at.min(now);
            let since = before.remove(&key).map_or(reported, |lasting| lasting.since);
            let blocker = blocker.clone();
            drain.blockers.insert(key, Lasting { blocker, since });
        }
    }

    /// Gives the notices that are due.
    pub(super) fn due(&mut self, now: Timestamp) -> Vec<Notice> {
        let mut due = Vec::new();
        for (node, drain) in &mut self.0 {
            for (key, lasting) in &drain.blockers {
                if later(lasting.since, BLOCKED_AFTER) <= now && drain.given.insert(key.clone()) {
                    due.push(Notice {
                        name: name(drain.attempt, &format!("blocked-{key}")),
                        node: node.clone(),
                        node_uid: drain.node_uid.clone(),
                        at: now,
                        reason: NoticeReason::DrainStalled,
                        action: NoticeAction::Drain,
                        message: format!("The drain is blocked: {}", lasting.blocker),
                    });
                }
            }
        }
        due
    }
}

/// Names a blocker within its attempt.
fn key(blocker: &Blocker) -> String {
    let kind = blocker.kind.as_str().to_lowercase();
    match &blocker.budget {
        None => kind,
        Some(budget) => {
            let short: String = budget.name.chars().take(BUDGET_NAME_MAX).collect();
            let key = format!("{kind}.{}.{short}", budget.namespace);
            key.trim_end_matches(['.', '-']).to_owned()
        }
    }
}
