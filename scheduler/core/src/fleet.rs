//! The fleet: all that the core knows, and the one place where it decides.
//!
//! The contract is that of a sans-IO state machine. [`Fleet::handle_input`] takes any number of
//! inputs, each of which touches its node; [`Fleet::advance`] decides on the nodes that were
//! touched or are due, once for all of them; [`Fleet::poll_effect`] gives the effects, which the driver carries out
//! in that order until there is none; [`Fleet::poll_timeout`] gives the one instant at which to
//! call [`Fleet::advance`] again though no input comes. The driver hands over every record,
//! node, rival and report before it first asks to decide: a fleet that is known in part must not be acted on.
//!
//! A decision costs by what changed, not by the size of the fleet.

mod attempts;
mod conditions;
mod decide;
mod differing;
mod drain_checks;
mod export;
mod intake;
mod member;
mod orders;
mod outlook;
mod policy_effects;
mod queues;
mod read;
mod readings;
mod rollout;
mod served;
mod service;
mod taints;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bellwether_proto::NodeName;
use jiff::Timestamp;

use crate::admission::{Blockers, Budget, PolicyBudgets, Queue};
use crate::condition::Conditions;
use crate::effect::Effect;
use crate::explain::Counts;
use crate::fleet::differing::Differing;
use crate::fleet::drain_checks::DrainChecks;
use crate::fleet::member::Member;
use crate::policy::Policy;
use crate::timers::Timers;

/// The deciding core. See the file's documentation for its contract.
#[derive(Debug, Clone)]
pub struct Fleet {
    policy: Policy,
    source: String,
    /// By name: a node, its reports, its attempt, and what is said of them.
    members: BTreeMap<NodeName, Member>,
    blockers: Blockers,
    budget: Budget,
    policy_budgets: PolicyBudgets,
    queue: Queue,
    timers: Timers,
    counts: Counts,
    /// The taint of nodes that wait: whether it has to be there.
    taints: Differing<bool>,
    /// The conditions of nodes.
    conditions: Differing<Conditions>,
    drain_checks: DrainChecks,
    /// Nodes on which something may have to be decided.
    touched: BTreeSet<NodeName>,
    /// When the first decision was made.
    resumed_at: Option<Timestamp>,
    /// When the last decision was made.
    decided_at: Option<Timestamp>,
    effects: VecDeque<Effect>,
}

impl Fleet {
    /// A fleet of which nothing is known yet. `source` is the source of its events.
    #[must_use]
    pub fn new(policy: Policy, source: String) -> Self {
        Self {
            blockers: Blockers {
                tolerate_rivals: policy.tolerate_rivals,
                ..Blockers::default()
            },
            budget: Budget::new(policy.slots),
            policy_budgets: PolicyBudgets::default(),
            policy,
            source,
            members: BTreeMap::new(),
            queue: Queue::default(),
            timers: Timers::default(),
            counts: Counts::default(),
            taints: Differing::default(),
            conditions: Differing::default(),
            drain_checks: DrainChecks::default(),
            touched: BTreeSet::new(),
            resumed_at: None,
            decided_at: None,
            effects: VecDeque::new(),
        }
    }

    /// The next effect to be carried out.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// When [`Self::advance`] has something to decide though no input comes: the smallest entry of
    /// the timer table. Right after a decision this is later than the decision; an input since then may be
    /// due at once, and so the driver decides after each input without asking for this.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        let order = self.blockers.orders.next_end();
        let reading = self.blockers.readings.next();
        let taint = self.decided_at.and_then(|at| self.taints.next_after(at));
        let check = self.decided_at.and_then(|at| self.drain_checks.next_after(at));
        let condition = self.decided_at.and_then(|at| self.conditions.next_after(at));
        [self.timers.first(), order, reading, taint, condition, check]
            .into_iter()
            .flatten()
            .min()
    }

    /// Has every node decided on again at the next [`Self::advance`]. Changes nothing by itself: a
    /// fleet that missed no change decides the same. For tests of just that.
    pub fn touch_all(&mut self) {
        self.touched.extend(self.members.keys().cloned());
    }

    fn touch(&mut self, node: &NodeName) {
        if !self.touched.contains(node) {
            self.touched.insert(node.clone());
        }
    }
}
