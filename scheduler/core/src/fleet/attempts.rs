//! Writing attempts: each change gives its effects, in the order in which the driver has to carry them out.

use std::sync::Arc;

use bellwether_policy::Governing;
use bellwether_proto::{
    Attempt, AttemptEnd, AttemptStart, Cause, Fact, NodeEvent, NodeName, OrderKind, Phase, PhaseDetail, RebootKind,
    RebootNeed, StartOrder,
};
use jiff::Timestamp;

use crate::admission::DrainCheck;
use crate::attempt::{self, Transition};
use crate::effect::{Command, Effect};
use crate::fleet::Fleet;
use crate::fleet::drain_checks::is_draining;
use crate::policy::Policy;
use crate::timers::{Clock, later};

impl Fleet {
    /// Stores an attempt with what was changed in it, after its transition if there is one.
    pub(super) fn change_attempt(&mut self, changed: Attempt, transition: Option<Transition>, now: Timestamp) {
        self.change_attempt_for(changed, transition, "", now);
    }

    /// The same for this operator; empty: for none.
    pub(super) fn change_attempt_for(
        &mut self,
        mut changed: Attempt,
        transition: Option<Transition>,
        by: &str,
        now: Timestamp,
    ) {
        let name = changed.node.clone();
        let Some(member) = self.members.get_mut(&name) else {
            return;
        };
        let Some(before) = member.attempt.take() else {
            return;
        };
        let message = transition.as_ref().map_or("", Transition::message).to_owned();
        let enters = transition.as_ref().is_some_and(Transition::enters);
        if let Some(transition) = transition {
            let observation = member.observation();
            attempt::apply(&mut changed, transition, observation.as_ref(), &self.policy, now);
        }
        if changed == *before {
            member.attempt = Some(before);
            return;
        }
        member.attempt = Some(Box::new(changed.clone()));
        // An operator who releases a slot reads the number before the next decision.
        self.budget.set(&name, member.holder());
        if is_draining(&before) && !is_draining(&changed) {
            self.note_end_of_drain(&name, now);
        }
        let detail = || PhaseDetail {
            start: None,
            end: changed.phase.is_ended().then(|| AttemptEnd::of(&changed)),
            by: by.to_owned(),
        };
        let event = enters.then(|| self.phase_changed(&changed, Some(before.phase), &message, detail(), now));
        self.store_attempt(&changed, event);
        if enters {
            self.end_phase(&before, &changed, now);
        }
        if changed.generation != before.generation {
            self.send_command(&changed, now);
        }
    }

    /// A soft reboot of this node is ordered: reports of its boot from before prove nothing of the time after.
    pub(super) fn forget_needless(&mut self, name: &NodeName, kind: RebootKind) {
        if let Some(member) = self.members.get_mut(name).filter(|_| kind == RebootKind::Soft) {
            member.memory.forget_needless();
        }
    }

    /// Starts an attempt for the need of a node that the gates let through.
    pub(super) fn start_attempt(&mut self, name: &NodeName, need: &RebootNeed, now: Timestamp) {
        let member = self.members.get(name);
        let Some(node) = member.and_then(|member| member.node.as_ref()) else {
            return;
        };
        let governing = self.blockers.policies.governing(node);
        let terms = (attempt::drain_terms(&governing), attempt::reboot_kind(&governing));
        let last = member.and_then(|member| member.attempt.as_deref());
        if let Some(mut attempt) = attempt::start(node, last, need, terms, &self.policy, now) {
            let start = self.attempt_start(name, need, now);
            attempt.held = start.as_ref().map(|start| start.held.clone()).unwrap_or_default();
            attempt.previous = self.previous_of(node, now);
            self.begin_attempt(attempt, "", start, now);
        }
    }

    /// Stores a new attempt in its first phase.
    pub(super) fn begin_attempt(
        &mut self,
        attempt: Attempt,
        message: &str,
        start: Option<AttemptStart>,
        now: Timestamp,
    ) {
        if let Some(member) = self.members.get_mut(&attempt.node) {
            member.drain = None;
            // The next attempt needs an answer of its own.
            member.drain_check = DrainCheck::default();
            member.attempt = Some(Box::new(attempt.clone()));
        }
        let detail = PhaseDetail {
            start,
            ..PhaseDetail::default()
        };
        let event = self.phase_changed(&attempt, None, message, detail, now);
        self.store_attempt(&attempt, Some(event));
        self.send_command(&attempt, now);
    }

