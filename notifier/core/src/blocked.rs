//! Drains that something has kept waiting for minutes. A budget without room for some seconds is how a drain goes;
//! after minutes the team of the budget should know.

use std::collections::{BTreeMap, BTreeSet};

use bellwether_proto::{Blocker, DrainProgress, NodeEvent};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// So many drains are watched; above the slots of any fleet.
const DRAINS_MAX: usize = 1000;

/// More obstacles in one line are no line.
const NAMED_MAX: usize = 5;

/// What keeps a drain waiting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Waiting {
    since: Timestamp,
    pub(crate) summary: String,
    pub(crate) detail: String,
    /// Who answers for the pods that keep the drain waiting, each with the time since when.
    #[serde(default)]
    owners: BTreeMap<String, Timestamp>,
}

impl Waiting {
    /// When it is worth a message, each time with the owners for whom it is: the first time of the drain, and later ones of owners
    /// whose pods have kept the drain waiting only since then.
    pub(crate) fn dues(&self, blocked_after: SignedDuration) -> BTreeMap<Timestamp, BTreeSet<String>> {
        let due = |since: Timestamp| since.checked_add(blocked_after).unwrap_or(Timestamp::MAX);
        let mut dues = BTreeMap::from([(due(self.since), BTreeSet::new())]);
        for (owner, since) in &self.owners {
            dues.entry(due(*since)).or_default().insert(owner.clone());
        }
        dues
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
        let before = self.0.remove(&attempt);
        let obstacles: Vec<&Blocker> = obstacles(progress).collect();
        if obstacles.is_empty() {
            return;
        }
        if self.0.len() >= DRAINS_MAX {
            self.0.pop_first();
        }
        let since_before = |owner: &str| before.as_ref().and_then(|before| before.owners.get(owner)).copied();
        let owners = owners(progress).into_iter().map(|owner| {
            let since = since_before(&owner).unwrap_or(at);
            (owner, since)
        });
        let waiting = Waiting {
            since: before.as_ref().map_or(at, |before| before.since),
            summary: format!("{}: the drain is blocked ({})", event.node, listed(&obstacles)),
            detail: progress.held_up_by.first().cloned().unwrap_or_default(),
            owners: owners.collect(),
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

/// The blockers that do not pass by themselves.
fn obstacles(progress: &DrainProgress) -> impl Iterator<Item = &Blocker> {
    progress.blockers.iter().filter(|blocker| blocker.kind.is_obstacle())
}

/// Who answers for the pods that block the drain.
pub(crate) fn owners(progress: &DrainProgress) -> BTreeSet<String> {
    let owners = obstacles(progress).flat_map(|blocker| &blocker.namespace_owners);
    owners.cloned().collect()
}

fn listed(obstacles: &[&Blocker]) -> String {
    let (first, more) = obstacles.split_at(obstacles.len().min(NAMED_MAX));
    let first = first
        .iter()
        .map(|blocker| named(blocker))
        .collect::<Vec<_>>()
        .join("; ");
    match more.len() {
        0 => first,
        more => format!("{first}; and {more} more"),
    }
}

fn named(blocker: &Blocker) -> String {
    let reason = match &blocker.budget {
        Some(budget) => format!("disruption budget {}/{}", budget.namespace, budget.name),
        None => blocker.kind.as_str().to_owned(),
    };
    match blocker.namespace_owners.join(", ") {
        owners if owners.is_empty() => reason,
        owners => format!("{reason} of {owners}"),
    }
}
