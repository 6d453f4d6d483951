//! The spans of an attempt: written when each phase is over, so that they survive the reboot
//! of a node and the end of a scheduler.

use bellwether_chassis::telemetry::FinishedSpan;
use bellwether_proto::{Attempt, Phase, attribute};
use jiff::Timestamp;

/// The span of a phase, and of the attempt if it is over.
pub(crate) fn write(attempt: &Attempt, phase: Phase, began: Timestamp, ended: Timestamp) {
    FinishedSpan {
        name: phase.as_str().into(),
        trace_id: attempt.trace.trace_id,
        span_id: None,
        parent: Some(attempt.trace.span_id),
        start: began,
        end: ended,
        attributes: attributes(attempt),
        error: error_of(attempt).filter(|_| attempt.phase == Phase::RollingBack || attempt.phase.is_ended()),
    }
    .write();
    // A node that came back late ends twice; its span has been written then, and there can be but one.
    let endings = attempt.history.iter().filter(|entered| entered.phase.is_ended());
    if attempt.phase.is_ended() && endings.count() == 1 {
        FinishedSpan {
            name: "reboot node".into(),
            trace_id: attempt.trace.trace_id,
            span_id: Some(attempt.trace.span_id),
            parent: attempt.need_span,
            start: attempt.started_at(),
            end: ended,
            attributes: attributes(attempt),
            error: error_of(attempt),
        }
        .write();
    }
}

fn attributes(attempt: &Attempt) -> Vec<(&'static str, String)> {
    let mut attributes = vec![
        (attribute::NODE, attempt.node.to_string()),
        (attribute::ATTEMPT, attempt.id.to_string()),
        (attribute::BOOT_BEFORE, attempt.boot_before.to_string()),
    ];
    if let Some(after) = &attempt.boot_after {
        attributes.push((attribute::BOOT_AFTER, after.to_string()));
    }
    if let Some(ending) = &attempt.ending {
        attributes.push((attribute::OUTCOME, attempt.phase.as_str().to_owned()));
        attributes.push((attribute::CAUSE, ending.cause.as_str().to_owned()));
    }
    attributes
}

fn error_of(attempt: &Attempt) -> Option<String> {
    let ending = attempt.ending.as_ref()?;
    (ending.cause.outcome() == Phase::Failed).then(|| ending.message.clone())
}
