//! A notice, with its reason and action from closed lists.

use bellwether_proto::{AttemptId, Cause, NodeName, NodeUid, Phase};
use jiff::Timestamp;

/// Something that happened to a node in an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// Names this notice and no other one, also after a restart; a DNS subdomain.
    pub name: String,
    /// The node.
    pub node: NodeName,
    /// The Node object's UID.
    pub node_uid: NodeUid,
    /// When it happened.
    pub at: Timestamp,
    /// From a closed list.
    pub reason: NoticeReason,
    /// What Bellwether does, from a closed list.
    pub action: NoticeAction,
    /// For operators.
    pub message: String,
}

/// The name of a notice of this attempt.
pub(super) fn name(attempt: AttemptId, suffix: &str) -> String {
    format!("bellwether.{attempt}.{suffix}")
}

/// Why a notice is given. The words are documented in `docs/signs.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum NoticeReason {
    /// The node's attempt began: the node required a reboot, and every gate let it through.
    RebootAdmitted,
    /// A drain waits for the same blocker for longer than pods usually take.
    DrainStalled,
    /// The drain is over.
    Drained,
    /// The host's reboot is ordered.
    RebootOrdered,
    /// The node was rebooted, is Ready and uncordoned.
    BackInService,
    /// The attempt ends, or is rolled back, by this cause.
    Ended(Cause),
}

impl NoticeReason {
    /// The word of the reason.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RebootAdmitted => "RebootAdmitted",
            Self::DrainStalled => "DrainStalled",
            Self::Drained => "Drained",
            Self::RebootOrdered => "RebootOrdered",
            Self::BackInService => "BackInService",
            Self::Ended(cause) => cause.as_str(),
        }
    }

    /// True: an operator may have to look.
    #[must_use]
    pub fn is_warning(self) -> bool {
        match self {
            Self::RebootAdmitted | Self::Drained | Self::RebootOrdered | Self::BackInService => false,
            Self::DrainStalled => true,
            Self::Ended(cause) => cause.outcome() == Phase::Failed,
        }
    }
}

/// What Bellwether does at the time of a notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum NoticeAction {
    /// Cordons and drains the node.
    Drain,
    /// Reboots the host.
    Reboot,
    /// Takes its cordon away after a reboot.
    Uncordon,
    /// Takes its cordon away without a reboot.
    RollBack,
    /// Ends the attempt.
    End,
}

impl NoticeAction {
    /// The word of the action.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Drain => "Drain",
            Self::Reboot => "Reboot",
            Self::Uncordon => "Uncordon",
            Self::RollBack => "RollBack",
            Self::End => "End",
        }
    }
}
