//! The transitions of an attempt, and what each one writes into its record.

use bellwether_proto::limit::{EARLIER_REBOOTS_MAX, HISTORY_MAX};
use bellwether_proto::{Attempt, BootTimes, Cause, Ending, LastReboot, Phase, PhaseEntered, RebootKind};
use jiff::{SignedDuration, Timestamp};

use crate::attempt::retry;
use crate::observed::Observation;
use crate::policy::Policy;
use crate::timers::later;

/// The next step of an attempt. The texts are for operators.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Transition {
    /// The attempt continues in this phase.
    Enter(Phase, String),
    /// The attempt takes our cordon away, and ends with this cause.
    RollBack(Cause, String),
    /// The attempt ends, with nothing left to undo.
    End(Cause, String),
    /// The drain failed, and the node's policy wants the node as it is: the attempt ends, and keeps cordon and slot until
    /// an operator cancels.
    Hold(String),
    /// The command of the phase is not queued any more and has no answer: a new generation asks for
    /// the same again, so that no answer to the old command counts for the new one.
    AskAgain,
    /// The drain was proved too long ago: a new generation asks for it again, and pods that were bound since go too.
    DrainAgain,
    /// The slot of an ended attempt is free.
    ReleaseSlot(String),
}

impl Transition {
    /// The reason of the transition, for operators; may be empty.
    pub(crate) fn message(&self) -> &str {
        match self {
            Self::Enter(_, message)
            | Self::RollBack(_, message)
            | Self::End(_, message)
            | Self::Hold(message)
            | Self::ReleaseSlot(message) => message,
            Self::AskAgain | Self::DrainAgain => "",
        }
    }

    /// True if the attempt enters a phase.
    pub(crate) fn enters(&self) -> bool {
        matches!(
            self,
            Self::Enter(..) | Self::RollBack(..) | Self::End(..) | Self::Hold(_)
        )
    }
}

/// Writes a transition into the record. The history gains the phase that is entered.
pub(crate) fn apply(
    attempt: &mut Attempt,
    transition: Transition,
    observation: Option<&Observation<'_>>,
    policy: &Policy,
    now: Timestamp,
) {
    match transition {
        Transition::Enter(phase, _) => {
            match phase {
                Phase::Rebooting => {
                    attempt.reboot_not_after = Some(later(now, policy.reboot_start_timeout));
                    if attempt.reboot_kind == RebootKind::Soft {
                        attempt.soft_reboots_before =
                            observation.and_then(|observation| observation.soft_reboots_in(&attempt.boot_before));
                    }
                }
                Phase::Uncordoning => {
                    attempt.ending = None;
                    attempt.slot_held = true;
                    if let Some(observation) = observation {
                        attempt.boot_after = observation.proved_boot(attempt).cloned();
                        attempt.kernel_after = Some(observation.node.kernel.clone());
                        note_boot(attempt, observation);
                    }
                }
                // The way to this phase is an uncordon.
                Phase::Soaking => {
                    attempt.cordoned_at = None;
                    attempt.daemon_pods.clear();
                }
                Phase::Draining
                | Phase::Verifying
                | Phase::RollingBack
                | Phase::Done
                | Phase::Failed
                | Phase::Cancelled => (),
            }
            note_reboot(attempt, observation);
            enter(attempt, phase, policy, now);
        }
        Transition::RollBack(cause, message) => {
            note_reboot(attempt, observation);
            attempt.slot_held = true;
            attempt.ending = Some(ending(cause, message));
            enter(attempt, Phase::RollingBack, policy, now);
        }
        Transition::End(cause, message) => end(attempt, cause, message, observation, policy, now),
        Transition::Hold(message) => {
            end(attempt, Cause::DrainFailed, message, observation, policy, now);
            attempt.slot_held = true;
        }
        Transition::AskAgain => attempt.generation = attempt.generation.next(),
        Transition::DrainAgain => {
            attempt.generation = attempt.generation.next();
            attempt.drained_at = None;
        }
        Transition::ReleaseSlot(_) => {
            note_reboot(attempt, observation);
            attempt.slot_held = false;
            clear_removed_cordon(attempt, observation);
        }
    }
}

fn end(
    attempt: &mut Attempt,
    cause: Cause,
    message: String,
    observation: Option<&Observation<'_>>,
    policy: &Policy,
    now: Timestamp,
) {
    note_reboot(attempt, observation);
    if let Some(observation) = observation {
        // The boot may have ended since the proof.
        note_boot(attempt, observation);
    }
    let mut ending = ending(cause, message);
    if attempt.phase == Phase::RollingBack {
        if cause == Cause::UncordonStuck {
            ending.rollback_cause = attempt.ending.as_ref().map(|rollback| rollback.cause);
        }
        clear_removed_cordon(attempt, observation);
    }
    if matches!(cause, Cause::ForeignCordon | Cause::NodeGone) {
        attempt.cordoned_at = None;
    }
    retry::note_outcome(attempt, &ending, now);
    retry::note_obstacle(attempt, &ending);
    let need_returned = observation.is_some_and(|observation| observation.has_need() && !observation.need_is_served());
    retry::after_end(attempt, cause, need_returned, policy, now);
    attempt.ending = Some(ending);
    enter(attempt, cause.outcome(), policy, now);
}

fn ending(cause: Cause, message: String) -> Ending {
    Ending {
        cause,
        message,
        rollback_cause: None,
    }
}

/// The node does not carry our cordon any more, so nothing is left to be removed.
fn clear_removed_cordon(attempt: &mut Attempt, observation: Option<&Observation<'_>>) {
    if observation.is_some_and(|observation| observation.node.cordoned_for != Some(attempt.id)) {
        attempt.cordoned_at = None;
    }
}

