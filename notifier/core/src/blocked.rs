//! Drains that something has kept waiting for minutes. A budget without room for some seconds is how a drain goes;
//! after minutes the team of the budget should know.

use std::collections::BTreeMap;

use bellwether_proto::{AttemptId, Blocker, BlockerKind, DrainProgress, NodeEvent};
use jiff::{SignedDuration, Timestamp};

use crate::news::News;
use crate::notification::Kind;

/// How long a drain is kept waiting before a message: a rolling drain of replicas that take a minute to be ready is none.
pub(crate) const BLOCKED_AFTER: SignedDuration = SignedDuration::from_mins(3);

/// So many drains are watched; above the slots of any fleet.
const DRAINS_MAX: usize = 1000;

/// Since when each drain is kept waiting. In memory only: after a restart the time begins again.
#[derive(Debug, Default)]
pub(crate) struct Blocked(BTreeMap<AttemptId, Timestamp>);

impl Blocked {
    /// The message about this progress of a drain, if something has kept the drain waiting for long.
    pub(crate) fn of(&mut self, event: &NodeEvent, progress: &DrainProgress) -> Option<News> {
        let Some(blocker) = progress.blockers.iter().find(|it| is_obstacle(it.kind)) else {
            self.0.remove(&event.attempt);
            return None;
        };
        if self.0.len() >= DRAINS_MAX && !self.0.contains_key(&event.attempt) {
            self.0.pop_first();
        }
        let since = *self.0.entry(event.attempt).or_insert(event.at);
        if event.at.duration_since(since) < BLOCKED_AFTER {
            return None;
        }
        Some(News {
            kind: Kind::DrainBlocked,
            summary: format!("{}: the drain is blocked ({})", event.node, named(blocker)),
            detail: progress.held_up_by.first().cloned().unwrap_or_default(),
        })
    }

    /// The drain is over.
    pub(crate) fn ended(&mut self, attempt: AttemptId) {
        self.0.remove(&attempt);
    }
}

/// True for what a team outside of Bellwether has to remove.
fn is_obstacle(kind: BlockerKind) -> bool {
    match kind {
        BlockerKind::Budget
        | BlockerKind::SeveralBudgets
        | BlockerKind::Webhook
        | BlockerKind::Stuck
        | BlockerKind::EvictionFailed
        | BlockerKind::Volume => true,
        BlockerKind::Look
        | BlockerKind::Rest
        | BlockerKind::Returning
        | BlockerKind::Grace
        | BlockerKind::Turn
        | BlockerKind::Unknown(_) => false,
    }
}

fn named(blocker: &Blocker) -> String {
    match &blocker.budget {
        Some(budget) => format!("disruption budget {}/{}", budget.namespace, budget.name),
        None => blocker.kind.as_str().to_owned(),
    }
}
