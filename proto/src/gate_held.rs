//! A gate that held a node before its attempt, for audits and traces. No program decides by it.

use jiff::Timestamp;

use crate::field::{time, to_timestamp};
use crate::wire;

/// A gate that held a node. See [`wire::GateHeld`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GateHeld {
    /// Why, from the list of reason codes.
    pub code: String,
    /// Why, for operators.
    pub message: String,
    /// Since when.
    pub since: Option<Timestamp>,
    /// Until when.
    pub until: Option<Timestamp>,
    /// How often in that span, from 1.
    pub times: u32,
}

impl GateHeld {
    pub(crate) fn from_wire(wire: wire::GateHeld) -> Self {
        Self {
            code: wire.code,
            message: wire.message,
            since: time(wire.since),
            until: time(wire.until),
            times: wire.times.max(1),
        }
    }

    pub(crate) fn to_wire(&self) -> wire::GateHeld {
        wire::GateHeld {
            code: self.code.clone(),
            message: self.message.clone(),
            since: self.since.map(to_timestamp),
            until: self.until.map(to_timestamp),
            times: self.times,
        }
    }
}
