//! What one probe of a sentinel shows.

use jiff::Timestamp;

use crate::field::{instant_required, to_timestamp};
use crate::message::WireError;
use crate::problem::Problem;
use crate::wire;

/// What one probe shows. See [`wire::ProbeResult`].
#[derive(Debug, Clone, PartialEq)]
pub struct ProbeReport {
    /// Its name, one of a kind in a report.
    pub name: String,
    /// How it looks, for operators.
    pub kind: String,
    /// What it shows.
    pub outcome: ProbeOutcome,
}

/// What a probe shows.
#[derive(Debug, Clone, PartialEq)]
pub enum ProbeOutcome {
    /// It requires a reboot.
    Required(ProbeNeed),
    /// It requires none.
    NotRequired,
    /// It shows neither.
    Unknown(Problem),
}

/// A reboot that one probe requires. See [`wire::ProbeNeed`].
#[derive(Debug, Clone, PartialEq)]
pub struct ProbeNeed {
    /// Since when, by the host's clock.
    pub since: Timestamp,
    /// Why.
    pub reasons: Vec<String>,
    /// Nothing shows that it began in this boot: `since` says only when it was first reported.
    pub undated: bool,
}

impl ProbeReport {
    pub(crate) fn from_wire(wire: wire::ProbeResult) -> Result<Self, WireError> {
        let outcome = match (wire.problem, wire.need) {
            (Some(problem), _) => Problem::from_wire(Some(problem), String::new())
                .map_or(ProbeOutcome::NotRequired, ProbeOutcome::Unknown),
            (None, Some(need)) => ProbeOutcome::Required(ProbeNeed {
                since: instant_required("bellwether.v1.ProbeNeed", "since", need.since)?,
                reasons: need.reasons,
                undated: need.undated,
            }),
            (None, None) => ProbeOutcome::NotRequired,
        };
        Ok(Self {
            name: wire.name,
            kind: wire.kind,
            outcome,
        })
    }

    /// The message.
    #[must_use]
    pub fn to_wire(&self) -> wire::ProbeResult {
        let (need, problem) = match &self.outcome {
            ProbeOutcome::Required(need) => (Some(need), None),
            ProbeOutcome::NotRequired => (None, None),
            ProbeOutcome::Unknown(problem) => (None, Some(problem)),
        };
        wire::ProbeResult {
            name: self.name.clone(),
            kind: self.kind.clone(),
            need: need.map(|need| wire::ProbeNeed {
                since: Some(to_timestamp(need.since)),
                reasons: need.reasons.clone(),
                undated: need.undated,
            }),
            problem: problem.map(Problem::to_wire),
        }
    }
}
