//! What a node needs after its reboot before it is uncordoned: its pods of DaemonSets, listed once before the reboot and then
//! until they are Ready again; and the operator who holds the node.

use std::sync::Arc;

use bellwether_policy::{BackInService, Governing, PrometheusGate, Selector};
use bellwether_proto::{Attempt, Cause, DaemonPod, NodeName, Phase, UnitsBefore};
use jiff::{SignedDuration, Timestamp};

use crate::admission::{Look, Reason, units_unknown};
use crate::attempt::{self, Service};
use crate::effect::Effect;
use crate::fleet::Fleet;
use crate::fleet::member::Member;
use crate::observed::{NodeView, Observation};
use crate::reading::{Outcome, Query, Slot};
use crate::timers::{Clock, later};

/// How often the pods of a node are listed that is to be uncordoned once they are Ready: a listing costs little, and a
/// node that is back serves again some seconds sooner.
const AGAIN: SignedDuration = SignedDuration::from_secs(5);

/// The gate that reasons name.
const NAME: &str = "backInService";

impl Member {
    /// The pods of DaemonSets on the node, by the last listing.
    pub(super) fn daemon_pods_of_last_listing(&self) -> Vec<DaemonPod> {
        let last = self.daemon_pods.last.as_ref();
        match last.map(|last| &last.outcome) {
            Some(Outcome::DaemonPods(pods)) => pods.iter().map(DaemonPod::from).collect(),
            Some(Outcome::Open | Outcome::Shut(_) | Outcome::NotNow(_) | Outcome::Failed(_)) | None => Vec::new(),
        }
    }
}

impl Fleet {
    fn demanded(&self, node: &NodeView) -> Option<BackInService> {
        attempt::demanded(&self.blockers.policies.governing(node))
    }

    /// Whether the scheduler knows what has to be back after the reboot: the pods of DaemonSets were listed after the drain, and
    /// the host shows its units if the policy demands that none fails.
    pub(super) fn look_at_service(
        &self,
        member: &Member,
        observation: &Observation<'_>,
        drained_at: Timestamp,
        clock: &Clock,
    ) -> Look {
        let node = observation.node;
        if let Some(reason) = units_unknown(&self.blockers.policies.governing(node), observation) {
            return Look::Failed(reason);
        }
        if self.demanded(node).and_then(|demanded| demanded.daemon_pods).is_none() {
            return Look::Open;
        }
        let (policy, gate) = (self.blockers.policies.name_for(node), NAME.to_owned());
        match member.daemon_pods.outcome(drained_at, clock) {
            None => Look::Unread(Reason::GateUnread { policy, gate }),
            Some(Outcome::Failed(error)) => {
                let error = error.clone();
                Look::Failed(Reason::GateFailed { policy, gate, error })
            }
            Some(Outcome::DaemonPods(_) | Outcome::Open | Outcome::Shut(_) | Outcome::NotNow(_)) => Look::Open,
        }
    }

    /// Whether a node that is Ready in its new boot is back in service.
    pub(super) fn service(
        &self,
        member: &Member,
        attempt: &Attempt,
        observation: &Observation<'_>,
        clock: &Clock,
    ) -> Service {
        let Some(since) = since_back(attempt, observation) else {
            return Service::Back;
        };
        if let Some(hold) = self.hold(observation.node, clock) {
            let hold = hold.message();
            return Service::Missing(format!("{hold}; until then the node keeps its cordon and its slot"));
        }
        let governing = self.blockers.policies.governing(observation.node);
        let found = attempt::demanded(&governing).map(|demanded| {
            let since = since.unwrap_or_else(|| clock.now());
            let listed = member.daemon_pods.outcome(since, clock);
            attempt::service(attempt, observation.node, &demanded, listed)
        });
        match found.unwrap_or(Service::Back) {
            Service::Back => {
                let boot = observation.proved_boot(attempt);
                let shown = boot.and_then(|boot| observation.shown_boot(boot));
                attempt::units(attempt, &governing, shown)
            }
            missing @ Service::Missing(_) => missing,
        }
    }

