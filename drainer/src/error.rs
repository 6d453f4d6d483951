//! Why something ended otherwise than ordered: one enum per subject.
//!
//! Commands that can never be handled, permits that are not there, drains that failed. Each
//! knows what becomes of its message; none is logged here.

use std::time::Duration;

use bellwether_chassis::{Verdict, bus};
use bellwether_proto::{DrainFailure, Fact, WireError, subject};

use crate::api::ApiError;

/// How long to wait before a record that could not be read is read for the same command again.
const READ_AGAIN: Duration = Duration::from_secs(5);
/// How long a read may lag behind the write that the command followed: copies of the stream
/// answer reads too, and some of them a moment late.
const RECORD_LAG: Duration = Duration::from_secs(1);

/// Why a command can never be carried out.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CommandError {
    /// The subject is none of a command.
    #[error("{subject} is no command that this version knows")]
    Unknown {
        /// The subject.
        subject: String,
    },
    /// The body is not what the subject says.
    #[error("command is malformed")]
    Malformed(#[from] WireError),
    /// Subject and body name different nodes.
    #[error(transparent)]
    OtherNode(#[from] subject::OtherNode),
}

/// Why an order may not be carried out, at least not now.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PermitError {
    /// The record says otherwise, and will never again say what the order needs.
    #[error("the attempt's record has moved on: {0}")]
    Stale(String),
    /// The record is older than the order: what was read lags, or was lost.
    #[error("the attempt's record is older than the command: {0}")]
    Behind(String),
    /// Nothing is known.
    #[error("the attempt's record could not be read")]
    Unreadable(#[from] bus::ReadError),
    /// Nothing is known.
    #[error("the attempt's record could not be read: no answer from NATS")]
    Silent,
    /// Written by something that this version does not understand.
    #[error("the attempt's record could not be understood")]
    Malformed(#[from] WireError),
}

impl PermitError {
    /// What becomes of the command.
    pub(crate) fn verdict(&self) -> Verdict {
        match self {
            Self::Stale(_) => Verdict::Ack,
            Self::Behind(_) => Verdict::RetryAfter(RECORD_LAG),
            Self::Unreadable(_) | Self::Silent | Self::Malformed(_) => Verdict::RetryAfter(READ_AGAIN),
        }
    }

    /// True if the order is over for good.
    pub(crate) fn is_final(&self) -> bool {
        matches!(self, Self::Stale(_))
    }
}

/// How a drain ends without success.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DrainError {
    /// The Node object is gone, going, or another one.
    #[error("{0}")]
    NodeGone(String),
    /// The cordon is somebody else's.
    #[error("{0}")]
    ForeignCordon(String),
    /// A right is missing.
    #[error("{0}")]
    Forbidden(String),
    /// The time was over.
    #[error("{0}")]
    Timeout(String),
    /// The order is not to be carried out any more: stop, and say nothing.
    #[error(transparent)]
    Permit(#[from] PermitError),
}

impl DrainError {
    /// What is told about it; nothing, if the attempt has moved on.
    pub(crate) fn fact(&self) -> Option<Fact> {
        let failure = match self {
            Self::NodeGone(_) => DrainFailure::NodeGone,
            Self::ForeignCordon(_) => DrainFailure::ForeignCordon,
            Self::Forbidden(_) => DrainFailure::Forbidden,
            Self::Timeout(_) => DrainFailure::Timeout,
            Self::Permit(_) => return None,
        };
        Some(Fact::DrainFailed {
            failure,
            message: self.to_string(),
        })
    }
}

/// How an uncordon ends without success, this time.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UncordonError {
    /// The API server did not do it.
    #[error("{0}")]
    Api(#[from] ApiError),
    /// The order is not to be carried out any more, or that is not known.
    #[error(transparent)]
    Permit(#[from] PermitError),
}

impl UncordonError {
    /// True if trying again is of no use.
    pub(crate) fn is_final(&self) -> bool {
        match self {
            Self::Api(_) => false,
            Self::Permit(error) => error.is_final(),
        }
    }
}
