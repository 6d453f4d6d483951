//! How the fleet decides: ends what is over, takes the next step of every attempt, adopts
//! orphans, reminds drainers, and lets start who may.

use std::collections::BTreeMap;

use bellwether_proto::{
    Attempt, AttemptId, BootId, Cause, Ending, Fact, Generation, NodeEvent, NodeName, Phase, PhaseEntered, RebootNeed,
    TraceParent,
};
use jiff::Timestamp;

use crate::admission::budget::Holder;
use crate::admission::order::rank;
use crate::admission::reason::{Reason, Verdict};
use crate::admission::{budget as slot, reason as gate};
use crate::attempt::phases::{self as machine, Move};
use crate::effect::{Command, Effect};
use crate::explain::standing::{Standing, State};
use crate::fleet::Fleet;
use crate::observed::node::{NodeView, Seen};
use crate::policy::{Policy, later};
use crate::rival::RivalKind;

impl Fleet {
    /// Decides all that can be decided now. Effects are ready to be polled afterwards.
    pub fn advance(&mut self, now: Timestamp) {
        self.end_attempts_of_gone_nodes(now);
        let names: Vec<NodeName> = self.nodes.keys().cloned().collect();
        for name in &names {
            self.step(name, now);
            self.adopt_orphan(name, now);
            self.remind(name, now);
        }
        self.start(now);
    }

    fn seen<'a>(&'a self, node: &'a NodeView) -> Seen<'a> {
        Seen {
            node,
            sentinel: self.sentinels.get(&node.name),
            rebooter: self.rebooters.get(&node.name),
        }
    }

    /// A node that is gone, or is another one under the same name, ends its attempt and frees its slot.
    fn end_attempts_of_gone_nodes(&mut self, now: Timestamp) {
        let gone: Vec<Attempt> = self
            .attempts
            .values()
            .filter(|attempt| {
                self.nodes
                    .get(&attempt.node)
                    .is_none_or(|node| node.uid != attempt.node_uid)
            })
            .cloned()
            .collect();
        for mut attempt in gone {
            let name = attempt.node.clone();
            if !attempt.phase.is_ended() {
                let before = attempt.clone();
                let ending = Move::End(Cause::NodeGone, "the Node object is gone".to_owned());
                machine::make(&mut attempt, ending, None, &self.policy, now);
                self.tell(&before, &attempt, "the Node object is gone", now);
            }
            self.effects.push_back(Effect::Delete(name.clone()));
            self.attempts.remove(&name);
            self.drains.remove(&name);
            self.reminders.remove(&name);
        }
    }

    fn step(&mut self, name: &NodeName, now: Timestamp) {
        let patient_until = later(*self.resumed_at.get_or_insert(now), Policy::RESUME_GRACE);
        // Every move leads to a later phase, so this ends; the bound is the number of phases.
        for _ in Phase::ALL {
            let (Some(node), Some(attempt)) = (self.nodes.get(name), self.attempts.get(name)) else {
                return;
            };
            let Some(next) = machine::step(attempt, &self.seen(node), &self.policy, patient_until, now) else {
                return;
            };
            self.change(attempt.clone(), Some(next), now);
        }
    }

    /// Stores an attempt that was changed by what was heard, and makes its move if there is one.
    pub(crate) fn change(&mut self, mut heard: Attempt, next: Option<Move>, now: Timestamp) {
        let name = heard.node.clone();
        let Some(before) = self.attempts.get(&name).cloned() else {
            return;
        };
        let message = match &next {
            Some(
                Move::Enter(_, message)
                | Move::RollBack(_, message)
                | Move::End(_, message)
                | Move::DrainAgain(message)
                | Move::Release(message),
            ) => message.clone(),
            None => String::new(),
        };
        if let Some(next) = next {
            let seen = self.nodes.get(&name).map(|node| self.seen(node));
            machine::make(&mut heard, next, seen.as_ref(), &self.policy, now);
        }
        if heard == before {
            return;
        }
        self.effects.push_back(Effect::Store(Box::new(heard.clone())));
        if heard.generation != before.generation {
            self.tell(&before, &heard, &message, now);
            self.ask(&heard, now);
        }
        self.attempts.insert(name, heard);
    }

