//! The spans of an attempt: written when each phase is over, so that they survive the reboot
//! of a node and the end of a scheduler. Among them are those of the agents, which export nothing.

use bellwether_chassis::traces::FinishedSpan;
use bellwether_proto::{Attempt, Cause, Ending, Phase, attribute};
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
    match phase {
        Phase::Draining => write_need(attempt),
        Phase::Rebooting => write_call(attempt, began, ended),
        Phase::Verifying
        | Phase::Uncordoning
        | Phase::Soaking
        | Phase::RollingBack
        | Phase::Done
        | Phase::Failed
        | Phase::Cancelled => (),
    }
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

/// The first span of the trace, whose ids the sentinel has chosen. Each attempt for the same need writes it.
fn write_need(attempt: &Attempt) {
    if attempt.need_span.is_none() {
        return;
    }
    // A package that was installed in the drain makes the need a later one.
    let began = attempt.history.first().map_or(attempt.need_since, |entered| entered.at);
    let since = attempt.need_since.min(began);
    FinishedSpan {
        name: "reboot required".into(),
        trace_id: attempt.trace.trace_id,
        span_id: attempt.need_span,
        parent: None,
        start: since,
        end: since,
        attributes: vec![
            (attribute::AGENT, "sentinel".to_owned()),
            (attribute::NODE, attempt.node.to_string()),
            (attribute::REASONS, attempt.reasons.join("; ")),
        ],
        error: None,
    }
    .write();
}

/// From the order until the rebooter was about to call for the reboot, or until it was given up.
fn write_call(attempt: &Attempt, ordered: Timestamp, ended: Timestamp) {
    let refused = |ending: &&Ending| ending.cause == Cause::RebootRefused;
    let refusal = attempt.ending.as_ref().filter(refused);
    if attempt.reboot_started_at.is_none() && refusal.is_none() {
        // The rebooter has done nothing that is known.
        return;
    }
    let mut attributes = attributes(attempt);
    attributes.push((attribute::AGENT, "rebooter".to_owned()));
    FinishedSpan {
        name: "reboot host".into(),
        trace_id: attempt.trace.trace_id,
        span_id: None,
        parent: Some(attempt.trace.span_id),
        start: ordered,
        // The host's clock may be behind.
        end: attempt
            .reboot_started_at
            .unwrap_or(ended)
            .clamp(ordered, ended.max(ordered)),
        attributes,
        error: refusal.map(|ending| ending.message.clone()),
    }
    .write();
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
