//! The life of one attempt: from what is seen and what was said to the next phase.
//!
//! It owns the rules of every phase, and nothing else: slots, order and gates are elsewhere.

use bellwether_proto::{Attempt, Cause, DrainFailure, Ending, Fact, NodeEvent, Phase, PhaseEntered};
use jiff::Timestamp;

use crate::admission::reason as gate;
use crate::observed::node::Seen;
use crate::policy::{Policy, later};

/// What an attempt does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Move {
    /// It goes on.
    Enter(Phase, String),
    /// It goes back, and ends so.
    RollBack(Cause, String),
    /// It ends, with nothing left to undo.
    End(Cause, String),
    /// The drain has to be done again, in what is left of its time.
    DrainAgain(String),
    /// The slot that it holds is free.
    Release(String),
}

/// What happens next to an attempt on a node that exists and is the same one. Nothing is overdue
/// before `patient_until`.
pub(crate) fn step(
    attempt: &Attempt,
    seen: &Seen<'_>,
    policy: &Policy,
    patient_until: Timestamp,
    now: Timestamp,
) -> Option<Move> {
    let overdue = |by| {
        attempt
            .deadline
            .is_some_and(|deadline| now >= later(deadline, by).max(patient_until))
    };
    let on_time = jiff::SignedDuration::ZERO;
    match attempt.phase {
        Phase::Draining => draining(attempt, seen, overdue(Policy::DRAIN_ANSWER), now),
        Phase::Rebooting => rebooting(attempt, seen, overdue(on_time)),
        Phase::Verifying => verifying(attempt, seen, overdue(on_time)),
        Phase::Uncordoning => overdue(on_time).then(|| {
            Move::End(
                Cause::UncordonStuck,
                "rebooted, but no drainer has uncordoned it in time".to_owned(),
            )
        }),
        Phase::Soaking => {
            let over = attempt.deadline.is_some_and(|deadline| now >= deadline) && seen.ready_for(policy.soak, now);
            soaking(over, overdue(policy.verify_timeout))
        }
        Phase::RollingBack => overdue(on_time).then(|| {
            let before = attempt
                .ending
                .as_ref()
                .map(|ending| ending.message.clone())
                .unwrap_or_default();
            Move::End(
                Cause::UncordonStuck,
                format!("no drainer has uncordoned it in time, after: {before}"),
            )
        }),
        Phase::Failed if attempt.slot_held => failed(attempt, seen, policy, now),
        Phase::Done | Phase::Failed | Phase::Cancelled => None,
    }
}

fn draining(attempt: &Attempt, seen: &Seen<'_>, overdue: bool, now: Timestamp) -> Option<Move> {
    if seen.left_boot(&attempt.boot_before) {
        return Some(Move::RollBack(
            Cause::RebootedElsewhere,
            "somebody else rebooted the node".to_owned(),
        ));
    }
    if seen.need_is_gone() {
        return Some(Move::RollBack(
            Cause::NeedCleared,
            "the host does not need a reboot any more".to_owned(),
        ));
    }
    if overdue {
        let what = if attempt.drained_at.is_some() {
            "the node was not Ready and cordoned in time"
        } else {
            "no drainer has answered in time"
        };
        return Some(Move::RollBack(Cause::DrainFailed, what.to_owned()));
    }
    // The last look before the order: what was true at the start may have changed.
    attempt.drained_at?;
    if !seen.needs_reboot(now) {
        return Some(Move::RollBack(
            Cause::NotFit,
            "whether the host needs a reboot is not known any more".to_owned(),
        ));
    }
    if let Some(reason) = gate::unfit(seen, now) {
        return Some(Move::RollBack(Cause::NotFit, reason.message()));
    }
    if seen.was_uncordoned(attempt) {
        return Some(Move::DrainAgain(
            "somebody uncordoned the node after its drain".to_owned(),
        ));
    }
    (seen.node.ready && seen.is_cordoned_for(attempt)).then(|| Move::Enter(Phase::Rebooting, String::new()))
}

fn rebooting(attempt: &Attempt, seen: &Seen<'_>, overdue: bool) -> Option<Move> {
    if seen.left_boot(&attempt.boot_before) {
        return Some(Move::Enter(Phase::Verifying, String::new()));
    }
    if attempt.reboot_started_at.is_none() && seen.was_uncordoned(attempt) {
        return Some(Move::RollBack(
            Cause::NotFit,
            "somebody uncordoned the node after its drain".to_owned(),
        ));
    }
    if !overdue {
        return None;
    }
    Some(if seen.node.ready {
        let what = match attempt.reboot_started_at {
            Some(at) => format!("the host was told to reboot at {at:.0} and still runs the same boot"),
            None => "the rebooter has not acted on the order".to_owned(),
        };
        Move::RollBack(Cause::RebootIgnored, what)
    } else {
        Move::End(
            Cause::NodeNotBack,
            "the node has not come back in time: it stays cordoned".to_owned(),
        )
    })
}

