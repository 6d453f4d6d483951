//! When each reason ends, for the outlook of the queue. No decision rests on it.

use jiff::Timestamp;

use crate::admission::reason::Reason;
use crate::observed::AnnotatedUntil;

/// When a reason ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Foreseen {
    /// At this instant.
    At(Timestamp),
    /// By the turn of the node, by an opening, or within moments.
    InTurn,
    /// Only when an operator or another program acts.
    Never,
}

impl Reason {
    /// When the reason ends, as far as that is a matter of time and order.
    pub(crate) fn foreseen(&self) -> Foreseen {
        match self {
            Self::CanarySoaking { until, .. }
            | Self::MinInterval { until, .. }
            | Self::CoolingDown { until, .. }
            | Self::SameObstacle { until, .. } => Foreseen::At(*until),
            Self::Paused(order) => order.until.map_or(Foreseen::Never, Foreseen::At),
            Self::Held(order) => match order.until {
                AnnotatedUntil::At(until) => Foreseen::At(until),
                AnnotatedUntil::Unstated | AnnotatedUntil::Malformed(_) => Foreseen::Never,
            },
            Self::CanaryFirst { .. }
            | Self::WindowShut { .. }
            | Self::WindowTooShort { .. }
            | Self::BootUnsettled
            | Self::ControlPlaneBusy(..)
            | Self::PrometheusShut { .. }
            | Self::BlockingPod { .. }
            | Self::GateFailed { .. }
            | Self::GateUnread { .. }
            | Self::DrainNotNow { .. }
            | Self::DrainUnchecked { .. }
            | Self::NoSlot { .. } => Foreseen::InTurn,
            Self::RecordUnreadable(_)
            | Self::NoReport
            | Self::ReportStale { .. }
            | Self::ProbeError(_)
            | Self::Skipped(_)
            | Self::CanarySkipped { .. }
            | Self::NotApproved { .. }
            | Self::RivalFound { .. }
            | Self::NoPolicy
            | Self::PolicyConflict { .. }
            | Self::PolicyRefused { .. }
            | Self::PolicyStopped { .. }
            | Self::CohortStopped { .. }
            | Self::NoCanary { .. }
            | Self::CanaryFailed { .. }
            | Self::NotReady
            | Self::NodeDeleting
            | Self::Claimed { .. }
            | Self::ForeignCordon
            | Self::CordonLeftBehind
            | Self::ConditionFound { .. }
            | Self::TaintFound { .. }
            | Self::NeedSurvivedReboot
            | Self::DrainBlocked { .. }
            | Self::RebootLoop { .. }
            | Self::NoRebooter
            | Self::PreflightFailed(_)
            | Self::ClockOff { .. }
            | Self::RecordKeyUnknown { .. }
            | Self::Failed(..)
            | Self::InAttempt(..) => Foreseen::Never,
        }
    }
}
