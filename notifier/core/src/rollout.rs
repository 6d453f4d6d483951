//! Attempts that belong together: one thread or one digest instead of a message for each node.
//!
//! Events name no rollout, so it is read off the times of the schedulers' events: an attempt belongs to the rollout whose
//! last event is less than the gap of the configuration away, or of which an attempt is in progress. Counted by attempt, so a step
//! that is published twice counts once.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// So many attempts are counted by their ids, above the nodes of any fleet; further ones are only mentioned.
const ATTEMPTS_MAX: usize = 10_000;

/// Names a rollout: the instant of its first event.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RolloutId(String);

impl RolloutId {
    fn begun(at: Timestamp) -> Self {
        Self(at.to_string())
    }

    /// Its text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// How an attempt stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Standing {
    UnderWay,
    Rebooted,
    Failed,
    Cancelled,
}

/// A rollout that has begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Rollout {
    begun_at: Timestamp,
    last_at: Timestamp,
    attempts: BTreeMap<String, Standing>,
    /// Users know that it is over.
    #[serde(default)]
    is_over: bool,
}

/// The rollout of now.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Rollouts {
    newest: Option<Rollout>,
}

impl Rollout {
    pub(crate) fn id(&self) -> RolloutId {
        RolloutId::begun(self.begun_at)
    }

    pub(crate) fn begun_at(&self) -> Timestamp {
        self.begun_at
    }

    pub(crate) fn last_at(&self) -> Timestamp {
        self.last_at
    }

    /// The attempt belongs to it.
    pub(crate) fn has(&self, attempt: &str) -> bool {
        self.attempts.contains_key(attempt)
    }

    fn count(&self, standing: Standing) -> usize {
        self.attempts.values().filter(|it| **it == standing).count()
    }

    /// One sentence about all of its attempts.
    pub(crate) fn summary(&self) -> String {
        let mut text = format!(
            "{} of {} nodes rebooted",
            self.count(Standing::Rebooted),
            self.attempts.len()
        );
        for (standing, word) in [
            (Standing::Failed, "failed"),
            (Standing::Cancelled, "cancelled"),
            (Standing::UnderWay, "still under way"),
        ] {
            let count = self.count(standing);
            if count > 0 {
                text.push_str(&format!(", {count} {word}"));
            }
        }
        if self.attempts.len() >= ATTEMPTS_MAX {
            text.push_str(", and more that are not counted");
        }
        text
    }

    /// True if an attempt has failed.
    pub(crate) fn has_failed(&self) -> bool {
        self.count(Standing::Failed) > 0
    }
}

impl Rollouts {
    /// Takes in an event about an attempt; returns its rollout. None: it is from before the rollout of now. `over_at`: when
    /// that is over without this event.
    pub(crate) fn take(
        &mut self,
        (at, over_at): (Timestamp, Option<Timestamp>),
        attempt: &str,
        standing: Standing,
        gap: SignedDuration,
    ) -> Option<RolloutId> {
        let begins = match &self.newest {
            None => true,
            Some(newest) if newest.begun_at.duration_since(at) > gap => return None,
            // What users know stays true. A late copy of an earlier step begins none.
            Some(newest) if newest.is_over => at > newest.last_at,
            Some(_) => over_at.is_some_and(|over_at| at >= over_at),
        };
        if begins {
            self.newest = Some(Rollout {
                begun_at: at,
                last_at: at,
                attempts: BTreeMap::new(),
                is_over: false,
            });
        }
        let newest = self.newest.as_mut()?;
        newest.last_at = newest.last_at.max(at);
        if newest.attempts.len() < ATTEMPTS_MAX || newest.attempts.contains_key(attempt) {
            let known = newest.attempts.entry(attempt.to_owned()).or_insert(standing);
            // A late copy of an earlier step changes no end; a failed attempt may still end well.
            if standing != Standing::UnderWay {
                *known = standing;
            }
        }
        Some(newest.id())
    }

    /// A target has the message that this rollout is over.
    pub(crate) fn ended(&mut self, id: &RolloutId) {
        if let Some(newest) = self.newest.as_mut().filter(|it| it.id() == *id) {
            newest.is_over = true;
        }
    }

    /// The rollout of now, if this attempt belongs to it.
    pub(crate) fn of(&self, attempt: &str) -> Option<RolloutId> {
        let newest = self.newest.as_ref()?;
        newest.has(attempt).then(|| newest.id())
    }

    /// The newest rollout, over or not.
    pub(crate) fn newest(&self) -> Option<&Rollout> {
        self.newest.as_ref()
    }
}