fn verifying(attempt: &Attempt, seen: &Seen<'_>, overdue: bool) -> Option<Move> {
    if seen.proved_boot(&attempt.boot_before).is_some() {
        return Some(Move::Enter(Phase::Uncordoning, String::new()));
    }
    if !overdue {
        return None;
    }
    let kubelet_is_new = seen
        .node
        .boot_id
        .as_ref()
        .is_some_and(|boot| *boot != attempt.boot_before);
    Some(if seen.node.ready && kubelet_is_new {
        Move::RollBack(
            Cause::NodeNotBack,
            "the node is back, but its sentinel has not reported since".to_owned(),
        )
    } else {
        Move::End(
            Cause::NodeNotBack,
            "the node rebooted and is not Ready in time: it stays cordoned".to_owned(),
        )
    })
}

fn soaking(over: bool, overdue: bool) -> Option<Move> {
    if over {
        return Some(Move::End(Cause::Completed, String::new()));
    }
    overdue.then(|| {
        Move::End(
            Cause::NodeNotBack,
            "the node did not stay Ready after its reboot".to_owned(),
        )
    })
}

/// A failed attempt keeps its slot until its node is healthy.
fn failed(attempt: &Attempt, seen: &Seen<'_>, policy: &Policy, now: Timestamp) -> Option<Move> {
    let proved = seen.proved_boot(&attempt.boot_before).is_some();
    match attempt.ending.as_ref()?.cause {
        Cause::NodeNotBack if attempt.cordoned_at.is_some() => {
            if proved {
                return Some(Move::Enter(Phase::Uncordoning, "the node came back late".to_owned()));
            }
            // Its sentinel comes up after its kubelet, or not at all.
            let kubelet_is_new = seen
                .node
                .boot_id
                .as_ref()
                .is_some_and(|boot| *boot != attempt.boot_before);
            if kubelet_is_new && seen.ready_for(policy.verify_timeout, now) {
                let what = "the node is back, but its sentinel has not reported since".to_owned();
                return Some(Move::RollBack(Cause::NodeNotBack, what));
            }
            let same_boot = !seen.left_boot(&attempt.boot_before);
            (seen.node.ready && same_boot).then(|| {
                Move::RollBack(
                    Cause::RebootIgnored,
                    "the node is Ready again and has not rebooted".to_owned(),
                )
            })
        }
        Cause::UncordonStuck => {
            let ours = seen.node.cordoned_for == Some(attempt.id);
            (!ours && seen.node.ready).then(|| Move::Release("uncordoned at last".to_owned()))
        }
        Cause::Completed
        | Cause::Operator
        | Cause::NeedCleared
        | Cause::RebootedElsewhere
        | Cause::ForeignCordon
        | Cause::NodeGone
        | Cause::DrainFailed
        | Cause::RebootRefused
        | Cause::RebootIgnored
        | Cause::NodeNotBack
        | Cause::RecordLost
        | Cause::NotFit => {
            let healthy = proved || (seen.need_is_gone() && seen.node.ready);
            healthy.then(|| Move::Release("the node is healthy".to_owned()))
        }
    }
}

/// Takes what was said about an attempt; the caller has made sure that it is this attempt.
pub(crate) fn hear(attempt: &mut Attempt, event: &NodeEvent, now: Timestamp) -> Option<Move> {
    let current = event.generation == attempt.generation;
    match &event.fact {
        // Told again after the uncordon it says nothing any more.
        Fact::Cordoned if attempt.cordoned_at.is_none() && may_carry_cordon(attempt.phase) => {
            attempt.cordoned_at = Some(now);
            None
        }
        Fact::Drained { .. } if current && attempt.phase == Phase::Draining => {
            attempt.cordoned_at.get_or_insert(now);
            attempt.drained_at.get_or_insert(now);
            None
        }
        Fact::DrainFailed { failure, message } if current && attempt.phase == Phase::Draining => Some(match failure {
            DrainFailure::ForeignCordon => Move::End(Cause::ForeignCordon, message.clone()),
            DrainFailure::NodeGone => Move::End(Cause::NodeGone, message.clone()),
            DrainFailure::Timeout | DrainFailure::Forbidden => Move::RollBack(Cause::DrainFailed, message.clone()),
        }),
        Fact::Uncordoned { .. } if current => {
            attempt.cordoned_at = None;
            match attempt.phase {
                Phase::Uncordoning => Some(Move::Enter(Phase::Soaking, String::new())),
                Phase::RollingBack => {
                    let ending = attempt.ending.clone()?;
                    Some(Move::End(ending.cause, ending.message))
                }
                Phase::Draining
                | Phase::Rebooting
                | Phase::Verifying
                | Phase::Soaking
                | Phase::Done
                | Phase::Failed
                | Phase::Cancelled => None,
            }
        }
        Fact::RebootStarted { boot_id, .. } if *boot_id == attempt.boot_before => {
            attempt.reboot_started_at.get_or_insert(now);
            None
        }
        Fact::RebootRefused { message } if current && attempt.phase == Phase::Rebooting => Some(Move::RollBack(
            Cause::RebootRefused,
            format!("the rebooter refused: {message}"),
        )),
        // The host may reboot all the same, so only the deadline ends the phase.
        Fact::RebootFailed { .. } => None,
        Fact::Cordoned
        | Fact::Drained { .. }
        | Fact::DrainFailed { .. }
        | Fact::Uncordoned { .. }
        | Fact::RebootStarted { .. }
        | Fact::RebootRefused { .. }
        | Fact::DrainProgressed { .. }
        | Fact::UncordonFailed { .. }
        | Fact::PhaseChanged { .. } => None,
    }
}

