//! The rules of each phase: what an attempt waits for, until when, and what follows.

use bellwether_proto::{Attempt, Cause, Phase, RebootKind};
use jiff::{SignedDuration, Timestamp};

use crate::admission::{Reason, unfit_for_order};
use crate::attempt::Transition;
use crate::attempt::retry::keeps_slot;
use crate::attempt::service::Service;
use crate::attempt::start::is_for_reboot;
use crate::attempt::transition::verify_limit;
use crate::observed::Observation;
use crate::policy::Policy;
use crate::timers::{Clock, later};

/// The next transition of an attempt on a node that exists and is the same one; none: the attempt
/// waits. Nothing is overdue before `patient_until`. `is_uncordoned`: a drainer reports our cordon
/// as removed, for the attempt's present generation, and the view of the node agrees. `looks`: what the policy of
/// the node demands beyond that.
pub(crate) fn next_transition(
    attempt: &Attempt,
    observation: &Observation<'_>,
    is_uncordoned: bool,
    looks: &Looks,
    policy: &Policy,
    patient_until: Timestamp,
    clock: &Clock,
) -> Option<Transition> {
    let rule = Rule {
        attempt,
        observation,
        is_uncordoned,
        looks,
        policy,
        patient_until,
        clock,
    };
    match attempt.phase {
        Phase::Draining => rule.draining(),
        Phase::Rebooting => rule.rebooting(),
        Phase::Verifying => rule.verifying(),
        Phase::Uncordoning => rule.uncordoning(),
        Phase::Soaking => rule.soaking(),
        Phase::RollingBack => rule.rolling_back(),
        Phase::Failed if attempt.slot_held => rule.failed(),
        Phase::Done | Phase::Failed | Phase::Cancelled => None,
    }
}

/// What the looks at what a policy demands have shown.
#[derive(Debug, Clone)]
pub(crate) struct Looks {
    /// Whether the reboot of a drained node may be ordered.
    pub(crate) last_look: LastLook,
    /// Whether a node that is Ready in its new boot is back in service.
    pub(crate) service: Service,
    /// What keeps the soak from its end, though its time is over.
    pub(crate) soak: Option<Reason>,
    /// An operator holds the node itself: after the reboot it stays as it is, and the operator is the limit of that.
    pub(crate) is_held: bool,
}

/// What the last look before the order to reboot has shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LastLook {
    /// The reboot may be ordered.
    Passed,
    /// The reboot may not be ordered.
    Refused(Reason),
    /// An answer has to come first.
    Waits(Reason),
}

/// What the rule of a phase looks at.
struct Rule<'a> {
    attempt: &'a Attempt,
    observation: &'a Observation<'a>,
    is_uncordoned: bool,
    looks: &'a Looks,
    policy: &'a Policy,
    patient_until: Timestamp,
    clock: &'a Clock,
}

