//! The first record of an attempt.

use bellwether_proto::{
    Attempt, AttemptId, AttemptRef, Cause, DrainTerms, Ending, Generation, Phase, RebootKind, RebootNeed, TraceParent,
};
use jiff::Timestamp;

use crate::attempt::transition::begin;
use crate::observed::NodeView;
use crate::policy::Policy;

/// The record of a new attempt for this need, which begins with the drain. `last` is the node's
/// last attempt, `terms` are those of its drain and its reboot. None if the node's kubelet reports no boot.
pub(crate) fn start(
    node: &NodeView,
    last: Option<&Attempt>,
    need: &RebootNeed,
    terms: (DrainTerms, RebootKind),
    policy: &Policy,
    now: Timestamp,
) -> Option<Attempt> {
    let generation = generation_after(last);
    let id = AttemptId::new(&node.uid, generation, now);
    let mut attempt = record(id, node, last, trace_of(id, need.trace, policy), now)?;
    (attempt.drain_terms, attempt.reboot_kind) = terms;
    attempt.need_since = need.since;
    attempt.reasons.clone_from(&need.reasons);
    attempt.waited_since = (attempt.failures_in_row == 0).then_some(need.since);
    attempt.need_span = need.trace.map(|trace| trace.span_id);
    begin(&mut attempt, Phase::Draining, policy, now);
    Some(attempt)
}

/// The record of an attempt that only takes away the cordon with this id. None if the node's
/// kubelet reports no boot.
pub(super) fn roll_back_only(
    id: AttemptId,
    node: &NodeView,
    last: Option<&Attempt>,
    message: &str,
    policy: &Policy,
    now: Timestamp,
) -> Option<Attempt> {
    let mut attempt = record(id, node, last, trace_of(id, None, policy), now)?;
    attempt.cordoned_at = Some(now);
    attempt.ending = Some(Ending {
        cause: Cause::RecordLost,
        message: message.to_owned(),
        rollback_cause: None,
    });
    begin(&mut attempt, Phase::RollingBack, policy, now);
    Some(attempt)
}

/// The attempt is to reboot its node: it began with the drain. Else it only takes away a cordon.
pub(crate) fn is_for_reboot(attempt: &Attempt) -> bool {
    attempt
        .history
        .first()
        .is_some_and(|first| first.phase == Phase::Draining)
}

fn generation_after(last: Option<&Attempt>) -> Generation {
    last.map_or(Generation(0), |last| last.generation).next()
}

fn record(
    id: AttemptId,
    node: &NodeView,
    last: Option<&Attempt>,
    trace: TraceParent,
    now: Timestamp,
) -> Option<Attempt> {
    let attempt = AttemptRef {
        node: node.name.clone(),
        node_uid: node.uid.clone(),
        attempt: id,
        generation: generation_after(last),
    };
    Some(Attempt {
        kernel_before: node.kernel.clone(),
        failures_in_row: last.map_or(0, |last| last.failures_in_row),
        last_reboot: last.and_then(|last| last.last_reboot.clone()),
        failed_reboot: last.and_then(|last| last.failed_reboot),
        obstacle_run: last.and_then(|last| last.obstacle_run.clone()),
        drain_report: None,
        ..Attempt::new(attempt, node.boot_id.clone()?, now, trace)
    })
}

/// The attempt's own span: in the trace in which the need was first reported, or in one of its own. Whether it is sampled is
/// decided here once, for all services and over their crashes.
fn trace_of(id: AttemptId, need: Option<TraceParent>, policy: &Policy) -> TraceParent {
    let bytes = id.bytes();
    let (_, span_id) = bytes.split_at(8);
    let trace_id = need.map_or(bytes, |need| need.trace_id);
    TraceParent {
        trace_id,
        span_id: span_id.try_into().unwrap_or([1; 8]),
        sampled: policy.traces_ratio.samples(trace_id),
    }
}
