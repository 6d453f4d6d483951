//! The fleet: all that the core knows, and the one place where it decides.
//!
//! `handle_*` take facts and decide nothing about others; [`Fleet::advance`] decides, once for
//! any number of facts. The driver feeds every node, report and record before it first calls
//! it: a fleet that is known in part must not be acted on.

mod decide;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bellwether_proto::{Attempt, Cause, Fact, FleetControl, HostReport, NodeEvent, NodeName, Phase, RebooterReport};
use jiff::Timestamp;

use crate::admission::budget::Holder;
use crate::admission::reason::Reason;
use crate::admission::{budget as slot, reason as gate};
use crate::attempt::phases::{self as machine, Move};
use crate::effect::Effect;
use crate::explain::standing::Standing;
use crate::observed::node::{Heard, NodeView};
use crate::policy::{Policy, later};
use crate::rival::Rival;

/// An order of a person that cannot be carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OrderError {
    /// There is no such node.
    #[error("there is no node {0}")]
    UnknownNode(NodeName),
    /// The node has nothing that could be cancelled.
    #[error("node {0} has no attempt that is running or holds a slot")]
    NoAttempt(NodeName),
    /// The reboot cannot be taken back.
    #[error("node {node} is {}: its reboot cannot be taken back; it is verified and uncordoned as usual", phase.as_str())]
    TooLate {
        /// The node.
        node: NodeName,
        /// Where its attempt is.
        phase: Phase,
    },
}

/// Pods of a drain, as last told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DrainProgress {
    /// Pods that still have to go.
    pub pods_left: u32,
    /// Pods that are gone.
    pub pods_gone: u32,
    /// What holds it up.
    pub held_up_by: Vec<String>,
}

/// The deciding core. See the crate's documentation.
#[derive(Debug)]
pub struct Fleet {
    pub(crate) policy: Policy,
    pub(crate) source: String,
    pub(crate) control: Option<FleetControl>,
    pub(crate) nodes: BTreeMap<NodeName, NodeView>,
    pub(crate) sentinels: BTreeMap<NodeName, Heard<HostReport>>,
    pub(crate) rebooters: BTreeMap<NodeName, Heard<RebooterReport>>,
    pub(crate) rivals: BTreeSet<Rival>,
    pub(crate) attempts: BTreeMap<NodeName, Attempt>,
    pub(crate) unreadable: BTreeMap<NodeName, String>,
    pub(crate) drains: BTreeMap<NodeName, DrainProgress>,
    pub(crate) standings: BTreeMap<NodeName, Standing>,
    pub(crate) reminders: BTreeMap<NodeName, Timestamp>,
    pub(crate) resumed_at: Option<Timestamp>,
    pub(crate) effects: VecDeque<Effect>,
}

impl Fleet {
    /// A fleet with the records that are stored, and nothing else known yet. `source` is who
    /// the events are said to come from.
    #[must_use]
    pub fn new(
        policy: Policy,
        source: String,
        attempts: impl IntoIterator<Item = Attempt>,
        control: Option<FleetControl>,
    ) -> Self {
        Self {
            policy,
            source,
            control,
            nodes: BTreeMap::new(),
            sentinels: BTreeMap::new(),
            rebooters: BTreeMap::new(),
            rivals: BTreeSet::new(),
            unreadable: BTreeMap::new(),
            attempts: attempts
                .into_iter()
                .map(|attempt| (attempt.node.clone(), attempt))
                .collect(),
            drains: BTreeMap::new(),
            standings: BTreeMap::new(),
            reminders: BTreeMap::new(),
            resumed_at: None,
            effects: VecDeque::new(),
        }
    }

    /// A record that is stored cannot be read: its node is left alone, and keeps its slot.
    pub fn handle_unreadable(&mut self, node: NodeName, problem: String) {
        self.unreadable.insert(node, problem);
    }

    // What is: facts from the driver.

    /// A node is there, or has changed.
    pub fn handle_node(&mut self, node: NodeView) {
        self.nodes.insert(node.name.clone(), node);
    }

    /// A node is gone.
    pub fn handle_node_gone(&mut self, node: &NodeName) {
        self.nodes.remove(node);
        self.standings.remove(node);
    }

    /// A sentinel has reported.
    pub fn handle_sentinel(&mut self, heard: Heard<HostReport>) {
        self.sentinels.insert(heard.report.node.clone(), heard);
    }

    /// A rebooter has reported.
    pub fn handle_rebooter(&mut self, heard: Heard<RebooterReport>) {
        self.rebooters.insert(heard.report.node.clone(), heard);
    }

    /// These are all the rivals that are there now.
    pub fn handle_rivals(&mut self, rivals: BTreeSet<Rival>) {
        self.rivals = rivals;
    }

    /// Something happened in an attempt. What does not belong to the node's present attempt is
    /// ignored, and false is returned.
    pub fn handle_event(&mut self, event: &NodeEvent, now: Timestamp) -> bool {
        let Some(attempt) = self
            .attempts
            .get(&event.node)
            .filter(|attempt| attempt.id == event.attempt)
        else {
            return false;
        };
        if let Fact::DrainProgressed {
            pods_left,
            pods_gone,
            held_up_by,
        } = &event.fact
        {
            let progress = DrainProgress {
                pods_left: *pods_left,
                pods_gone: *pods_gone,
                held_up_by: held_up_by.clone(),
            };
            self.drains.insert(event.node.clone(), progress);
            return true;
        }
        let mut heard = attempt.clone();
        let next = machine::hear(&mut heard, event, now);
        self.change(heard, next, now);
        true
    }

    // What people order.

    /// Nothing new is to start.
    pub fn handle_pause(&mut self, by: String, reason: String, now: Timestamp) {
        self.order(FleetControl {
            paused: true,
            by,
            reason,
            since: now,
        });
    }

