//! Taking inputs: each is noted and touches its node; nothing is decided about others here.

use std::sync::Arc;

use bellwether_policy::{Governing, PodGate};
use bellwether_proto::{
    Attempt, AttemptId, Cause, Fact, FleetOrder, Generation, NodeEvent, NodeName, OrderKind, OrderScope, Phase,
};
use jiff::Timestamp;

use crate::admission::PolicyBudgets;
use crate::attempt::{self, Consequence, Transition};
use crate::effect::Command;
use crate::fleet::Fleet;
use crate::fleet::member::Member;
use crate::input::{CancelEffect, CancelRefusal, Handled, Input};
use crate::observed::NodeView;
use crate::orders::Orders;
use crate::policy::Policy;
use crate::reading::{Outcome, Query};

impl Fleet {
    /// Takes one input. `now` is the time of the driver's clock.
    pub fn handle_input(&mut self, input: Input, now: Timestamp) -> Handled {
        match input {
            Input::Attempt(attempt) => {
                let name = attempt.node.clone();
                self.member(&name).attempt = Some(attempt);
            }
            Input::UnreadableAttempt { node, problem } => self.member(&node).unreadable = Some(problem.into()),
            Input::Control(control) => {
                self.blockers.orders = Orders::new(Some(control));
                self.touch_all();
            }
            Input::SigningKey(key) => {
                self.blockers.signing_key = Some(key);
                self.touch_all();
            }
            Input::Node(node) => {
                let name = node.name.clone();
                self.member(&name).set_node(node, now);
            }
            Input::NodeGone(node) => {
                self.untaint_node_that_leaves(&node, now);
                self.remove_conditions_of_node_that_leaves(&node, now);
                let member = self.member(&node);
                member.node = None;
                member.memory.ready_from = None;
            }
            Input::Sentinel(stored) => {
                let name = stored.report.node.clone();
                self.member(&name).set_sentinel(stored);
                // Before the first decision policies or nodes may be missing.
                if self.decided_at.is_some() {
                    self.add_annotations(&name, now);
                }
            }
            Input::Memory { node, memory } => self.member(&node).memory = memory,
            Input::Rebooter(stored) => {
                let name = stored.report.node.clone();
                self.member(&name).set_rebooter(stored, now);
            }
            Input::Rivals(rivals) => {
                self.blockers.rivals = rivals.into_iter().map(Arc::new).collect();
                self.touch_all();
            }
            Input::Policies(views) => {
                self.blockers.policies.set(views);
                // What the budgets were of before may be of no policy any more.
                self.policy_budgets = PolicyBudgets::default();
                for member in self.members.values_mut() {
                    self.queue.replace(member.position(), None);
                    (member.group, member.place, member.back_at) = (None, None, None);
                }
                self.touch_all();
            }
            Input::Event(event) => return self.handle_event(&event, now),
            Input::CommandLost {
                node,
                attempt,
                generation,
            } => self.ask_again(&node, attempt, generation, now),
            Input::Reading {
                query: Query::Prometheus(gate),
                asked_at,
                outcome,
            } => self
                .touched
                .extend(self.blockers.readings.take(&gate, asked_at, outcome)),
            Input::Reading {
                query: Query::Pods { node, gate },
                asked_at,
                outcome,
            } => self.take_pods(&node, &gate, asked_at, outcome),
            Input::Reading {
                query: Query::Drain { node, beside },
                asked_at,
                outcome,
            } => self.take_drain_check(&node, beside, asked_at, outcome),
            Input::Reading {
                query: Query::DaemonPods { node, .. },
                asked_at,
                outcome,
            } => {
                let member = self.members.get_mut(&node);
                if member.is_some_and(|member| member.daemon_pods.take(asked_at, outcome)) {
                    self.touch(&node);
                }
            }
            Input::Pause { by, reason } => {
                return self.give_order(FleetOrder {
                    kind: OrderKind::Block,
                    scope: OrderScope::Fleet,
                    by,
                    reason,
                    since: now,
                    until: None,
                });
            }
            Input::Resume { by } => {
                let changed = self.blockers.orders.resume(by, now);
                self.store_control(changed);
            }
            Input::GiveOrder(order) => return self.give_order(FleetOrder { since: now, ..order }),
            Input::EndOrder(order) => return self.end_order(order, now),
            Input::Cancel { node, by, reason } => return self.handle_cancel(&node, &by, &reason, now),
        }
        Handled::Accepted
    }

    /// Takes the outcome of a query about the pods of a node, unless the node does not wait for the answer any more.
    fn take_pods(&mut self, node: &NodeName, gate: &PodGate, asked_at: Timestamp, outcome: Outcome) {
        let slot = self.members.get_mut(node).and_then(|member| member.pods.get_mut(gate));
        if slot.is_some_and(|slot| slot.take(asked_at, outcome)) {
            self.touch(node);
        }
    }

    /// Adds the needs by annotation to what the sentinel of a node reports.
    pub(super) fn add_annotations(&mut self, name: &NodeName, now: Timestamp) {
        let Some(member) = self.members.get_mut(name) else {
            return;
        };
        let policies = &self.blockers.policies;
        let node = member.node.as_ref().filter(|_| policies.name_annotations());
        let governing = node.map(|node| policies.governing(node));
        let terms = governing.as_ref().and_then(Governing::terms);
        member.add_annotations(
            terms.map(|terms| terms.need_annotations.as_slice()).unwrap_or_default(),
            now,
        );
    }

    /// The member of this name, touched.
    fn member(&mut self, name: &NodeName) -> &mut Member {
        self.touch(name);
        self.members.entry(name.clone()).or_default()
    }

