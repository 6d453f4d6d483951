//! Drains that something has kept waiting for minutes. A budget without room for some seconds is how a drain goes;
//! after minutes the team of the budget should know.

use std::collections::BTreeMap;

use bellwether_proto::{Blocker, DrainProgress, NodeEvent};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// How long a drain is kept waiting before a message: a rolling drain of replicas that take a minute to be ready is none.
pub(crate) const BLOCKED_AFTER: SignedDuration = SignedDuration::from_mins(3);

/// So many drains are watched; above the slots of any fleet.
const DRAINS_MAX: usize = 1000;

/// What keeps a drain waiting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Waiting {
    since: Timestamp,
    pub(crate) summary: String,
    pub(crate) detail: String,
}

impl Waiting {
    /// When it is worth a message.
    pub(crate) fn due(&self) -> Timestamp {
        self.since.checked_add(BLOCKED_AFTER).unwrap_or(Timestamp::MAX)
    }
}

/// The drains that something keeps waiting, by attempt. A drainer publishes its progress when that differs, so one event
/// may be all that there is: the message is due by time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Blocked(BTreeMap<String, Waiting>);

impl Blocked {
    /// Takes in the progress of a drain at this time.
    pub(crate) fn take(&mut self, event: &NodeEvent, at: Timestamp, progress: &DrainProgress) {
        let attempt = event.attempt.to_string();
        let Some(blocker) = progress.blockers.iter().find(|it| it.kind.is_obstacle()) else {
            self.0.remove(&attempt);
            return;
        };
        let since = self.0.get(&attempt).map_or(at, |it| it.since);
        if self.0.len() >= DRAINS_MAX && !self.0.contains_key(&attempt) {
            self.0.pop_first();
        }
        let waiting = Waiting {
            since,
            summary: format!("{}: the drain is blocked ({})", event.node, named(blocker)),
            detail: progress.held_up_by.first().cloned().unwrap_or_default(),
        };
        self.0.insert(attempt, waiting);
    }

    /// The drain is over.
    pub(crate) fn ended(&mut self, attempt: &str) {
        self.0.remove(attempt);
    }

    /// Forgets what is older: the event that ended the drain is lost.
    pub(crate) fn forget(&mut self, now: Timestamp, max_age: SignedDuration) {
        self.0.retain(|_, waiting| now.duration_since(waiting.since) <= max_age);
    }

    /// What keeps the drain of this attempt waiting.
    pub(crate) fn of(&self, attempt: &str) -> Option<&Waiting> {
        self.0.get(attempt)
    }

    /// All of them, with their attempts.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Waiting)> {
        self.0.iter().map(|(attempt, waiting)| (attempt.as_str(), waiting))
    }
}

fn named(blocker: &Blocker) -> String {
    match &blocker.budget {
        Some(budget) => format!("disruption budget {}/{}", budget.namespace, budget.name),
        None => blocker.kind.as_str().to_owned(),
    }
}
