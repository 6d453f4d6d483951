//! The next thing that a running attempt waits for, so that the way of a node from its need to its
//! reboot is explained at each step.

use bellwether_proto::{Attempt, Phase};

use crate::observed::Observation;

/// What a running attempt waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Wait {
    /// A drainer has to cordon and empty the node.
    Drain,
    /// The node is drained, and its object does not show it as cordoned and Ready yet.
    DrainedNode,
    /// The node is drained, and the delay of its policy before the reboot is not over.
    RebootDelay,
    /// The node is drained, and a gate of its policy has to be read.
    GateReading,
    /// The rebooter has to act on its order.
    RebootCall,
    /// The host has to leave its old boot.
    Reboot,
    /// The node has to be Ready in its new boot.
    ReadyInNewBoot,
    /// Sentinel and kubelet have to report the same new boot.
    NewBootReports,
    /// The node is Ready in its new boot, and has to be back in service.
    Service,
    /// A drainer has to take our cordon away.
    Uncordon,
    /// Our cordon is gone, and what the parts of the broken-off attempt had begun could still take effect.
    LateEffect,
    /// The node has to stay Ready for some time.
    Soak,
    /// The node of a cancelled or failed attempt may go down at any moment, or is down: its rebooter had
    /// called for the reboot.
    UnwantedReboot,
}

impl Wait {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::Drain,
        Self::DrainedNode,
        Self::RebootDelay,
        Self::GateReading,
        Self::RebootCall,
        Self::Reboot,
        Self::ReadyInNewBoot,
        Self::NewBootReports,
        Self::Service,
        Self::Uncordon,
        Self::LateEffect,
        Self::Soak,
        Self::UnwantedReboot,
    ];

    /// What the attempt waits for now; none if it has ended.
    pub(crate) fn of(attempt: &Attempt, observation: &Observation<'_>) -> Option<Self> {
        Some(match attempt.phase {
            Phase::Draining if attempt.drained_at.is_none() && !observation.is_drain_reported(attempt) => Self::Drain,
            Phase::Draining => Self::DrainedNode,
            Phase::Rebooting if attempt.reboot_started_at.is_none() => Self::RebootCall,
            Phase::Rebooting => Self::Reboot,
            Phase::Verifying if observation.node.ready => Self::NewBootReports,
            Phase::Verifying => Self::ReadyInNewBoot,
            Phase::Uncordoning => Self::Uncordon,
            Phase::RollingBack
                if attempt.reboot_started_at.is_some() && observation.ready_after_from(attempt).is_none() =>
            {
                Self::UnwantedReboot
            }
            Phase::RollingBack if observation.node.cordoned_for != Some(attempt.id) => Self::LateEffect,
            Phase::RollingBack => Self::Uncordon,
            Phase::Soaking => Self::Soak,
            Phase::Done | Phase::Failed | Phase::Cancelled => return None,
        })
    }

    /// The code for machines, from a closed list.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Drain => "WaitsForDrain",
            Self::DrainedNode => "WaitsForDrainedNode",
            Self::RebootDelay => "WaitsForRebootDelay",
            Self::GateReading => "WaitsForGateReading",
            Self::RebootCall => "WaitsForRebootCall",
            Self::Reboot => "WaitsForReboot",
            Self::ReadyInNewBoot => "WaitsForReadyInNewBoot",
            Self::NewBootReports => "WaitsForNewBootReports",
            Self::Service => "WaitsForService",
            Self::Uncordon => "WaitsForUncordon",
            Self::LateEffect => "WaitsForLateEffect",
            Self::Soak => "WaitsForSoak",
            Self::UnwantedReboot => "WaitsForUnwantedReboot",
        }
    }

    /// The sentence for operators.
    #[must_use]
    pub fn message(self) -> &'static str {
        match self {
            Self::Drain => "a drainer has to empty the node, and none has reported progress yet",
            Self::DrainedNode => "the node is drained, and has to be Ready and show our cordon",
            Self::RebootDelay => "the node is drained, and the delay of its policy before the reboot is not over",
            Self::GateReading => "the node is drained, and a gate of its policy has to be read",
            Self::RebootCall => "the rebooter has to act on its order",
            Self::Reboot => "the rebooter has called for the reboot, and the host has to leave its old boot",
            Self::ReadyInNewBoot => "the host has rebooted, and the node has to be Ready",
            Self::NewBootReports => "the node is Ready, and sentinel and kubelet have to report the same new boot",
            Self::Service => "the node is Ready in its new boot, and has to be back in service",
            Self::Uncordon => "a drainer has to take our cordon away",
            Self::LateEffect => {
                "the node does not carry our cordon: a drainer has to confirm that, and the slot is kept for 30 s, since a late request of a drainer or rebooter may still take effect"
            }
            Self::Soak => "the node is back, and has to stay Ready",
            Self::UnwantedReboot => {
                "the attempt is over, but its rebooter had called for the reboot: the slot is kept until the node is back"
            }
        }
    }
}