    /// Ends the attempt of a node that is gone, or is another one under the same name, and frees its slot.
    pub(super) fn end_attempt_of_gone_node(&mut self, name: &NodeName, now: Timestamp) {
        const MESSAGE: &str = "the Node object is gone";
        let Some(member) = self.members.get_mut(name) else {
            return;
        };
        let Some(before) = member.attempt.take() else {
            return;
        };
        let was_draining = is_draining(&before);
        member.drain = None;
        member.remind_at = None;
        if !before.phase.is_ended() {
            let mut after = before.as_ref().clone();
            let ending = Transition::End(Cause::NodeGone, MESSAGE.to_owned());
            attempt::apply(&mut after, ending, None, &self.policy, now);
            // Stored before it is deleted: the record is the way of its last event into the stream.
            let detail = PhaseDetail {
                end: Some(AttemptEnd::of(&after)),
                ..PhaseDetail::default()
            };
            let event = self.phase_changed(&after, Some(before.phase), MESSAGE, detail, now);
            self.store_attempt(&after, Some(event));
            self.end_phase(&before, &after, now);
        }
        self.effects.push_back(Effect::DeleteAttempt(name.clone()));
        if was_draining {
            self.note_end_of_drain(name, now);
        }
    }

    /// Sends the command of the attempt's phase, if there is one, and notes when to look for it.
    pub(super) fn send_command(&mut self, attempt: &Attempt, now: Timestamp) {
        let command = Command::of(attempt);
        if let Some(member) = self.members.get_mut(&attempt.node) {
            member.remind_at = command.as_ref().map(|_| later(now, Policy::REMINDER));
        }
        self.effects.extend(command.map(Effect::SendCommand));
    }

    /// Has a record stored, with the event about it.
    pub(super) fn store_attempt(&mut self, attempt: &Attempt, event: Option<NodeEvent>) {
        let effect = Effect::StoreAttempt(Box::new(attempt.clone()), event.map(Box::new));
        self.effects.push_back(effect);
    }

    fn end_phase(&mut self, before: &Attempt, after: &Attempt, now: Timestamp) {
        self.effects.push_back(Effect::PhaseEnded {
            attempt: Box::new(after.clone()),
            phase: before.phase,
            began: before.phase_since(),
            ended: now,
        });
    }

    /// What an attempt of this node begins with.
    fn attempt_start(&self, name: &NodeName, need: &RebootNeed, now: Timestamp) -> Option<AttemptStart> {
        let member = self.members.get(name)?;
        let policy = match self.blockers.policies.governing(member.node.as_ref()?) {
            Governing::Policy(policy) => Some(Arc::clone(&policy.name)),
            Governing::BuiltIn | Governing::None | Governing::Conflict(..) => None,
        };
        let policy = policy.as_deref();
        let order = self.blockers.orders.start_order(name, policy, &Clock::new(now));
        Some(AttemptStart {
            policy: policy.unwrap_or_default().to_owned(),
            policy_generation: policy.map_or(0, |policy| self.blockers.policies.generation(policy)),
            need_since: Some(need.since),
            need_first_since: Some(need.first_since),
            reasons: need.reasons.clone(),
            held: member
                .stand
                .as_ref()
                .map(|stand| stand.held.clone())
                .unwrap_or_default(),
            order: order.map(|order| StartOrder {
                is_now: order.kind == OrderKind::Now,
                by: order.by.clone(),
                reason: order.reason.clone(),
                since: Some(order.since),
            }),
        })
    }

    fn phase_changed(
        &self,
        attempt: &Attempt,
        from: Option<Phase>,
        message: &str,
        detail: PhaseDetail,
        now: Timestamp,
    ) -> NodeEvent {
        NodeEvent {
            node: attempt.node.clone(),
            attempt: attempt.id,
            generation: attempt.generation,
            at: now,
            source: self.source.clone(),
            fact: Fact::PhaseChanged {
                from,
                to: attempt.phase,
                message: message.to_owned(),
                link: None,
                cause: attempt.ending.as_ref().map(|ending| ending.cause),
                detail: (detail != PhaseDetail::default()).then(|| Box::new(detail)),
            },
        }
    }
}
