//! How the fleet decides: on each node that was touched or is due, then on who may start.

use bellwether_proto::{NodeName, Phase, RebootNeed};
use jiff::Timestamp;

use crate::admission::{self, Reason, Verdict};
use crate::attempt;
use crate::effect::Command;
use crate::explain::{Basis, Stand, State};
use crate::fleet::Fleet;
use crate::fleet::member::Member;
use crate::policy::Policy;
use crate::rival::RivalKind;
use crate::timers::{Clock, later};

impl Fleet {
    /// Decides all that can be decided now. Effects are ready to be polled afterwards.
    pub fn advance(&mut self, now: Timestamp) {
        self.resumed_at.get_or_insert(now);
        if let Some(control) = self.blockers.orders.remove_ended(now) {
            self.store_control(control);
        }
        while let Some(name) = self.timers.take_due(now) {
            self.touched.insert(name);
        }
        while let Some(name) = self.touched.pop_first() {
            self.decide(&name, now);
        }
        self.start_attempts(now);
    }

    /// Lets start who may, in order, while there are slots.
    fn start_attempts(&mut self, now: Timestamp) {
        let free = self.budget.free();
        let first: Vec<NodeName> = self.queue.iter().take(free).cloned().collect();
        for name in first {
            if let Some(need) = self.need(&name).cloned() {
                self.start_attempt(&name, &need, now);
                self.decide(&name, now);
            }
        }
    }

    fn need(&self, name: &NodeName) -> Option<&RebootNeed> {
        let sentinel = self.members.get(name)?.sentinel.as_ref()?;
        sentinel.report.need.required()
    }

    /// Decides on one node: its attempt, its cordon, its command, its place in the queue, its standing
    /// and when it is due again.
    fn decide(&mut self, name: &NodeName, now: Timestamp) {
        let clock = Clock::new(now);
        let gone = self.members.get(name).is_some_and(Member::attempt_is_of_gone_node);
        if gone {
            self.end_attempt_of_gone_node(name, now);
        }
        self.take_transitions(name, &clock);
        self.adopt_orphan(name, &clock);
        self.send_command_again(name, &clock);
        self.admit(name, &clock);
    }

    fn take_transitions(&mut self, name: &NodeName, clock: &Clock) {
        let resumed_at = self.resumed_at.unwrap_or_else(|| clock.now());
        let patient_until = later(resumed_at, Policy::RESUME_GRACE);
        // An attempt enters few phases at one instant; the bound keeps a faulty rule from looping.
        for _ in Phase::ALL {
            clock.forget();
            let Some(member) = self.members.get(name) else { return };
            let (Some(observation), Some(attempt)) = (member.observation(), member.attempt.as_deref()) else {
                return;
            };
            let next = attempt::next_transition(attempt, &observation, &self.policy, patient_until, clock);
            let Some(transition) = next else { return };
            let attempt = attempt.clone();
            self.change_attempt(attempt, Some(transition), clock.now());
        }
    }

    fn adopt_orphan(&mut self, name: &NodeName, clock: &Clock) {
        let Some(member) = self.members.get(name).filter(|member| member.unreadable.is_none()) else {
            return;
        };
        let Some(node) = &member.node else { return };
        let beside_bellwether = self
            .blockers
            .rivals
            .iter()
            .any(|rival| rival.kind == RivalKind::Bellwether);
        let orphan = attempt::orphan_of(node, member.attempt.as_deref(), beside_bellwether, &self.policy, clock);
        if let Some((attempt, message)) = orphan {
            self.begin_attempt(attempt, message, clock.now());
            self.take_transitions(name, clock);
        }
    }

    /// A command that no drainer has answered is sent again. So is the command of an attempt that was
    /// loaded: the scheduler that stored it may have died before it sent the command.
    fn send_command_again(&mut self, name: &NodeName, clock: &Clock) {
        let Some(member) = self.members.get(name) else { return };
        let Some(attempt) = member.attempt.as_deref() else {
            return;
        };
        if Command::of(attempt).is_none() {
            return;
        }
        if member.remind_at.is_none_or(|at| clock.reached(at)) {
            let attempt = attempt.clone();
            self.send_command(&attempt, clock.now());
            // Notes the next reminder.
            let member = self.members.get(name);
            if let Some(at) = member.and_then(|member| member.remind_at) {
                clock.reached(at);
            }
        }
    }

    /// Judges whether the node may start, and writes down what follows for the slots, the queue, the
    /// timers, the numbers and the operators.
    fn admit(&mut self, name: &NodeName, clock: &Clock) {
        let Some(member) = self.members.get(name) else { return };
        let mut place = None;
        let judged = member.observation().map(|observation| {
            let last = member.attempt.as_deref();
            if let Some(problem) = &member.unreadable {
                let reason = Reason::RecordUnreadable(problem.to_string());
                return (State::Failed, Basis::Reason(reason));
            }
            if let Some(running) = last.filter(|last| !last.phase.is_ended()) {
                return (State::InProgress(running.phase), Basis::None);
            }
            match admission::verdict(&observation, last, &self.blockers, clock) {
                Verdict::NotNeeded => (State::Idle, Basis::None),
                Verdict::Unknown(reason) => (State::Unknown, Basis::Reason(reason)),
                Verdict::Failed(reason) => (State::Failed, Basis::Reason(reason)),
                Verdict::Blocked(reason) => (State::Waiting, Basis::Reason(reason)),
                Verdict::Open(need) => {
                    place = Some(admission::place(observation.node, need));
                    (State::Waiting, Basis::Queue)
                }
            }
        });
        let stand = judged.map(|(state, basis)| Stand::after(member.stand.as_ref(), state, basis, clock.now()));
        self.budget.set(name, member.holder());
        let need = member.need_since();
        let due_at = clock.next();
        if let Some(member) = self.members.get_mut(name) {
            self.counts.replace(member.stand.as_ref(), stand.as_ref());
            self.counts.replace_need(name, member.counted_need, need);
            self.queue.replace(member.place.as_ref(), place.as_ref());
            self.timers.replace(name, member.due_at, due_at);
            member.stand = stand;
            member.counted_need = need;
            member.place = place;
            member.due_at = due_at;
        }
    }
}