impl Rule<'_> {
    /// The phase has lasted longer than its limit and this time.
    fn overdue(&self, by: SignedDuration) -> bool {
        let deadline = self.attempt.deadline;
        deadline.is_some_and(|deadline| self.clock.reached(later(deadline, by).max(self.patient_until)))
    }

    fn carries_our_mark(&self) -> bool {
        self.observation.node.cordoned_for == Some(self.attempt.id)
    }

    /// Sentinel and kubelet report the same boot, another one than before (or another user space of it) or, if no host was
    /// called for a reboot, one without need; and the node has been Ready for so long that its slot can be free.
    fn is_healthy(&self) -> bool {
        let observation = self.observation;
        let settled = observation.settled_boot();
        let proved = self.is_proved();
        // A host that was called for a reboot may go down though nothing needs that reboot any more.
        let called = self.attempt.reboot_started_at.is_some();
        let needless = settled.is_some() && observation.need_is_gone() && !called;
        (proved || needless) && observation.ready_for(self.policy.soak, self.clock)
    }

    /// Sentinel and kubelet are in another boot or user space than before, and the node is Ready there.
    fn is_proved(&self) -> bool {
        let observation = self.observation;
        observation.proved_boot(self.attempt).is_some() && observation.is_ready_after(self.attempt, self.clock)
    }

    fn kubelet_is_new(&self) -> bool {
        self.observation.kubelet_left_boot(self.attempt)
    }

    fn draining(&self) -> Option<Transition> {
        let (attempt, observation) = (self.attempt, self.observation);
        if observation.left_boot(attempt) {
            let message = "the node was rebooted, and not by this attempt".to_owned();
            return Some(Transition::RollBack(Cause::RebootedElsewhere, message));
        }
        if observation.need_is_gone() {
            let message = "the host does not need a reboot any more".to_owned();
            return Some(Transition::RollBack(Cause::NeedCleared, message));
        }
        if let Some(order_ended) = self.order_ended() {
            return Some(order_ended);
        }
        if self.overdue(Policy::DRAIN_ANSWER) {
            let message = match (attempt.drained_at, &self.looks.last_look) {
                (None, _) => "no drainer has answered in time".to_owned(),
                (Some(_), LastLook::Waits(reason)) => format!("not in time: {}", reason.message()),
                (Some(_), LastLook::Passed | LastLook::Refused(_)) => {
                    "the node was not Ready and cordoned in time".to_owned()
                }
            };
            return Some(Transition::RollBack(Cause::DrainFailed, message));
        }
        // The last look before the order: what was true at the start may have changed.
        let drained_at = attempt.drained_at?;
        if !observation.needs_reboot(self.clock) {
            let message = "whether the host needs a reboot is not known any more".to_owned();
            return Some(Transition::RollBack(Cause::NotFit, message));
        }
        if let LastLook::Refused(reason) = &self.looks.last_look {
            return Some(Transition::RollBack(Cause::NotFit, reason.message()));
        }
        if let Some(reason) = unfit_for_order(observation, attempt.reboot_kind, self.clock) {
            return Some(Transition::RollBack(Cause::NotFit, reason.message()));
        }
        let delayed_until = attempt.reboot_not_before;
        if delayed_until.is_some_and(|until| !self.clock.reached(until)) {
            return None;
        }
        let passed = self.looks.last_look == LastLook::Passed;
        if !(passed && observation.node.ready && observation.is_cordoned_for(attempt)) {
            return None;
        }
        // Pods that tolerate the cordon, or name the node, may have come since. A policy that lets pods go down with the
        // node asks for no such proof.
        let is_old = self.clock.reached(later(drained_at, Policy::DRAIN_PROVED_FOR));
        Some(if is_old && attempt.left_behind.is_empty() {
            Transition::DrainAgain
        } else {
            Transition::Enter(Phase::Rebooting, self.order_message())
        })
    }

    /// What is not usual of the order to reboot: its kind, and the pods that go down with the host; empty: nothing.
    fn order_message(&self) -> String {
        let kind = match self.attempt.reboot_kind {
            RebootKind::Full => None,
            kind @ (RebootKind::Kexec | RebootKind::Soft | RebootKind::Unknown(_)) => Some(format!("by {kind}")),
        };
        let pods = Some(self.attempt.left_behind.as_str()).filter(|pods| !pods.is_empty());
        let pods = pods.map(|pods| format!("the policy of the node permits the reboot: {pods}"));
        kind.into_iter().chain(pods).collect::<Vec<_>>().join("; ")
    }

    /// The attempt has to end, in any phase before the reboot call: the node is being deleted, or
    /// an operator took our cordon away, which is as good as a cancel.
    fn order_ended(&self) -> Option<Transition> {
        if self.observation.node.deleting {
            let message = "the node is being deleted".to_owned();
            return Some(Transition::RollBack(Cause::NotFit, message));
        }
        // The order to reboot was given on a view with our cordon: any later view without it counts.
        let removed = if self.attempt.phase == Phase::Rebooting {
            !self.observation.is_cordoned_for(self.attempt)
        } else {
            self.observation.cordon_was_removed(self.attempt, self.clock)
        };
        removed.then(|| {
            if self.observation.cordon_is_only_reported(self.attempt) {
                Transition::RollBack(Cause::DrainFailed, CORDON_NOT_SHOWN.to_owned())
            } else {
                Transition::RollBack(Cause::Operator, CORDON_REMOVED.to_owned())
            }
        })
    }

    fn rebooting(&self) -> Option<Transition> {
        let (attempt, observation) = (self.attempt, self.observation);
        if observation.left_boot(attempt) {
            return Some(Transition::Enter(Phase::Verifying, String::new()));
        }
        if let (None, Some(order_ended)) = (attempt.reboot_started_at, self.order_ended()) {
            return Some(order_ended);
        }
        if !self.overdue(ON_TIME) {
            return None;
        }
        if !observation.node.ready {
            let message = "the node has not come back in time: it stays cordoned".to_owned();
            return Some(Transition::End(Cause::NodeNotBack, message));
        }
        let message = match attempt.reboot_started_at {
            Some(at) => format!("the rebooter called for the reboot at {at:.0}, and the host still runs the same boot"),
            None => "the rebooter has not acted on the order, and may not any more".to_owned(),
        };
        Some(Transition::RollBack(Cause::RebootIgnored, message))
    }

    fn verifying(&self) -> Option<Transition> {
        if self.looks.is_held {
            return None;
        }
        let observation = self.observation;
        let is_proved = self.is_proved();
        if is_proved && self.looks.service == Service::Back {
            return Some(Transition::Enter(Phase::Uncordoning, String::new()));
        }
        if !self.overdue(ON_TIME) {
            return None;
        }
        if let (true, Service::Missing(missing)) = (is_proved, &self.looks.service) {
            let message = format!("the node is Ready, and not back in service in time: it stays cordoned: {missing}");
            return Some(Transition::End(Cause::NodeNotBack, message));
        }
        Some(if observation.node.ready && self.kubelet_is_new() {
            Transition::RollBack(Cause::NodeNotBack, SENTINEL_SILENT.to_owned())
        } else {
            let message = "the node rebooted and is not Ready in time: it stays cordoned".to_owned();
            Transition::End(Cause::NodeNotBack, message)
        })
    }

    fn uncordoning(&self) -> Option<Transition> {
        if self.is_uncordoned {
            return Some(Transition::Enter(Phase::Soaking, String::new()));
        }
        self.overdue(ON_TIME).then(|| {
            let message = "rebooted, but no drainer has uncordoned the node in time".to_owned();
            Transition::End(Cause::UncordonStuck, message)
        })
    }

    fn soaking(&self) -> Option<Transition> {
        let deadline = self.attempt.deadline;
        let over = deadline.is_some_and(|deadline| self.clock.reached(deadline))
            && self.observation.ready_for(self.policy.soak, self.clock);
        if over && self.looks.soak.is_none() {
            return Some(Transition::End(Cause::Completed, String::new()));
        }
        self.overdue(self.policy.verify_timeout).then(|| {
            let message = match self.looks.soak.as_ref().filter(|_| over) {
                None => "the node did not stay Ready after its reboot".to_owned(),
                Some(reason) => format!("at the end of the soak after the reboot, {}", reason.message()),
            };
            Transition::End(Cause::NodeNotBack, message)
        })
    }

    fn rolling_back(&self) -> Option<Transition> {
        if let Some(until) = self.reboot_may_happen_until()
            && !self.clock.reached(until.max(self.patient_until))
        {
            return None;
        }
        let is_down = self.attempt.reboot_started_at.is_some() && !self.observation.node.ready;
        if self.is_uncordoned && !is_down {
            if self.may_take_effect_late() {
                return None;
            }
            let ending = self.attempt.ending.as_ref()?;
            return Some(Transition::End(ending.cause, ending.message.clone()));
        }
        self.overdue(ON_TIME).then(|| {
            if is_down {
                let message = format!(
                    "the node has not come back from a reboot in time, after: {}",
                    self.reason()
                );
                Transition::End(Cause::NodeNotBack, message)
            } else {
                let message = format!("no drainer has uncordoned the node in time, after: {}", self.reason());
                Transition::End(Cause::UncordonStuck, message)
            }
        })
    }

    /// The attempt was broken off a short time ago, so what its parts had begun by then may still take effect: an API
    /// server that was slow to take a drainer's request may cordon the node after another drainer found nothing to
    /// remove, and a rebooter's announcement may be under way to another leader. Not after the reboot that the attempt
    /// ordered, nor after the time for one.
    fn may_take_effect_late(&self) -> bool {
        let attempt = self.attempt;
        let last = |phase| attempt.history.iter().rev().find(move |entered| entered.phase == phase);
        let broken_off = last(Phase::RollingBack);
        let has_rebooted = last(Phase::Rebooting).is_some() && self.observation.is_ready_after(attempt, self.clock);
        let time_was_over = attempt
            .ending
            .as_ref()
            .is_some_and(|ending| ending.cause == Cause::RebootIgnored);
        let may = is_for_reboot(attempt) && !time_was_over && !has_rebooted;
        may && broken_off.is_some_and(|broken_off| !self.clock.reached(later(broken_off.at, Policy::LATE_EFFECT_MAX)))
    }

    /// Until when the slot of a rollback has to be kept for a reboot that was called for: until the node
    /// is Ready in another boot, or the time for the reboot is over.
    fn reboot_may_happen_until(&self) -> Option<Timestamp> {
        if self.observation.is_ready_after(self.attempt, self.clock) {
            return None;
        }
        reboot_time_end(self.attempt, self.policy)
    }

    /// Why the attempt is rolled back, for operators.
    fn reason(&self) -> &str {
        self.attempt.ending.as_ref().map_or("", |ending| &ending.message)
    }

    /// A failed attempt keeps its slot until its node is healthy.
    fn failed(&self) -> Option<Transition> {
        let (attempt, observation) = (self.attempt, self.observation);
        let ending = attempt.ending.as_ref()?;
        match ending.cause {
            Cause::NodeNotBack if attempt.cordoned_at.is_some() => self.came_back_late(),
            Cause::UncordonStuck => {
                // What kept the slot before the uncordon got stuck still does.
                let kept = ending.rollback_cause.is_some_and(|cause| keeps_slot(attempt, cause));
                let settled = if kept {
                    self.is_healthy()
                } else {
                    observation.ready_for(self.policy.soak, self.clock)
                };
                (settled && !self.carries_our_mark() && !self.may_take_effect_late())
                    .then(|| Transition::ReleaseSlot("the node does not carry our cordon any more".to_owned()))
            }
            Cause::DrainFailed => self.held(),
            Cause::Completed
            | Cause::Operator
            | Cause::NeedCleared
            | Cause::RebootedElsewhere
            | Cause::ForeignCordon
            | Cause::NodeGone
            | Cause::RebootRefused
            | Cause::RebootIgnored
            | Cause::NodeNotBack
            | Cause::RecordLost
            | Cause::NotFit => (self.is_healthy() && self.looks.soak.is_none())
                .then(|| Transition::ReleaseSlot("the node is healthy".to_owned())),
        }
    }

    /// A node whose policy wants it as its failed drain has left it: until an operator removes our cordon or cancels, or
    /// the reason for the reboot is gone.
    fn held(&self) -> Option<Transition> {
        let (attempt, observation) = (self.attempt, self.observation);
        // The view of a node that was cordoned right before the end of its drain may be late.
        let shown = attempt.cordoned_at.is_some();
        let is_late = || self.clock.reached(later(attempt.phase_since(), Policy::VIEW_LAG_MAX));
        if !self.carries_our_mark() && (shown || is_late()) {
            let message = "the node does not carry our cordon any more";
            return Some(Transition::ReleaseSlot(message.to_owned()));
        }
        if self.carries_our_mark() && !observation.node.unschedulable {
            return Some(Transition::RollBack(Cause::Operator, CORDON_REMOVED.to_owned()));
        }
        let message = if observation.left_boot(attempt) {
            "the node was rebooted, and not by this attempt"
        } else if observation.need_is_gone() {
            "the host does not need a reboot any more"
        } else if observation.node.deleting {
            "the node is being deleted"
        } else {
            return None;
        };
        Some(Transition::RollBack(
            Cause::DrainFailed,
            format!("{message}, after: {}", self.reason()),
        ))
    }

    fn came_back_late(&self) -> Option<Transition> {
        if self.looks.is_held {
            return None;
        }
        if self.is_proved() {
            let message = "the node came back late".to_owned();
            return (self.looks.service == Service::Back).then_some(Transition::Enter(Phase::Uncordoning, message));
        }
        // The sentinel comes up after the kubelet, or not at all.
        let observation = self.observation;
        if self.kubelet_is_new() && observation.ready_for(verify_limit(self.attempt, self.policy), self.clock) {
            return Some(Transition::RollBack(Cause::NodeNotBack, SENTINEL_SILENT.to_owned()));
        }
        let same_boot = !observation.left_boot(self.attempt);
        (observation.node.ready && same_boot).then(|| {
            let message = "the node is Ready again and has not rebooted".to_owned();
            Transition::RollBack(Cause::RebootIgnored, message)
        })
    }
}

/// When the time for the reboot that the rebooter has called for is over; none: no call was announced.
pub(super) fn reboot_time_end(attempt: &Attempt, policy: &Policy) -> Option<Timestamp> {
    let started = attempt.reboot_started_at?;
    let mut history = attempt.history.iter();
    let ordered = history.find(|entered| entered.phase == Phase::Rebooting);
    let ordered = ordered.map_or(started, |entered| entered.at);
    // A call after the order's own end comes from a host whose clock is behind: its time begins there.
    let is_late = attempt.reboot_not_after.is_some_and(|end| started > end);
    let begun = if is_late { started } else { ordered };
    Some(later(begun, policy.reboot_timeout))
}

/// A phase is overdue at its deadline and not later.
const ON_TIME: SignedDuration = SignedDuration::ZERO;
const CORDON_REMOVED: &str = "an operator took our cordon away";
const CORDON_NOT_SHOWN: &str = "a drainer reports our cordon, and the Node object does not carry it";
const SENTINEL_SILENT: &str = "the node is back, but its sentinel has not reported since";
