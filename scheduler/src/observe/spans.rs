//! The spans of an attempt: written when each phase is over, so that they survive the reboot
//! of a node and the end of a scheduler. Among them are those of the agents, which export nothing.
//!
//! All is in the record, the ids too: a leader that takes over writes the spans of the newest changes again, which a scheduler
//! that died may not have sent, and each is the same span as before.

use bellwether_chassis::traces::{AttributeValue, FinishedEvent, FinishedSpan, texts};
use bellwether_proto::{Attempt, Cause, Ending, GateHeld, Phase, PhaseEntered, attribute, span, span_event};
use jiff::{SignedDuration, Timestamp};

/// How old the newest change of an attempt may be whose spans are written again. A leader that takes over is later by less, also
/// when NATS is away for minutes.
const AGAIN: SignedDuration = SignedDuration::from_mins(15);

/// The span of the phase that has ended, and of the attempt if it is over.
///
/// An attempt that is not sampled has none in any service: its record says so.
pub(crate) fn write(attempt: &Attempt) {
    if let [.., ended, next] = attempt.history.as_slice() {
        write_phase(attempt, ended, next);
    }
}

/// The spans of an attempt up to now, if the scheduler before may not have sent the newest of them.
pub(crate) fn write_again(attempt: &Attempt, now: Timestamp) {
    if now.duration_since(attempt.phase_since()) > AGAIN {
        return;
    }
    for pair in attempt.history.windows(2) {
        if let [ended, next] = pair {
            write_phase(attempt, ended, next);
        }
    }
}

fn write_phase(attempt: &Attempt, ended: &PhaseEntered, next: &PhaseEntered) {
    if !attempt.trace.sampled {
        return;
    }
    if !ended.phase.is_ended() {
        let fails = next.phase == Phase::RollingBack || next.phase.is_ended();
        FinishedSpan {
            attributes: attributes(attempt),
            error: error_of(attempt).filter(|_| fails),
            ..part(attempt, ended.phase.as_str(), ended.at, next.at)
        }
        .write();
    }
    match ended.phase {
        Phase::Draining => {
            write_need(attempt);
            if let Some(wait) = wait(attempt) {
                wait.write();
            }
        }
        Phase::Rebooting => write_call(attempt, ended.at, next.at),
        Phase::Verifying
        | Phase::Uncordoning
        | Phase::Soaking
        | Phase::RollingBack
        | Phase::Done
        | Phase::Failed
        | Phase::Cancelled => (),
    }
    // A node that came back late ends twice; there can be but one span of the attempt, which is of the first end.
    let first_end = attempt.history.iter().find(|entered| entered.phase.is_ended());
    if first_end == Some(next) {
        FinishedSpan {
            span_id: Some(attempt.trace.span_id),
            parent: attempt.need_span,
            attributes: attributes(attempt),
            // A trace that is not sampled has no span to lead to.
            links: attempt
                .previous
                .filter(|previous| previous.sampled)
                .into_iter()
                .collect(),
            error: error_of(attempt),
            ..part(attempt, span::REBOOT_NODE, attempt.started_at(), next.at)
        }
        .write();
        write_gap(attempt, next.at);
    }
}

/// A part of the attempt, with an id that follows from its name and begin.
fn part(attempt: &Attempt, name: &'static str, start: Timestamp, end: Timestamp) -> FinishedSpan {
    FinishedSpan {
        name: name.into(),
        trace_id: attempt.trace.trace_id,
        span_id: Some(attempt.trace.part(name, start)),
        parent: Some(attempt.trace.span_id),
        is_parent_remote: false,
        start,
        end,
        attributes: vec![(attribute::NODE, attempt.node.to_string().into())],
        events: Vec::new(),
        links: Vec::new(),
        error: None,
    }
}

/// The first span of the trace, whose ids the sentinel has chosen. Each attempt for the same need writes it.
fn write_need(attempt: &Attempt) {
    if attempt.need_span.is_none() {
        return;
    }
    // A package that was installed in the drain makes the need a later one.
    let since = attempt.waited_since.unwrap_or(attempt.need_since);
    let since = since.min(attempt.started_at());
    let mut need = FinishedSpan {
        span_id: attempt.need_span,
        parent: None,
        ..part(attempt, span::REBOOT_REQUIRED, since, since)
    };
    need.attributes.push((attribute::AGENT, "sentinel".into()));
    need.attributes.push((attribute::REASONS, texts(&attempt.reasons)));
    need.write();
}