/// Makes the move. The phases that were entered are in the history.
pub(crate) fn make(attempt: &mut Attempt, next: Move, seen: Option<&Seen<'_>>, policy: &Policy, now: Timestamp) {
    match next {
        Move::Enter(phase, _) => {
            if phase == Phase::Rebooting {
                attempt.reboot_not_after = Some(later(now, policy.reboot_start_timeout));
            }
            if phase == Phase::Uncordoning {
                attempt.ending = None;
                attempt.slot_held = true;
                if let Some(seen) = seen {
                    attempt.boot_after = seen.proved_boot(&attempt.boot_before).cloned();
                    attempt.kernel_after = Some(seen.node.kernel.clone());
                }
            }
            enter(attempt, phase, policy, now);
        }
        Move::RollBack(cause, message) => {
            attempt.ending = Some(Ending { cause, message });
            enter(attempt, Phase::RollingBack, policy, now);
        }
        Move::End(cause, message) => end(attempt, cause, message, policy, now),
        Move::DrainAgain(_) => {
            attempt.drained_at = None;
            let deadline = attempt.deadline;
            enter(attempt, Phase::Draining, policy, now);
            attempt.deadline = deadline;
        }
        Move::Release(_) => {
            attempt.slot_held = false;
        }
    }
}

fn end(attempt: &mut Attempt, cause: Cause, message: String, policy: &Policy, now: Timestamp) {
    attempt.ending = Some(Ending { cause, message });
    attempt.slot_held = keeps_slot(cause);
    if matches!(cause, Cause::ForeignCordon | Cause::NodeGone) {
        attempt.cordoned_at = None;
    }
    let failed_before = attempt.history.iter().any(|entered| entered.phase == Phase::Failed);
    if cause.outcome() == Phase::Failed && !failed_before {
        attempt.failures_in_row = attempt.failures_in_row.saturating_add(1);
        attempt.retry_not_before = Some(later(now, policy.retry_delay_after(attempt.failures_in_row)));
    } else if cause.outcome() != Phase::Failed {
        attempt.failures_in_row = 0;
        // Who cancels does not want it to start again at once.
        attempt.retry_not_before = (cause == Cause::Operator).then(|| later(now, policy.retry_delay));
    }
    enter(attempt, cause.outcome(), policy, now);
}

fn enter(attempt: &mut Attempt, phase: Phase, policy: &Policy, now: Timestamp) {
    attempt.generation = attempt.generation.next();
    attempt.phase = phase;
    attempt.history.push(PhaseEntered { phase, at: now });
    attempt.deadline = limit(phase, policy).map(|limit| later(now, limit));
}

/// How long a phase may last; none if the attempt is over.
pub(crate) fn limit(phase: Phase, policy: &Policy) -> Option<jiff::SignedDuration> {
    match phase {
        Phase::Draining => Some(policy.drain_timeout),
        Phase::Rebooting => Some(policy.reboot_timeout),
        Phase::Verifying => Some(policy.verify_timeout),
        Phase::Uncordoning | Phase::RollingBack => Some(policy.uncordon_timeout),
        Phase::Soaking => Some(policy.soak),
        Phase::Done | Phase::Failed | Phase::Cancelled => None,
    }
}

fn may_carry_cordon(phase: Phase) -> bool {
    match phase {
        Phase::Draining | Phase::Rebooting | Phase::Verifying | Phase::Uncordoning | Phase::RollingBack => true,
        Phase::Soaking | Phase::Done | Phase::Failed | Phase::Cancelled => false,
    }
}

/// After these the node may still be disrupted, or about to be: somebody has to look.
fn keeps_slot(cause: Cause) -> bool {
    matches!(cause, Cause::RebootIgnored | Cause::NodeNotBack | Cause::UncordonStuck)
}

/// A failed attempt whose cordon has to go, unlike that of a node that never came back.
pub(crate) fn wants_uncordon(attempt: &Attempt) -> bool {
    let cause = attempt.ending.as_ref().map(|ending| ending.cause);
    attempt.phase == Phase::Failed && attempt.slot_held && cause == Some(Cause::UncordonStuck)
}