    /// It is to go on.
    pub fn handle_resume(&mut self, by: String, now: Timestamp) {
        self.order(FleetControl {
            paused: false,
            by,
            reason: String::new(),
            since: now,
        });
    }

    fn order(&mut self, control: FleetControl) {
        self.effects.push_back(Effect::StoreControl(control.clone()));
        self.control = Some(control);
    }

    /// A node's attempt is to be cancelled or, if it has failed, its slot released. Returns what follows, for people.
    ///
    /// # Errors
    /// There is nothing to cancel, or it is too late.
    pub fn handle_cancel(
        &mut self,
        node: &NodeName,
        by: &str,
        reason: &str,
        now: Timestamp,
    ) -> Result<String, OrderError> {
        if !self.nodes.contains_key(node) {
            return Err(OrderError::UnknownNode(node.clone()));
        }
        let mut attempt = self
            .attempts
            .get(node)
            .cloned()
            .ok_or_else(|| OrderError::NoAttempt(node.clone()))?;
        let why = if reason.is_empty() {
            format!("cancelled by {by}")
        } else {
            format!("cancelled by {by}: {reason}")
        };
        let too_late = |phase| OrderError::TooLate {
            node: node.clone(),
            phase,
        };
        let (next, follows) = match attempt.phase {
            Phase::Rebooting if attempt.reboot_started_at.is_some() => return Err(too_late(attempt.phase)),
            Phase::Draining | Phase::Rebooting => {
                let follows = "no pod is evicted any more, and our cordon is taken away; pods that are already ending cannot be brought back";
                (Move::RollBack(Cause::Operator, why), follows)
            }
            Phase::Verifying | Phase::Uncordoning | Phase::Soaking => return Err(too_late(attempt.phase)),
            Phase::Failed if attempt.slot_held => {
                // Who releases a slot has looked at the node: it need not be left alone any more.
                attempt.retry_not_before = None;
                let follows = "its slot is free; the node is tried again if it still needs a reboot";
                (Move::Release(why), follows)
            }
            Phase::RollingBack | Phase::Done | Phase::Failed | Phase::Cancelled => {
                return Err(OrderError::NoAttempt(node.clone()));
            }
        };
        self.change(attempt, Some(next), now);
        Ok(follows.to_owned())
    }

    // What follows.

    /// The next thing to be done.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// When [`Self::advance`] has something new to decide though nothing happens; always after `now`.
    #[must_use]
    pub fn poll_timeout(&self, now: Timestamp) -> Option<Timestamp> {
        let of_attempts = self.attempts.values().flat_map(|attempt| {
            let deadline = attempt.deadline;
            let soaking = (attempt.phase == Phase::Soaking)
                .then_some(())
                .and_then(|()| self.nodes.get(&attempt.node)?.ready_since)
                .map(|since| later(since, self.policy.soak));
            let answer = deadline.map(|deadline| later(deadline, Policy::DRAIN_ANSWER));
            let soaked = deadline.map(|deadline| later(deadline, self.policy.verify_timeout));
            let orphan = attempt
                .phase
                .is_ended()
                .then(|| later(attempt.phase_since(), Policy::ORPHAN_AFTER));
            [deadline, answer, soaked, soaking, orphan, attempt.retry_not_before]
        });
        let of_reports = self.sentinels.values().map(Heard::<HostReport>::stale_at);
        let of_reboots = self.rebooters.values().map(Heard::<RebooterReport>::stale_at);
        let instants = of_attempts
            .flatten()
            .chain(of_reports)
            .chain(of_reboots)
            .chain(self.reminders.values().copied())
            .chain(self.resumed_at.map(|at| later(at, Policy::RESUME_GRACE)));
        instants.filter(|at| *at > now).min()
    }

    // What is told.

    /// The nodes with what is said of each, by name.
    pub fn standings(&self) -> impl Iterator<Item = (&NodeView, &Standing)> {
        self.nodes
            .values()
            .filter_map(|node| Some((node, self.standings.get(&node.name)?)))
    }

    /// What a node's sentinel reported last.
    #[must_use]
    pub fn sentinel(&self, node: &NodeName) -> Option<&Heard<HostReport>> {
        self.sentinels.get(node)
    }

    /// What a node's rebooter reported last.
    #[must_use]
    pub fn rebooter(&self, node: &NodeName) -> Option<&Heard<RebooterReport>> {
        self.rebooters.get(node)
    }

    /// A node's present or last attempt.
    #[must_use]
    pub fn attempt(&self, node: &NodeName) -> Option<&Attempt> {
        self.attempts.get(node)
    }

    /// Every present or last attempt.
    pub fn attempts(&self) -> impl Iterator<Item = &Attempt> {
        self.attempts.values()
    }

    /// How far a node's drain is, while it drains.
    #[must_use]
    pub fn drain(&self, node: &NodeName) -> Option<&DrainProgress> {
        self.attempts
            .get(node)
            .filter(|attempt| attempt.phase == Phase::Draining)?;
        self.drains.get(node)
    }

    /// What people ordered.
    #[must_use]
    pub fn control(&self) -> Option<&FleetControl> {
        self.control.as_ref()
    }

    /// The rivals that keep every node from starting; none if they are tolerated.
    #[must_use]
    pub fn rivals(&self) -> Option<Reason> {
        gate::hold(None, &self.rivals, &self.policy)
    }

    /// How many slots there are, and who takes one.
    #[must_use]
    pub fn slots(&self) -> (u32, BTreeMap<NodeName, Holder>) {
        (
            self.policy.slots.get(),
            slot::holders(&self.nodes, &self.attempts, &self.unreadable),
        )
    }
}
