//! Writing attempts: each change gives its effects, in the order in which the driver has to carry them out.

use bellwether_proto::{Attempt, Cause, Fact, NodeEvent, NodeName, Phase, RebootKind, RebootNeed};
use jiff::Timestamp;

use crate::admission::DrainCheck;
use crate::attempt::{self, Transition};
use crate::effect::{Command, Effect};
use crate::fleet::Fleet;
use crate::fleet::drain_checks::is_draining;
use crate::policy::Policy;
use crate::timers::later;

impl Fleet {
    /// Stores an attempt with what was changed in it, after its transition if there is one.
    pub(super) fn change_attempt(&mut self, mut changed: Attempt, transition: Option<Transition>, now: Timestamp) {
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
        self.effects.push_back(Effect::StoreAttempt(Box::new(changed.clone())));
        if enters {
            self.publish_phase_end(&before, &changed, &message, now);
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
        if let Some(attempt) = attempt::start(node, last, need, terms, &self.policy, now) {
            self.begin_attempt(attempt, "", now);
        }
    }

    /// Stores a new attempt in its first phase.
    pub(super) fn begin_attempt(&mut self, attempt: Attempt, message: &str, now: Timestamp) {
        if let Some(member) = self.members.get_mut(&attempt.node) {
            member.drain = None;
            // The next attempt needs an answer of its own.
            member.drain_check = DrainCheck::default();
            member.attempt = Some(Box::new(attempt.clone()));
        }
        self.effects.push_back(Effect::StoreAttempt(Box::new(attempt.clone())));
        self.publish_phase(&attempt, None, message, now);
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
            self.publish_phase_end(&before, &after, MESSAGE, now);
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

    fn publish_phase_end(&mut self, before: &Attempt, after: &Attempt, message: &str, now: Timestamp) {
        self.publish_phase(after, Some(before.phase), message, now);
        self.effects.push_back(Effect::PhaseEnded {
            attempt: Box::new(after.clone()),
            phase: before.phase,
            began: before.phase_since(),
            ended: now,
        });
    }

    fn publish_phase(&mut self, attempt: &Attempt, from: Option<Phase>, message: &str, now: Timestamp) {
        self.effects.push_back(Effect::PublishEvent(NodeEvent {
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
}
