//! The other servers of the world: the answers to what the core asks them.

use bellwether_scheduler_core::Input;
use bellwether_scheduler_core::reading::{Outcome, Query};

use crate::world::World;

impl World {
    /// Every listing of pods of DaemonSets that waits has this outcome.
    pub(crate) fn list_with(&mut self, outcome: &Outcome) {
        for (query, asked_at) in std::mem::take(&mut self.listings) {
            self.give(Input::Reading {
                query,
                asked_at,
                outcome: outcome.clone(),
            });
        }
        self.decide();
    }

    /// The question about a drain that waits has this answer.
    pub(crate) fn answer_drain_with(&mut self, outcome: &Outcome) {
        self.give_drain_answer(outcome);
        self.decide();
    }

    /// Hands the answer over, and decides nothing.
    pub(crate) fn give_drain_answer(&mut self, outcome: &Outcome) {
        for (query, asked_at) in std::mem::take(&mut self.drain_questions) {
            if let Query::Drain { node, beside } = &query {
                match outcome {
                    Outcome::Open => self.drainable_beside.insert(node.clone(), beside.clone()),
                    Outcome::Shut(_) | Outcome::NotNow(_) | Outcome::Failed(_) | Outcome::DaemonPods(_) => {
                        self.drainable_beside.remove(node)
                    }
                };
            }
            self.give(Input::Reading {
                query,
                asked_at,
                outcome: outcome.clone(),
            });
        }
    }

    /// Every query that waits has this outcome.
    pub(crate) fn answer_with(&mut self, outcome: &Outcome) {
        for (query, asked_at) in std::mem::take(&mut self.asked) {
            self.outcomes.insert(query.clone(), (asked_at, outcome.clone()));
            self.give(Input::Reading {
                query,
                asked_at,
                outcome: outcome.clone(),
            });
        }
        self.decide();
    }
}
