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
    /// How the kernel that the reboot would start differs; none: not known.
    pub kernel_change: Option<KernelChange>,
}

/// How the kernel that a reboot would start differs from the one that runs. See [`wire::KernelChange`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KernelChange {
    /// Another build with the same interface for modules.
    Compatible,
    /// Another version.
    Version,
}

impl KernelChange {
    /// The change of a wire value; none of a value that this version does not know, since nothing is decided by it.
    #[must_use]
    pub fn from_wire(value: i32) -> Option<Self> {
        match wire::KernelChange::try_from(value) {
            Ok(wire::KernelChange::Compatible) => Some(Self::Compatible),
            Ok(wire::KernelChange::Version) => Some(Self::Version),
            Ok(wire::KernelChange::Unspecified) | Err(_) => None,
        }
    }

    /// The wire value; none: not known.
    #[must_use]
    pub fn to_wire(change: Option<Self>) -> i32 {
        let change = match change {
            None => wire::KernelChange::Unspecified,
            Some(Self::Compatible) => wire::KernelChange::Compatible,
            Some(Self::Version) => wire::KernelChange::Version,
        };
        change.into()
    }

    /// The word for JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Compatible => "Compatible",
            Self::Version => "Version",
        }
    }
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
                kernel_change: KernelChange::from_wire(need.kernel_change),
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
                kernel_change: KernelChange::to_wire(need.kernel_change),
            }),
            problem: problem.map(Problem::to_wire),
        }
    }
}
