//! Taking inputs: each is noted and touches its node; nothing is decided about others here.

use std::sync::Arc;

use bellwether_proto::{Attempt, Cause, Fact, FleetControl, NodeEvent, NodeName, Phase};
use jiff::Timestamp;

use crate::attempt::{self, Transition};
use crate::effect::Effect;
use crate::fleet::member::Member;
use crate::fleet::{DrainProgress, Fleet};
use crate::input::{CancelEffect, CancelRefusal, Handled, Input};
use crate::orders::Orders;

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
            Input::Node(node) => {
                let name = node.name.clone();
                self.member(&name).node = Some(node);
            }
            Input::NodeGone(node) => self.member(&node).node = None,
            Input::Sentinel(stored) => {
                let name = stored.report.node.clone();
                self.member(&name).sentinel = Some(stored);
            }
            Input::Rebooter(stored) => {
                let name = stored.report.node.clone();
                self.member(&name).rebooter = Some(stored);
            }
            Input::Rivals(rivals) => {
                self.blockers.rivals = rivals.into_iter().map(Arc::new).collect();
                self.touch_all();
            }
            Input::Event(event) => return self.handle_event(&event, now),
            Input::Pause { by, reason } => {
                let control = self.blockers.orders.add_pause(by, reason, now);
                self.store_control(control);
            }
            Input::Resume { by } => {
                let control = self.blockers.orders.resume(by, now);
                self.store_control(control);
            }
            Input::Cancel { node, by, reason } => return self.handle_cancel(&node, &by, &reason, now),
        }
        Handled::Accepted
    }

    /// The member of this name, touched.
    fn member(&mut self, name: &NodeName) -> &mut Member {
        self.touch(name);
        self.members.entry(name.clone()).or_default()
    }

    /// Stores the operators' orders, and has every node decided on again.
    pub(super) fn store_control(&mut self, control: FleetControl) {
        self.effects.push_back(Effect::StoreControl(control));
        self.touch_all();
    }

    /// An event that does not belong to the node's present attempt is ignored.
    fn handle_event(&mut self, event: &NodeEvent, now: Timestamp) -> Handled {
        let Some(member) = self.members.get_mut(&event.node) else {
            return Handled::OtherAttempt;
        };
        let Some(attempt) = member.attempt.as_ref().filter(|attempt| attempt.id == event.attempt) else {
            return Handled::OtherAttempt;
        };
        if let Fact::DrainProgressed {
            pods_left,
            pods_gone,
            held_up_by,
        } = &event.fact
        {
            member.drain = Some(Box::new(DrainProgress {
                pods_left: *pods_left,
                pods_gone: *pods_gone,
                blocked_by: held_up_by.clone(),
            }));
            return Handled::Accepted;
        }
        let mut changed = attempt.as_ref().clone();
        let transition = attempt::apply_event(&mut changed, event, now);
        self.touch(&event.node);
        self.change_attempt(changed, transition, now);
        Handled::Accepted
    }

    fn handle_cancel(&mut self, node: &NodeName, by: &str, reason: &str, now: Timestamp) -> Handled {
        let member = self.members.get(node).filter(|member| member.node.is_some());
        let Some(member) = member else {
            return Handled::Refused(CancelRefusal::UnknownNode(node.clone()));
        };
        let message = match reason {
            "" => format!("cancelled by {by}"),
            reason => format!("cancelled by {by}: {reason}"),
        };
        match cancel(node, member.attempt.as_deref(), message) {
            Ok((changed, transition, effect)) => {
                self.touch(node);
                self.change_attempt(changed, Some(transition), now);
                Handled::Cancelled(effect)
            }
            Err(refusal) => Handled::Refused(refusal),
        }
    }
}

/// What a cancel makes of a node's attempt.
fn cancel(
    node: &NodeName,
    attempt: Option<&Attempt>,
    message: String,
) -> Result<(Attempt, Transition, CancelEffect), CancelRefusal> {
    let nothing = || CancelRefusal::NoAttempt(node.clone());
    let mut attempt = attempt.cloned().ok_or_else(nothing)?;
    let too_late = CancelRefusal::TooLate {
        node: node.clone(),
        phase: attempt.phase,
    };
    match attempt.phase {
        Phase::Rebooting if attempt.reboot_started_at.is_some() => Err(too_late),
        Phase::Draining | Phase::Rebooting => {
            let transition = Transition::RollBack(Cause::Operator, message);
            Ok((attempt, transition, CancelEffect::RolledBack))
        }
        Phase::Verifying | Phase::Uncordoning | Phase::Soaking => Err(too_late),
        Phase::Failed if attempt.slot_held => {
            // The operator who releases a slot has looked at the node: it need not be left alone any more.
            attempt.retry_not_before = None;
            Ok((attempt, Transition::ReleaseSlot(message), CancelEffect::SlotReleased))
        }
        Phase::RollingBack | Phase::Done | Phase::Failed | Phase::Cancelled => Err(nothing()),
    }
}