/// From the need to the first attempt for it; none: what lies before a further attempt is another attempt, and the delay after it.
/// By what the record has had from its start on, since the attempt's end changes its failures, and the host its need.
fn wait(attempt: &Attempt) -> Option<FinishedSpan> {
    let parent = attempt.need_span?;
    let began = attempt.started_at();
    let since = attempt.waited_since?.min(began);
    Some(FinishedSpan {
        parent: Some(parent),
        events: gates(attempt, since, began),
        ..part(attempt, span::WAITING, since, began)
    })
}

/// The gates that held the node within the wait, by the record's list, in the order of their times.
fn gates(attempt: &Attempt, since: Timestamp, until: Timestamp) -> Vec<FinishedEvent> {
    let event = |name, at: Option<Timestamp>, gate: &GateHeld| {
        // The host's clock states when the need began, and may differ.
        let at = at?.clamp(since, until);
        let attributes = vec![
            (attribute::GATE_CODE, gate.code.clone().into()),
            (attribute::GATE_MESSAGE, gate.message.clone().into()),
            (attribute::GATE_TIMES, i64::from(gate.times).into()),
        ];
        Some(FinishedEvent { name, at, attributes })
    };
    let both = |gate: &GateHeld| {
        let shut = event(span_event::GATE_SHUT, gate.since, gate);
        shut.into_iter().chain(event(span_event::GATE_OPEN, gate.until, gate))
    };
    let mut events: Vec<_> = attempt.held.iter().flat_map(both).collect();
    events.sort_by_key(|event| event.at);
    events
}

/// From the last sign of the old boot to the first of the new one, when no service hears of the host; with the phases of the
/// boot, as far as the host tells. A host that is not back has been away until the attempt ended.
fn write_gap(attempt: &Attempt, ended: Timestamp) {
    let entered = |phase| {
        attempt
            .history
            .iter()
            .find(|entered| entered.phase == phase)
            .map(|entered| entered.at)
    };
    let Some(left) = attempt.reboot_started_at.or_else(|| entered(Phase::Rebooting)) else {
        return;
    };
    let back = entered(Phase::Verifying);
    if back.is_none() && attempt.reboot_started_at.is_none() {
        // No host was called for a reboot.
        return;
    }
    let gap = FinishedSpan {
        attributes: attributes(attempt),
        error: error_of(attempt).filter(|_| back.is_none()),
        ..part(attempt, span::HOST_AWAY, left, back.unwrap_or(ended).max(left))
    };
    for (name, start, end) in boot_phases(attempt) {
        FinishedSpan {
            parent: gap.span_id,
            ..part(attempt, name, start, end)
        }
        .write();
    }
    gap.write();
}

/// The phases of the boot, by the host's clock.
fn boot_phases(attempt: &Attempt) -> Vec<(&'static str, Timestamp, Timestamp)> {
    let Some(times) = attempt.boot_times.as_deref() else {
        return Vec::new();
    };
    let Some(kernel) = times.kernel_started_at else {
        return Vec::new();
    };
    let mut before = [times.firmware, times.loader].into_iter().flatten();
    let Ok(mut start) = before.try_fold(kernel, |at, took| at.checked_sub(took)) else {
        return Vec::new();
    };
    let phases = [
        (span::FIRMWARE, times.firmware),
        (span::BOOT_LOADER, times.loader),
        (span::KERNEL, times.kernel),
        (span::INITRD, times.initrd),
        (span::USER_SPACE, times.userspace),
    ];
    let mut spans = Vec::new();
    for (name, took) in phases {
        let Some(took) = took else { continue };
        let Ok(end) = start.checked_add(took) else { break };
        spans.push((name, start, end));
        start = end;
    }
    spans
}

/// From the order until the rebooter was about to call for the reboot, or until it was given up.
fn write_call(attempt: &Attempt, ordered: Timestamp, ended: Timestamp) {
    let refused = |ending: &&Ending| ending.cause == Cause::RebootRefused;
    let refusal = attempt.ending.as_ref().filter(refused);
    if attempt.reboot_started_at.is_none() && refusal.is_none() {
        // The rebooter has done nothing that is known.
        return;
    }
    // The host's clock may be behind.
    let called = attempt.reboot_started_at.unwrap_or(ended);
    let end = called.clamp(ordered, ended.max(ordered));
    let mut attributes = attributes(attempt);
    attributes.push((attribute::AGENT, "rebooter".into()));
    FinishedSpan {
        attributes,
        error: refusal.map(|ending| ending.message.clone()),
        ..part(attempt, span::REBOOT_HOST, ordered, end)
    }
    .write();
}