    fn tell(&mut self, before: &Attempt, after: &Attempt, message: &str, now: Timestamp) {
        self.announce(after, Some(before.phase), message, now);
        self.effects.push_back(Effect::PhaseOver {
            attempt: Box::new(after.clone()),
            phase: before.phase,
            began: before.phase_since(),
            ended: now,
        });
    }

    fn announce(&mut self, attempt: &Attempt, from: Option<Phase>, message: &str, now: Timestamp) {
        self.effects.push_back(Effect::Announce(NodeEvent {
            node: attempt.node.clone(),
            attempt: attempt.id,
            generation: attempt.generation,
            at: now,
            source: self.source.clone(),
            fact: Fact::PhaseChanged {
                from,
                to: attempt.phase,
                message: message.to_owned(),
            },
        }));
    }

    fn ask(&mut self, attempt: &Attempt, now: Timestamp) {
        match Command::of(attempt) {
            Some(command) => {
                self.effects.push_back(Effect::Ask(command));
                self.reminders
                    .insert(attempt.node.clone(), later(now, Policy::REMINDER));
            }
            None => {
                self.reminders.remove(&attempt.node);
            }
        }
    }

    /// A command that is not answered is asked for again. So is the command of an attempt that was
    /// loaded: whoever stored it may have died before it asked.
    fn remind(&mut self, name: &NodeName, now: Timestamp) {
        let due = self.reminders.get(name).is_none_or(|at| now >= *at);
        let asks = |attempt: &&Attempt| due && Command::of(attempt).is_some();
        if let Some(attempt) = self.attempts.get(name).filter(asks).cloned() {
            self.ask(&attempt, now);
        }
    }

    /// A node with our cordon and without a running attempt: the record was lost, or a drainer
    /// cordoned late. The cordon is taken away by an attempt that only rolls back. While there is
    /// another Bellwether, tolerated or not, a mark that we do not know is taken for its own.
    fn adopt_orphan(&mut self, name: &NodeName, now: Timestamp) {
        let Some(node) = self.nodes.get(name) else { return };
        let fit = node.ready && !node.deleting && !self.unreadable.contains_key(name);
        let (Some(id), true) = (node.cordoned_for, fit) else {
            return;
        };
        let last = self.attempts.get(name);
        if last.is_some_and(|last| {
            !last.phase.is_ended() || last.slot_held || now < later(last.phase_since(), Policy::ORPHAN_AFTER)
        }) {
            return;
        }
        let known = last.is_some_and(|last| last.id == id);
        if !known && self.rivals.iter().any(|rival| rival.kind == RivalKind::Bellwether) {
            return;
        }
        let Some(boot) = node.boot_id.clone() else { return };
        let generation = last.map_or(Generation(0), |last| last.generation).next();
        let (need, trace) = (None, trace_of(id, None));
        let mut orphan = new_attempt(id, node, generation, need, boot, trace, now);
        orphan.cordoned_at = Some(now);
        orphan.failures_in_row = last.map_or(0, |last| last.failures_in_row);
        let message = "the node carries our cordon and no attempt is running".to_owned();
        orphan.ending = Some(Ending {
            cause: Cause::RecordLost,
            message: message.clone(),
        });
        self.begin(orphan, Phase::RollingBack, &message, now);
    }

