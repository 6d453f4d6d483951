//! Drains that something has kept waiting for minutes. A budget without room for some seconds is how a drain goes;
//! after minutes the team of the budget should know.

use std::collections::{BTreeMap, BTreeSet};

use bellwether_proto::{Blocker, BlockerKind, DrainProgress, NodeEvent};
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
    node: String,
    obstacles: Vec<Obstacle>,
    /// Of the first obstacle.
    detail: String,
    /// Who answers for the pods that keep the drain waiting, each with the time since when.
    owners: BTreeMap<String, Timestamp>,
}

/// A blocker that does not pass by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Obstacle {
    name: String,
    owners: BTreeSet<String>,
}

/// When a drain is worth a message, and to which owners.
#[derive(Debug)]
pub(crate) struct Due {
    pub(crate) at: Timestamp,
    /// Those whose time it is.
    pub(crate) owners: BTreeSet<String>,
    pub(crate) summary: String,
    pub(crate) detail: String,
}

impl Waiting {
    /// When it is worth a message: the first time of the drain, and later ones of owners whose pods have kept the drain waiting
    /// only since then.
    pub(crate) fn dues(&self, blocked_after: SignedDuration) -> impl Iterator<Item = Due> {
        let due = |since: Timestamp| since.checked_add(blocked_after).unwrap_or(Timestamp::MAX);
        let mut dues = BTreeMap::from([(due(self.since), BTreeSet::new())]);
        for (owner, since) in &self.owners {
            dues.entry(due(*since)).or_default().insert(owner.clone());
        }
        dues.into_iter().map(|(at, owners)| Due {
            at,
            summary: format!("{}: the drain is blocked ({})", self.node, self.listed(&owners)),
            detail: self.detail_for(&owners).to_owned(),
            owners,
        })
    }

    /// What the drainer reports first, unless that is another owner's matter.
    pub(crate) fn detail_for(&self, owners: &BTreeSet<String>) -> &str {
        let first = self.obstacles.first();
        let is_theirs = owners.is_empty() || first.is_some_and(|first| !first.owners.is_disjoint(owners));
        if is_theirs { &self.detail } else { "" }
    }

    /// Those of these owners first.
    fn listed(&self, owners: &BTreeSet<String>) -> String {
        let mut obstacles: Vec<&Obstacle> = self.obstacles.iter().collect();
        // Stable.
        obstacles.sort_by_key(|obstacle| obstacle.owners.is_disjoint(owners));
        let (first, more) = obstacles.split_at(obstacles.len().min(NAMED_MAX));
        let first = first.iter().map(|it| it.name.as_str()).collect::<Vec<_>>().join("; ");
        match more.len() {
            0 => first,
            more => format!("{first}; and {more} more"),
        }
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
        let Some(owners) = owners(progress) else { return };
        let before = self.0.remove(&attempt);
        let obstacles: Vec<Obstacle> = obstacles(progress).map(Obstacle::of).collect();
        if obstacles.is_empty() {
            return;
        }
        if self.0.len() >= DRAINS_MAX {
            self.0.pop_first();
        }
        let waiting = Waiting {
            since: before.as_ref().map_or(at, |before| before.since),
            node: event.node.to_string(),
            obstacles,
            detail: progress.held_up_by.first().cloned().unwrap_or_default(),
            owners: continued(before.as_ref().map(|before| &before.owners), owners, at),
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

impl Obstacle {
    fn of(blocker: &Blocker) -> Self {
        Self {
            name: named(blocker),
            owners: blocker.namespace_owners.iter().cloned().collect(),
        }
    }
}

/// The blockers that do not pass by themselves.
fn obstacles(progress: &DrainProgress) -> impl Iterator<Item = &Blocker> {
    progress.blockers.iter().filter(|blocker| blocker.kind.is_obstacle())
}

/// Who answers for the pods that block the drain. None: the drainer cannot look or evicts nothing for now, so what blocked before
/// may block still.
pub(crate) fn owners(progress: &DrainProgress) -> Option<BTreeSet<String>> {
    let is_unknown = progress
        .blockers
        .iter()
        .any(|it| matches!(it.kind, BlockerKind::Look | BlockerKind::Rest));
    if is_unknown && obstacles(progress).next().is_none() {
        return None;
    }
    let owners = obstacles(progress).flat_map(|blocker| &blocker.namespace_owners);
    Some(owners.cloned().collect())
}

/// The owners of now, each with the time since when.
pub(crate) fn continued(
    before: Option<&BTreeMap<String, Timestamp>>,
    now: BTreeSet<String>,
    at: Timestamp,
) -> BTreeMap<String, Timestamp> {
    let since = |owner: &str| before.and_then(|before| before.get(owner)).copied().unwrap_or(at);
    let owners = now.into_iter().map(|owner| {
        let since = since(&owner);
        (owner, since)
    });
    owners.collect()
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