/// Notes what the agents show of the boot that replaced the old one, once that is proved.
fn note_boot(attempt: &mut Attempt, observation: &Observation<'_>) {
    let Some(boot) = &attempt.boot_after else { return };
    let sentinel = observation.sentinel.map(|stored| &stored.report);
    // After a soft reboot the kernel runs on.
    let began = sentinel
        .filter(|report| report.boot_id == *boot && *boot != attempt.boot_before)
        .and_then(|report| report.booted_at);
    // A node that has booted again since shows another boot.
    if let Some(times) = BootTimes::shown(began, observation.shown_boot(boot)) {
        attempt.boot_times = Some(Box::new(times));
    }
}

/// Notes the boot in which the node is after the reboot that this attempt ordered, so that its need
/// can be distinguished from a new one.
pub(crate) fn note_reboot(attempt: &mut Attempt, observation: Option<&Observation<'_>>) {
    let ordered = attempt.history.iter().find(|entered| entered.phase == Phase::Rebooting);
    let (Some(ordered), Some(observation)) = (ordered, observation) else {
        return;
    };
    let Some((boot, soft_reboots)) = observation.boot_after(attempt) else {
        return;
    };
    let noted = attempt.last_reboot.as_ref();
    // After the proof, another boot is the work of others. Before a soft reboot, its boot may be noted for the reboot before.
    let is_proved = noted.is_some_and(|last| Some(&last.boot_id) == attempt.boot_after.as_ref())
        && (attempt.boot_after.as_ref() != Some(&attempt.boot_before) || has_noted_reboot(attempt));
    let is_noted = noted.is_some_and(|last| last.boot_id == *boot && last.soft_reboots == soft_reboots);
    if is_proved || is_noted {
        return;
    }
    let earlier = match &attempt.last_reboot {
        // The same reboot, whose host has booted again before the proof.
        Some(last) if has_noted_reboot(attempt) => last.earlier.clone(),
        Some(last) => std::iter::once(&last.began_at)
            .chain(&last.earlier)
            .take(EARLIER_REBOOTS_MAX)
            .copied()
            .collect(),
        None => Vec::new(),
    };
    // In the same reboot, what a view has shown as gone since is gone.
    let served_annotations = match &attempt.last_reboot {
        Some(last) if has_noted_reboot(attempt) => last.served_annotations.clone(),
        Some(_) | None => attempt.served_annotations.take(),
    };
    attempt.last_reboot = Some(LastReboot {
        boot_id: boot.clone(),
        need_since: attempt.need_since,
        began_at: attempt.reboot_started_at.unwrap_or(ordered.at),
        need_cleared: observation.need_is_cleared_in(boot),
        earlier,
        soft_reboots,
        served_annotations,
    });
}

/// The last reboot is one that this attempt ordered.
pub(crate) fn has_noted_reboot(attempt: &Attempt) -> bool {
    let last = attempt.last_reboot.as_ref();
    last.is_some_and(|last| last.began_at >= attempt.started_at())
}

/// Enters a phase: a new generation, a new deadline, one entry more in the history.
pub(super) fn enter(attempt: &mut Attempt, phase: Phase, policy: &Policy, now: Timestamp) {
    attempt.generation = attempt.generation.next();
    begin(attempt, phase, policy, now);
}

/// Begins a phase in the attempt's present generation.
pub(super) fn begin(attempt: &mut Attempt, phase: Phase, policy: &Policy, now: Timestamp) {
    attempt.phase = phase;
    attempt.history.push(PhaseEntered { phase, at: now });
    if attempt.history.len() > HISTORY_MAX {
        // The begin of the attempt and its newest phases stay.
        attempt.history.remove(1);
    }
    attempt.deadline = time_limit(attempt, policy).map(|limit| later(now, limit));
}

/// How long the attempt's present phase may last; none if the attempt has ended.
pub(crate) fn time_limit(attempt: &Attempt, policy: &Policy) -> Option<SignedDuration> {
    match attempt.phase {
        Phase::Draining => {
            let own = attempt.drain_terms.timeout;
            let drain = own.and_then(|own| own.try_into().ok()).unwrap_or(policy.drain_timeout);
            let delay = attempt.reboot_not_before.and_then(|_| attempt.reboot_delay());
            Some(drain.saturating_add(delay.unwrap_or_default()))
        }
        Phase::Rebooting => Some(policy.reboot_timeout),
        Phase::Verifying => Some(verify_limit(attempt, policy)),
        Phase::Uncordoning | Phase::RollingBack => Some(policy.uncordon_timeout),
        Phase::Soaking => Some(policy.soak),
        Phase::Done | Phase::Failed | Phase::Cancelled => None,
    }
}

/// How long the node may take to be Ready in its new boot: after a soft reboot also the time in which Ready does not count yet.
pub(super) fn verify_limit(attempt: &Attempt, policy: &Policy) -> SignedDuration {
    let stale = attempt.soft_reboots_before.map(|_| Policy::READY_STALE_MAX);
    policy.verify_timeout.saturating_add(stale.unwrap_or_default())
}

/// The drain of the attempt failed, and its node keeps cordon and slot until an operator cancels.
pub(crate) fn is_held(attempt: &Attempt) -> bool {
    let cause = attempt.ending.as_ref().map(|ending| ending.cause);
    attempt.phase == Phase::Failed && attempt.slot_held && cause == Some(Cause::DrainFailed)
}

/// A failed attempt whose cordon has to go, unlike that of a node that never came back.
pub(crate) fn wants_uncordon(attempt: &Attempt) -> bool {
    let cause = attempt.ending.as_ref().map(|ending| ending.cause);
    attempt.phase == Phase::Failed && attempt.slot_held && cause == Some(Cause::UncordonStuck)
}
