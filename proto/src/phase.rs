//! Where an attempt is, and why it ended: closed lists.

use crate::wire;

/// Where an attempt is. See [`wire::Phase`] for what each one means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the words are the contract's, explained in attempt.proto")]
pub enum Phase {
    Draining,
    Rebooting,
    Verifying,
    Uncordoning,
    Soaking,
    RollingBack,
    Done,
    Failed,
    Cancelled,
}

impl Phase {
    /// All of them, in the order of an attempt's life.
    pub const ALL: [Self; 9] = [
        Self::Draining,
        Self::Rebooting,
        Self::Verifying,
        Self::Uncordoning,
        Self::Soaking,
        Self::RollingBack,
        Self::Done,
        Self::Failed,
        Self::Cancelled,
    ];

    /// True once nothing more will be done for the attempt.
    #[must_use]
    pub fn is_ended(self) -> bool {
        matches!(self, Self::Done | Self::Failed | Self::Cancelled)
    }

    /// The word for labels and tables.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Draining => "Draining",
            Self::Rebooting => "Rebooting",
            Self::Verifying => "Verifying",
            Self::Uncordoning => "Uncordoning",
            Self::Soaking => "Soaking",
            Self::RollingBack => "RollingBack",
            Self::Done => "Done",
            Self::Failed => "Failed",
            Self::Cancelled => "Cancelled",
        }
    }

    /// The phase of a wire value, if it is one that this version knows.
    #[must_use]
    pub fn from_wire(value: i32) -> Option<Self> {
        Some(match wire::Phase::try_from(value).ok()? {
            wire::Phase::Unspecified => return None,
            wire::Phase::Draining => Self::Draining,
            wire::Phase::Rebooting => Self::Rebooting,
            wire::Phase::Verifying => Self::Verifying,
            wire::Phase::Uncordoning => Self::Uncordoning,
            wire::Phase::Soaking => Self::Soaking,
            wire::Phase::RollingBack => Self::RollingBack,
            wire::Phase::Done => Self::Done,
            wire::Phase::Failed => Self::Failed,
            wire::Phase::Cancelled => Self::Cancelled,
        })
    }

    /// The wire value.
    #[must_use]
    pub fn to_wire(self) -> wire::Phase {
        match self {
            Self::Draining => wire::Phase::Draining,
            Self::Rebooting => wire::Phase::Rebooting,
            Self::Verifying => wire::Phase::Verifying,
            Self::Uncordoning => wire::Phase::Uncordoning,
            Self::Soaking => wire::Phase::Soaking,
            Self::RollingBack => wire::Phase::RollingBack,
            Self::Done => wire::Phase::Done,
            Self::Failed => wire::Phase::Failed,
            Self::Cancelled => wire::Phase::Cancelled,
        }
    }
}

/// Why an attempt ended. See [`wire::Cause`] for what each one means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the words are the contract's, explained in attempt.proto")]
pub enum Cause {
    Completed,
    Operator,
    NeedCleared,
    RebootedElsewhere,
    ForeignCordon,
    NodeGone,
    DrainFailed,
    RebootRefused,
    RebootIgnored,
    NodeNotBack,
    UncordonStuck,
    RecordLost,
    NotFit,
}

impl Cause {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::Completed,
        Self::Operator,
        Self::NeedCleared,
        Self::RebootedElsewhere,
        Self::ForeignCordon,
        Self::NodeGone,
        Self::DrainFailed,
        Self::RebootRefused,
        Self::RebootIgnored,
        Self::NodeNotBack,
        Self::UncordonStuck,
        Self::RecordLost,
        Self::NotFit,
    ];

    /// The word for labels, reasons and tables.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "Completed",
            Self::Operator => "Operator",
            Self::NeedCleared => "NeedCleared",
            Self::RebootedElsewhere => "RebootedElsewhere",
            Self::ForeignCordon => "ForeignCordon",
            Self::NodeGone => "NodeGone",
            Self::DrainFailed => "DrainFailed",
            Self::RebootRefused => "RebootRefused",
            Self::RebootIgnored => "RebootIgnored",
            Self::NodeNotBack => "NodeNotBack",
            Self::UncordonStuck => "UncordonStuck",
            Self::RecordLost => "RecordLost",
            Self::NotFit => "NotFit",
        }
    }

    /// The ended phase that belongs to this cause.
    #[must_use]
    pub fn outcome(self) -> Phase {
        match self {
            Self::Completed => Phase::Done,
            Self::Operator
            | Self::NeedCleared
            | Self::RebootedElsewhere
            | Self::ForeignCordon
            | Self::NodeGone
            | Self::NotFit => Phase::Cancelled,
            Self::DrainFailed
            | Self::RebootRefused
            | Self::RebootIgnored
            | Self::NodeNotBack
            | Self::UncordonStuck
            | Self::RecordLost => Phase::Failed,
        }
    }

    pub(crate) fn from_wire(value: i32) -> Option<Self> {
        Some(match wire::Cause::try_from(value).ok()? {
            wire::Cause::Unspecified => return None,
            wire::Cause::Completed => Self::Completed,
            wire::Cause::Operator => Self::Operator,
            wire::Cause::NeedCleared => Self::NeedCleared,
            wire::Cause::RebootedElsewhere => Self::RebootedElsewhere,
            wire::Cause::ForeignCordon => Self::ForeignCordon,
            wire::Cause::NodeGone => Self::NodeGone,
            wire::Cause::DrainFailed => Self::DrainFailed,
            wire::Cause::RebootRefused => Self::RebootRefused,
            wire::Cause::RebootIgnored => Self::RebootIgnored,
            wire::Cause::NodeNotBack => Self::NodeNotBack,
            wire::Cause::UncordonStuck => Self::UncordonStuck,
            wire::Cause::RecordLost => Self::RecordLost,
            wire::Cause::NotFit => Self::NotFit,
        })
    }

    pub(crate) fn to_wire(self) -> wire::Cause {
        match self {
            Self::Completed => wire::Cause::Completed,
            Self::Operator => wire::Cause::Operator,
            Self::NeedCleared => wire::Cause::NeedCleared,
            Self::RebootedElsewhere => wire::Cause::RebootedElsewhere,
            Self::ForeignCordon => wire::Cause::ForeignCordon,
            Self::NodeGone => wire::Cause::NodeGone,
            Self::DrainFailed => wire::Cause::DrainFailed,
            Self::RebootRefused => wire::Cause::RebootRefused,
            Self::RebootIgnored => wire::Cause::RebootIgnored,
            Self::NodeNotBack => wire::Cause::NodeNotBack,
            Self::UncordonStuck => wire::Cause::UncordonStuck,
            Self::RecordLost => wire::Cause::RecordLost,
            Self::NotFit => wire::Cause::NotFit,
        }
    }
}
