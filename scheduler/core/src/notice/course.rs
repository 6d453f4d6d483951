//! The course of an attempt as notices: a function of its record.

use std::collections::BTreeMap;

use bellwether_proto::{Attempt, Phase};
use jiff::{SignedDuration, Timestamp};

use crate::attempt::is_for_reboot;
use crate::notice::kind::name;
use crate::notice::{Notice, NoticeAction, NoticeReason};

/// The place of a notice in its attempt: of each, an attempt has one notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    /// The attempt entered a phase for the so-manieth time.
    Entered(Phase, usize),
    /// The first drain is over.
    Drained,
}

/// All places of a record, with their times.
pub(super) fn places(attempt: &Attempt) -> Vec<(Place, Timestamp)> {
    let mut times = BTreeMap::<Phase, usize>::new();
    let mut places: Vec<_> = attempt
        .history
        .iter()
        .map(|entered| {
            let time = times.entry(entered.phase).or_default();
            *time += 1;
            (Place::Entered(entered.phase, *time), entered.at)
        })
        .collect();
    places.extend(attempt.drained_at.map(|at| (Place::Drained, at)));
    places
}

/// The notice of a place; none: nothing that an operator has to know.
pub(super) fn notice(attempt: &Attempt, place: Place, at: Timestamp) -> Option<Notice> {
    let took = SignedDuration::from_secs(at.duration_since(attempt.started_at()).as_secs());
    let since_start = format!("{took:#}");
    let cause = attempt.ending.as_ref().map(|ending| ending.cause);
    let (suffix, reason, action, message) = match place {
        Place::Entered(Phase::Draining, 1) if is_for_reboot(attempt) => {
            let reasons = attempt.reasons.join(", ");
            let message = format!(
                "A reboot has been required since {:.0} ({reasons}), and the node has its turn: cordons and drains it",
                attempt.need_since
            );
            (
                "admitted".to_owned(),
                NoticeReason::RebootAdmitted,
                NoticeAction::Drain,
                message,
            )
        }
        Place::Drained => {
            let message = match attempt.left_behind.as_str() {
                "" => format!("Drained after {since_start}"),
                left => format!("The time of the drain is over after {since_start}; left behind: {left}"),
            };
            (
                "drained".to_owned(),
                NoticeReason::Drained,
                NoticeAction::Drain,
                message,
            )
        }
        Place::Entered(Phase::Rebooting, 1) => {
            let until = attempt
                .reboot_not_after
                .map(|until| format!(", to begin by {until:.0}"));
            let message = format!("The reboot of the host is ordered{}", until.unwrap_or_default());
            (
                "ordered".to_owned(),
                NoticeReason::RebootOrdered,
                NoticeAction::Reboot,
                message,
            )
        }
        Place::Entered(Phase::Soaking, 1) => {
            let kernel = match &attempt.kernel_after {
                Some(after) if *after != attempt.kernel_before => format!(", kernel {after}"),
                Some(_) | None => String::new(),
            };
            let message = format!("Back in service after {since_start}: rebooted, Ready and uncordoned{kernel}");
            (
                "back".to_owned(),
                NoticeReason::BackInService,
                NoticeAction::Uncordon,
                message,
            )
        }
        Place::Entered(Phase::RollingBack, time) => {
            // An uncordon that is stuck has a cause of its own.
            let rollback = attempt.ending.as_ref().and_then(|ending| ending.rollback_cause);
            let reason = NoticeReason::Ended(rollback.or(cause)?);
            let message = format!("No reboot: takes our cordon away, since {}", explained(attempt));
            (format!("rollback-{time}"), reason, NoticeAction::RollBack, message)
        }
        Place::Entered(phase @ (Phase::Failed | Phase::Cancelled), time) => {
            let slot = match attempt.slot_held {
                true => ". The node keeps its slot",
                false => "",
            };
            let message = format!("{} after {since_start}: {}{slot}", phase.as_str(), explained(attempt));
            let suffix = format!("{}-{time}", phase.as_str().to_lowercase());
            (suffix, NoticeReason::Ended(cause?), NoticeAction::End, message)
        }
        Place::Entered(
            Phase::Draining | Phase::Rebooting | Phase::Verifying | Phase::Uncordoning | Phase::Soaking | Phase::Done,
            _,
        ) => return None,
    };
    Some(Notice {
        name: name(attempt.id, &suffix),
        node: attempt.node.clone(),
        node_uid: attempt.node_uid.clone(),
        at,
        reason,
        action,
        message,
    })
}

/// Why the attempt ends, for operators.
fn explained(attempt: &Attempt) -> &str {
    let ending = attempt.ending.as_ref();
    let message = ending.map_or("", |ending| ending.message.as_str());
    match (message, ending.map(|ending| ending.cause)) {
        ("", Some(cause)) => cause.as_str(),
        (message, _) => message,
    }
}