    /// Lets start who may, in order, while there are slots; and says of everyone else why not.
    fn start(&mut self, now: Timestamp) {
        let mut queue = Vec::new();
        let mut standings = BTreeMap::new();
        let hold = gate::hold(self.control.as_ref(), &self.rivals, &self.policy);
        for node in self.nodes.values() {
            let last = self.attempts.get(&node.name);
            if let Some(problem) = self.unreadable.get(&node.name) {
                let reason = Reason::RecordUnreadable(problem.clone());
                standings.insert(node.name.clone(), (State::Failed, Some(reason)));
                continue;
            }
            let (state, reason) = match last.filter(|last| !last.phase.is_ended()) {
                Some(running) => (State::InProgress(running.phase), None),
                None => match gate::examine(&self.seen(node), last, hold.as_ref(), now) {
                    Verdict::NotNeeded => (State::Idle, None),
                    Verdict::Unknown(reason) => (State::Unknown, Some(reason)),
                    Verdict::Wait(reason @ Reason::Failed(..)) => (State::Failed, Some(reason)),
                    Verdict::Wait(reason) => (State::Waiting, Some(reason)),
                    Verdict::Open(need) => {
                        queue.push((rank(node, need), need.clone()));
                        continue;
                    }
                },
            };
            standings.insert(node.name.clone(), (state, reason));
        }
        queue.sort_by(|one, other| one.0.cmp(&other.0));
        let slots = self.policy.slots.get();
        let mut holders = slot::holders(&self.nodes, &self.attempts, &self.unreadable);
        let mut waiting = 0;
        for ((_, _, name), need) in queue {
            let standing = if holders.len() < usize::try_from(slots).unwrap_or(usize::MAX) {
                self.start_attempt(&name, &need, now);
                holders.insert(name.clone(), Holder::Attempt(Phase::Draining));
                (State::InProgress(Phase::Draining), None)
            } else {
                waiting += 1;
                (
                    State::Waiting,
                    Some(Reason::NoSlot {
                        slots,
                        holders: gate::listed(&holders),
                        taken: holders.len(),
                        place: waiting,
                    }),
                )
            };
            standings.insert(name, standing);
        }
        for (name, (state, reason)) in standings {
            let standing = Standing::followed_by(self.standings.get(&name), state, reason, now);
            self.standings.insert(name, standing);
        }
    }

    fn start_attempt(&mut self, name: &NodeName, need: &RebootNeed, now: Timestamp) {
        let Some(node) = self.nodes.get(name) else { return };
        let Some(boot) = node.boot_id.clone() else { return };
        let last = self.attempts.get(name);
        let generation = last.map_or(Generation(0), |last| last.generation).next();
        let id = AttemptId::new(&node.uid, generation, now);
        let mut attempt = new_attempt(id, node, generation, Some(need), boot, trace_of(id, need.trace), now);
        attempt.failures_in_row = last.map_or(0, |last| last.failures_in_row);
        self.begin(attempt, Phase::Draining, "", now);
    }

    fn begin(&mut self, mut attempt: Attempt, phase: Phase, message: &str, now: Timestamp) {
        attempt.phase = phase;
        attempt.history = vec![PhaseEntered { phase, at: now }];
        attempt.deadline = machine::limit(phase, &self.policy).map(|limit| later(now, limit));
        self.drains.remove(&attempt.node);
        self.effects.push_back(Effect::Store(Box::new(attempt.clone())));
        self.announce(&attempt, None, message, now);
        self.ask(&attempt, now);
        self.attempts.insert(attempt.node.clone(), attempt);
    }
}

fn new_attempt(
    id: AttemptId,
    node: &NodeView,
    generation: Generation,
    need: Option<&RebootNeed>,
    boot_before: BootId,
    trace: TraceParent,
    now: Timestamp,
) -> Attempt {
    Attempt {
        id,
        node: node.name.clone(),
        node_uid: node.uid.clone(),
        generation,
        phase: Phase::Draining,
        deadline: None,
        boot_before,
        boot_after: None,
        kernel_before: node.kernel.clone(),
        kernel_after: None,
        need_since: need.map_or(now, |need| need.since),
        reasons: need.map(|need| need.reasons.clone()).unwrap_or_default(),
        cordoned_at: None,
        drained_at: None,
        reboot_not_after: None,
        reboot_started_at: None,
        ending: None,
        slot_held: true,
        failures_in_row: 0,
        retry_not_before: None,
        trace,
        need_span: need.and_then(|need| need.trace).map(|trace| trace.span_id),
        history: Vec::new(),
    }
}

/// The attempt's own span: in the trace in which the need was seen, or in one of its own.
fn trace_of(id: AttemptId, need: Option<TraceParent>) -> TraceParent {
    let bytes = id.bytes();
    let (_, span_id) = bytes.split_at(8);
    TraceParent {
        trace_id: need.map_or(bytes, |need| need.trace_id),
        span_id: span_id.try_into().unwrap_or([1; 8]),
    }
}
