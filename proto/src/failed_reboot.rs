//! The failed reboot of a node, as the records of its later attempts keep it.

use jiff::Timestamp;

use crate::field::{instant_required, to_timestamp};
use crate::message::WireError;
use crate::phase::Cause;
use crate::wire;

/// An ordered reboot that did not bring the node back. See [`wire::FailedReboot`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FailedReboot {
    /// Why.
    pub cause: Cause,
    /// When the attempt ended.
    pub at: Timestamp,
}

impl FailedReboot {
    const TYPE: &'static str = "bellwether.v1.FailedReboot";

    pub(crate) fn from_wire(wire: wire::FailedReboot) -> Result<Self, WireError> {
        let unknown = || WireError::field(Self::TYPE, "cause", format!("has the unknown value {}", wire.cause));
        Ok(Self {
            cause: Cause::from_wire(wire.cause).ok_or_else(unknown)?,
            at: instant_required(Self::TYPE, "at", wire.at)?,
        })
    }

    pub(crate) fn to_wire(self) -> wire::FailedReboot {
        wire::FailedReboot {
            cause: self.cause.to_wire().into(),
            at: Some(to_timestamp(self.at)),
        }
    }
}