fn attributes(attempt: &Attempt) -> Vec<(&'static str, AttributeValue)> {
    let mut attributes = vec![
        (attribute::NODE, attempt.node.to_string().into()),
        (attribute::ATTEMPT, attempt.id.to_string().into()),
        (attribute::BOOT_BEFORE, attempt.boot_before.to_string().into()),
    ];
    if let Some(after) = &attempt.boot_after {
        attributes.push((attribute::BOOT_AFTER, after.to_string().into()));
    }
    if let Some(ending) = &attempt.ending {
        attributes.push((attribute::OUTCOME, attempt.phase.as_str().into()));
        attributes.push((attribute::CAUSE, ending.cause.as_str().into()));
    }
    attributes
}

fn error_of(attempt: &Attempt) -> Option<String> {
    let ending = attempt.ending.as_ref()?;
    (ending.cause.outcome() == Phase::Failed).then(|| ending.message.clone())
}

#[cfg(test)]
mod tests {
    use bellwether_proto::{AttemptRef, BootTimes, Generation};
    use jiff::SignedDuration;

    use super::*;

    /// The event as its name, its second, and the code of its gate.
    fn shown(event: &FinishedEvent) -> (&str, i64, String) {
        let code = event.attributes.iter().find(|(key, _)| *key == attribute::GATE_CODE);
        let code = code.map(|(_, value)| value.as_str().into_owned()).unwrap_or_default();
        (event.name, event.at.as_second(), code)
    }

    #[test]
    fn each_gate_that_held_the_node_is_two_events_within_the_wait() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let gate = |code: &str, since, until| GateHeld {
            code: code.to_owned(),
            message: String::new(),
            since: Some(at(since)),
            until: Some(at(until)),
            times: 1,
        };
        let mut attempt = attempt();
        attempt.held = vec![gate("Paused", 5, 20), gate("OutsideWindow", 15, 40)];
        let events = gates(&attempt, at(10), at(30));
        let shown: Vec<_> = events.iter().map(shown).collect();
        let of = |name, second, code: &str| (name, second, code.to_owned());
        assert_eq!(
            shown,
            [
                of("gate shut", 10, "Paused"),
                of("gate shut", 15, "OutsideWindow"),
                of("gate open", 20, "Paused"),
                of("gate open", 30, "OutsideWindow"),
            ]
        );
    }

    fn attempt() -> Attempt {
        Attempt::new(
            AttemptRef {
                node: "n".parse().unwrap(),
                node_uid: "uid".parse().unwrap(),
                attempt: "dddddddd-dddd-4ddd-8ddd-dddddddddddd".parse().unwrap(),
                generation: Generation(1),
            },
            "boot".parse().unwrap(),
            Timestamp::UNIX_EPOCH,
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
                .parse()
                .unwrap(),
        )
    }

    #[test]
    fn the_wait_is_that_of_the_start_whatever_the_record_shows_since() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let mut attempt = attempt();
        attempt.need_span = Some([1; 8]);
        attempt.history = vec![PhaseEntered {
            phase: Phase::Draining,
            at: at(30),
        }];
        attempt.waited_since = Some(at(10));
        let times = |attempt: &Attempt| wait(attempt).map(|wait| (wait.start, wait.end, wait.span_id));
        let first = times(&attempt);
        assert_eq!(first.map(|(start, end, _)| (start, end)), Some((at(10), at(30))));
        // A failure, and a package that was installed meanwhile.
        (attempt.failures_in_row, attempt.need_since) = (1, at(40));
        assert_eq!(times(&attempt), first);
        // A further attempt, which has ended as Done.
        (attempt.failures_in_row, attempt.waited_since) = (0, None);
        assert_eq!(times(&attempt), None);
    }

    #[test]
    fn the_phases_of_a_boot_lie_around_the_start_of_its_kernel() {
        let mut attempt = attempt();
        assert_eq!(boot_phases(&attempt), []);
        let seconds = |seconds| Some(SignedDuration::from_secs(seconds));
        let times = BootTimes {
            kernel_started_at: Some(Timestamp::from_second(1000).unwrap()),
            firmware: seconds(8),
            loader: seconds(2),
            kernel: seconds(3),
            initrd: None,
            userspace: seconds(20),
        };
        attempt.boot_times = Some(Box::new(times.clone()));
        let at = |second| Timestamp::from_second(second).unwrap();
        let phases = [
            ("firmware", at(990), at(998)),
            ("boot loader", at(998), at(1000)),
            ("kernel", at(1000), at(1003)),
            ("user space", at(1003), at(1023)),
        ];
        assert_eq!(boot_phases(&attempt), phases);
        // Without the start nothing has its place.
        let unplaced = BootTimes {
            kernel_started_at: None,
            ..times
        };
        attempt.boot_times = Some(Box::new(unplaced));
        assert_eq!(boot_phases(&attempt), []);
    }
}