    /// The units of the host that have failed before its reboot, and whether the policy demands that no other one does.
    pub(super) fn units_before(&self, attempt: &Attempt, observation: &Observation<'_>) -> Option<UnitsBefore> {
        let demanded = self.demanded(observation.node);
        observation.shown_boot(&attempt.boot_before).map(|boot| UnitsBefore {
            failed_units: boot.failed_units.clone(),
            hold: demanded.is_some_and(|demanded| demanded.holds_on_failed_units),
        })
    }

    /// The order by which an operator holds this node alone: one to stop a policy or the fleet leaves no node cordoned.
    pub(super) fn hold(&self, node: &NodeView, clock: &Clock) -> Option<Reason> {
        let ordered = self.blockers.orders.hold(&node.name, clock);
        let annotated = || node.annotated_hold(clock).cloned();
        ordered
            .map(|order| Reason::Paused(Arc::clone(order)))
            .or_else(|| Some(Reason::Held(Box::new(annotated()?))))
    }

    /// Notes that an operator took the cordon away after the reboot. The drainer writes mark and cordon together, so a node
    /// with the mark alone was uncordoned by others. A view of the old boot may be one of before the end of the drain, in
    /// which the drainer has cordoned the node again since.
    pub(super) fn note_removed_cordon(&mut self, name: &NodeName, now: Timestamp) {
        let Some(member) = self.members.get(name) else { return };
        let (Some(observation), Some(attempt)) = (member.observation(), member.attempt.as_deref()) else {
            return;
        };
        let node = observation.node;
        let is_uncordoned = node.cordoned_for == Some(attempt.id) && !node.unschedulable;
        let may_be_cordoned = match attempt.phase {
            Phase::Verifying | Phase::Uncordoning | Phase::Failed => true,
            Phase::Draining
            | Phase::Rebooting
            | Phase::Soaking
            | Phase::RollingBack
            | Phase::Done
            | Phase::Cancelled => false,
        };
        let is_new = observation.kubelet_left_boot(attempt);
        if is_uncordoned && may_be_cordoned && is_new && attempt.cordon_removed_at.is_none() {
            let mut changed = attempt.clone();
            changed.cordon_removed_at = Some(now);
            self.change_attempt(changed, None, now);
        }
    }

    /// Moves the deadline of a node that an operator holds after its reboot, so that at least half of the time is left for
    /// the rest once the hold ends, under another leader too.
    pub(super) fn note_hold(&mut self, name: &NodeName, clock: &Clock) {
        let Some(member) = self.members.get(name) else { return };
        let (Some(observation), Some(attempt)) = (member.observation(), member.attempt.as_deref()) else {
            return;
        };
        let deadline = attempt.deadline.filter(|_| attempt.phase == Phase::Verifying);
        let Some(deadline) = deadline.filter(|_| self.hold(observation.node, clock).is_some()) else {
            return;
        };
        let limit = self.policy.verify_timeout;
        let half = deadline.checked_sub(limit / 2).unwrap_or(deadline);
        if clock.reached(half) {
            let mut changed = attempt.clone();
            changed.deadline = Some(later(clock.now(), limit));
            self.change_attempt(changed, None, clock.now());
            // When the deadline is moved again.
            clock.reached(later(clock.now(), limit / 2));
        }
    }

    /// Why a soak whose time is over is not; none: its time is not over, or nothing keeps it.
    pub(super) fn soak_is_held_by(&self, attempt: &Attempt, node: &NodeView) -> Option<Reason> {
        let since = soak_over_at(attempt)?;
        let governing = self.blockers.policies.governing(node);
        match self.blockers.look_at_soak(&governing, since) {
            Look::Open => None,
            Look::Shut(reason) | Look::Failed(reason) | Look::Unread(reason) => Some(reason),
        }
    }

