//! Questions of the policy to Prometheus servers: an alert is active, a query gives a result, or no answer came.

use bellwether_policy::PrometheusGate;
use jiff::Timestamp;

use crate::admission::gate::look::{Look, Looked, fold};
use crate::admission::gate::{Candidate, gates_of};
use crate::admission::readings::{SharedReadings, Since};
use crate::admission::reason::Reason;

pub(super) fn gate(candidate: &Candidate<'_>) -> Option<Reason> {
    let (policy, gates) = gates_of(candidate.governing)?;
    let readings = &candidate.blockers.readings;
    match fold(policy, looked(&gates.prometheus, readings, Timestamp::MIN)) {
        Look::Open => None,
        Look::Shut(reason) | Look::Failed(reason) | Look::Unread(reason) => Some(reason),
    }
}

/// Each gate with the outcome that was asked for at `since` or later.
pub(super) fn looked<'a>(
    gates: &'a [PrometheusGate],
    readings: &'a SharedReadings,
    since: Since,
) -> impl Iterator<Item = Looked<'a>> {
    gates.iter().map(move |gate| Looked {
        gate: &gate.name,
        on_error: gate.on_error,
        outcome: readings.outcome(gate, since),
        shut: |policy, gate, found| Reason::PrometheusShut { policy, gate, found },
    })
}
