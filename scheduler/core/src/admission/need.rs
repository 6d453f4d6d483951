//! The first question about a node without a running attempt: does its host need a reboot?

use bellwether_policy::Governing;
use bellwether_proto::{Attempt, NeedReport, Phase, RebootNeed};

use crate::admission::gate::{self, Blockers, Candidate, OwnReadings};
use crate::admission::reason::Reason;
use crate::observed::Observation;
use crate::policy::Policy;
use crate::timers::Clock;

/// The answer for a node that has no running attempt.
#[derive(Debug, Clone)]
pub(crate) enum Verdict<'a> {
    /// The host needs no reboot.
    NotNeeded,
    /// Whether the host needs a reboot is not known.
    Unknown(Reason),
    /// The last attempt failed and holds its slot.
    Failed(Reason),
    /// The host needs a reboot, and these gates are shut: one at least.
    Blocked(Vec<Reason>),
    /// The node may start as soon as there is a slot.
    Open(&'a RebootNeed),
}

impl Verdict<'_> {
    /// Every gate that costs no query is open.
    pub(crate) fn depends_on_readings(&self) -> bool {
        match self {
            Self::Open(_) => true,
            Self::Blocked(reasons) => reasons.iter().all(Reason::is_of_reading),
            Self::NotNeeded | Self::Unknown(_) | Self::Failed(_) => false,
        }
    }
}

/// Judges one node that `governing` governs; `last` is its last attempt, `own` what was read of this
/// node, and `blockers` are those of the whole fleet.
pub(crate) fn verdict<'a>(
    observation: &Observation<'a>,
    governing: &'a Governing,
    last: Option<&'a Attempt>,
    own: OwnReadings<'a>,
    blockers: &'a Blockers,
    policy: &'a Policy,
    clock: &'a Clock,
) -> Verdict<'a> {
    if let Some(failed) = last.filter(|last| last.phase == Phase::Failed && last.slot_held) {
        return Verdict::Failed(Reason::failed(failed));
    }
    let Some(sentinel) = observation.sentinel else {
        return Verdict::Unknown(Reason::NoReport);
    };
    if clock.reached(sentinel.stale_at()) {
        return Verdict::Unknown(Reason::ReportStale {
            stored_at: sentinel.stored_at,
        });
    }
    let need = match &sentinel.report.need {
        NeedReport::Unknown(problem) => return Verdict::Unknown(Reason::ProbeError(problem.message.clone())),
        NeedReport::NotRequired => return Verdict::NotNeeded,
        NeedReport::Required(need) => need,
    };
    let candidate = Candidate {
        observation: *observation,
        need,
        last,
        governing,
        own,
        blockers,
        policy,
        clock,
    };
    let shut = gate::shut(&candidate);
    if shut.is_empty() {
        Verdict::Open(need)
    } else {
        Verdict::Blocked(shut)
    }
}