    /// Has the pods of DaemonSets listed, if the node's attempt waits for that.
    pub(super) fn read_daemon_pods(&mut self, name: &NodeName, clock: &Clock) {
        let Some((selector, due_at)) = self.daemon_pods_due(name, clock) else {
            if let Some(member) = self.members.get_mut(name) {
                member.daemon_pods = Slot::default();
            }
            return;
        };
        if !clock.reached(due_at) {
            return;
        }
        let Some(member) = self.members.get_mut(name) else {
            return;
        };
        let asked_at = clock.now();
        member.daemon_pods.asked_at = Some(asked_at);
        clock.reached(later(asked_at, Slot::LOST_AFTER));
        self.effects.push_back(Effect::Read {
            query: Query::DaemonPods {
                node: name.clone(),
                selector,
            },
            asked_at,
        });
    }

    /// Which pods are to be listed, and when; none: the node's attempt does not wait for that.
    fn daemon_pods_due(&self, name: &NodeName, clock: &Clock) -> Option<(Selector, Timestamp)> {
        let member = self.members.get(name)?;
        let (observation, attempt) = (member.observation()?, member.attempt.as_deref()?);
        let slot = &member.daemon_pods;
        let due_at = if attempt.phase == Phase::Draining {
            slot.due_at(attempt.drained_at?)
        } else {
            let since = since_back(attempt, &observation)?.unwrap_or_else(|| clock.now());
            let due_at = slot.due_at(since);
            let is_over = |last: &crate::reading::Reading| last.asked_at >= since && slot.asked_at.is_none();
            let last = slot.last.as_ref().filter(|last| is_over(last));
            // A failed attempt may wait for days.
            let soon = last.filter(|_| attempt.phase == Phase::Verifying);
            soon.map_or(due_at, |last| later(last.asked_at, AGAIN))
        };
        let selector = self.demanded(observation.node)?.daemon_pods?;
        Some((selector, due_at))
    }
}

/// When the time of a node's soak is over: only then readings count, since a fault takes its time to show. Of a failed
/// attempt, whose soak may have been kept until then, any reading counts.
fn soak_over_at(attempt: &Attempt) -> Option<Timestamp> {
    match attempt.phase {
        Phase::Soaking => attempt.deadline,
        Phase::Failed if failed_in_soak(attempt) => Some(Timestamp::MIN),
        Phase::Failed
        | Phase::Draining
        | Phase::Rebooting
        | Phase::Verifying
        | Phase::Uncordoning
        | Phase::RollingBack
        | Phase::Done
        | Phase::Cancelled => None,
    }
}

/// The questions of a node's soak that have to be asked now, and since when their answers count.
pub(super) fn soak_wants<'a>(
    attempt: &Attempt,
    governing: &'a Governing,
    clock: &Clock,
) -> Option<(&'a [PrometheusGate], Timestamp)> {
    let since = soak_over_at(attempt).filter(|at| clock.reached(*at))?;
    Some((&governing.terms()?.back_in_service.prometheus, since))
}

/// The node of a failed attempt that keeps its slot was uncordoned, and did not stay healthy.
fn failed_in_soak(attempt: &Attempt) -> bool {
    is_not_back(attempt) && attempt.cordoned_at.is_none()
}

/// The node of a failed attempt that keeps its slot is not back in service.
fn is_not_back(attempt: &Attempt) -> bool {
    let cause = attempt.ending.as_ref().map(|ending| ending.cause);
    attempt.phase == Phase::Failed && attempt.slot_held && cause == Some(Cause::NodeNotBack)
}

/// Since when the node is Ready in the new boot whose service is awaited, if that is known; none: no service is awaited.
fn since_back(attempt: &Attempt, observation: &Observation<'_>) -> Option<Option<Timestamp>> {
    let is_late = is_not_back(attempt) && attempt.cordoned_at.is_some();
    let awaits = attempt.phase == Phase::Verifying || is_late;
    observation.proved_boot(attempt).filter(|_| awaits)?;
    Some(observation.ready_after_from(attempt))
}
