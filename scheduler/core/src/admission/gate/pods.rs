//! Pods on the node with which its policy lets the node not start.
//!
//! The pods of a node are listed only when the node is at the head of the queue. A node whose gate is shut leaves the
//! queue for half a minute, so that the next one goes.

use bellwether_policy::Gates;
use jiff::Timestamp;

use crate::admission::gate::look::{Look, Looked, fold};
use crate::admission::gate::{Candidate, gates_of};
use crate::admission::reason::Reason;
use crate::reading::{Outcome, PodReadings, Slot};
use crate::timers::{Clock, later};

pub(super) fn gate(candidate: &Candidate<'_>) -> Option<Reason> {
    let (policy, gates) = gates_of(candidate.governing)?;
    let recent = gates.pods.iter().filter_map(|gate| {
        let last = candidate.own.pods.get(gate)?.last.as_ref()?;
        // After that time the next listing decides.
        let is_old = candidate.clock.reached(later(last.asked_at, Slot::RENEWAL));
        (!is_old).then_some(looked_at(gate, Some(&last.outcome)))
    });
    match fold(policy, recent) {
        Look::Open | Look::Unread(_) => None,
        Look::Shut(reason) | Look::Failed(reason) => Some(reason),
    }
}

/// Each gate with the outcome that was asked for at `since` or later.
pub(super) fn looked<'a>(
    gates: &'a Gates,
    readings: &'a PodReadings,
    since: Timestamp,
    clock: &'a Clock,
) -> impl Iterator<Item = Looked<'a>> {
    gates.pods.iter().map(move |gate| {
        let slot = readings.get(gate);
        looked_at(gate, slot.and_then(|slot| slot.outcome(since, clock)))
    })
}

fn looked_at<'a>(gate: &'a bellwether_policy::PodGate, outcome: Option<&'a Outcome>) -> Looked<'a> {
    Looked {
        gate: &gate.name,
        on_error: gate.on_error,
        outcome,
        shut: |policy, gate, found| Reason::BlockingPod { policy, gate, found },
    }
}