    /// An event that does not belong to the node's present attempt is ignored.
    fn handle_event(&mut self, event: &NodeEvent, now: Timestamp) -> Handled {
        let Some(member) = self.members.get_mut(&event.node) else {
            return Handled::OtherAttempt;
        };
        let attempt = member.attempt.as_ref();
        let attempt = attempt.filter(|attempt| attempt.id == event.attempt && attempt.generation >= event.generation);
        let Some(attempt) = attempt else {
            return Handled::OtherAttempt;
        };
        if let Fact::DrainProgressed(progress) = &event.fact {
            member.drain = Some(Box::new(progress.clone()));
            return Handled::Accepted;
        }
        let mut changed = attempt.as_ref().clone();
        let transition = match attempt::apply_event(&mut changed, event, now) {
            Consequence::Facts => None,
            Consequence::Transition(transition) => Some(transition),
            Consequence::CordonReported => {
                member.memory.note_cordon_report(event.attempt, now);
                None
            }
            Consequence::DrainReported => {
                member.memory.note_cordon_report(event.attempt, now);
                member.memory.drain_reported = Some((event.attempt, event.generation).into());
                None
            }
            Consequence::UncordonReported => {
                member.uncordon_reported = Some(event.generation);
                None
            }
        };
        self.touch(&event.node);
        self.change_attempt(changed, transition, now);
        Handled::Accepted
    }

    /// Asks for the same again in a new generation, unless the attempt has moved on.
    fn ask_again(&mut self, node: &NodeName, attempt: AttemptId, generation: u64, now: Timestamp) {
        let present = self.members.get(node).and_then(|member| member.attempt.as_deref());
        let asked = present.filter(|present| present.id == attempt && present.generation == Generation(generation));
        if let Some(asked) = asked.filter(|asked| Command::of(asked).is_some()).cloned() {
            self.touch(node);
            self.change_attempt(asked, Some(Transition::AskAgain), now);
        }
    }

    fn handle_cancel(&mut self, node: &NodeName, by: &str, reason: &str, now: Timestamp) -> Handled {
        let member = self.members.get(node);
        if member.is_some_and(Member::attempt_is_of_gone_node) {
            self.touch(node);
            self.note_cancel(node, CancelEffect::SlotReleased { still: None }, by, reason, now);
            self.end_attempt_of_gone_node(node, now);
            let still = self.members.get(node).and_then(Member::holder);
            self.budget.set(node, still);
            return Handled::Cancelled(CancelEffect::SlotReleased { still });
        }
        let Some((member, view)) = member.and_then(|member| Some((member, member.node.as_ref()?))) else {
            return Handled::Refused(CancelRefusal::UnknownNode(node.clone()));
        };
        let message = match reason {
            "" => format!("cancelled by {by}"),
            reason => format!("cancelled by {by}: {reason}"),
        };
        let mut effect = match cancel_effect(view, member.attempt.as_deref(), now) {
            Ok(effect) => effect,
            Err(refusal) => return Handled::Refused(refusal),
        };
        if let Some(mut attempt) = member.attempt.as_deref().cloned() {
            let transition = match effect {
                CancelEffect::RolledBack => Some(Transition::RollBack(Cause::Operator, message)),
                CancelEffect::SlotReleased { .. } => Some(Transition::ReleaseSlot(message)),
                CancelEffect::WaitEnded => None,
            };
            attempt.failed_reboot = None;
            attempt.obstacle_run = None;
            if effect != CancelEffect::RolledBack {
                // The operator has looked at the node: it need not be left alone any more.
                attempt.retry_not_before = None;
                if let Some(last) = &mut attempt.last_reboot {
                    last.earlier.clear();
                }
            }
            self.touch(node);
            self.note_cancel(node, effect, by, reason, now);
            self.change_attempt_for(attempt, transition, by, now);
        }
        if let CancelEffect::SlotReleased { still } = &mut effect {
            *still = self.members.get(node).and_then(Member::holder);
        }
        Handled::Cancelled(effect)
    }
}

/// What a cancel does to a node's attempt.
fn cancel_effect(node: &NodeView, attempt: Option<&Attempt>, now: Timestamp) -> Result<CancelEffect, CancelRefusal> {
    let name = || node.name.clone();
    let attempt = attempt.ok_or_else(|| CancelRefusal::NoAttempt(name()))?;
    match attempt.phase {
        Phase::Draining => Ok(CancelEffect::RolledBack),
        Phase::Rebooting if attempt.reboot_started_at.is_none() => Ok(CancelEffect::RolledBack),
        Phase::Rebooting | Phase::Verifying | Phase::Uncordoning | Phase::Soaking => Err(CancelRefusal::TooLate {
            node: name(),
            phase: attempt.phase,
        }),
        Phase::RollingBack => Err(CancelRefusal::RollingBack(name())),
        Phase::Failed if attempt::wants_uncordon(attempt) && node.cordoned_for == Some(attempt.id) => {
            Err(CancelRefusal::StillCordoned(name()))
        }
        Phase::Failed if attempt::is_held(attempt) && node.cordoned_for == Some(attempt.id) => {
            Ok(CancelEffect::RolledBack)
        }
        Phase::Failed if attempt.slot_held => Ok(CancelEffect::SlotReleased { still: None }),
        Phase::Done | Phase::Failed | Phase::Cancelled => {
            let waits = attempt.retry_not_before.is_some_and(|until| until > now);
            // Whether that is too often is the policy's business, which may be another one by the next need.
            let last = attempt.last_reboot.as_ref();
            let was_rebooted_often = last.is_some_and(|last| last.within(Policy::LOOP_SPAN).count() > 1);
            (waits || was_rebooted_often || attempt.failed_reboot.is_some())
                .then_some(CancelEffect::WaitEnded)
                .ok_or_else(|| CancelRefusal::NoAttempt(name()))
        }
    }
}
