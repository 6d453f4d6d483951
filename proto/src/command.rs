//! Commands: imperatives of the scheduler to a drainer.

use jiff::Timestamp;

use crate::attempt_ref::AttemptRef;
use crate::field::{instant_required, to_timestamp};
use crate::message::{Message, WireError};
use crate::wire;

/// Cordon the node, then drain it. See [`wire::DrainNode`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DrainNode {
    /// The attempt whose record orders it, and the generation in which it does.
    pub attempt: AttemptRef,
    /// When the drain must be over.
    pub not_after: Timestamp,
}

impl Message for DrainNode {
    const TYPE: &'static str = "bellwether.v1.DrainNode";
    type Wire = wire::DrainNode;

    fn from_wire(wire: Self::Wire) -> Result<Self, WireError> {
        let fields = (&*wire.node, &*wire.node_uid, &*wire.attempt_id, wire.generation);
        Ok(Self {
            attempt: AttemptRef::from_fields(Self::TYPE, fields)?,
            not_after: instant_required(Self::TYPE, "not_after", wire.not_after)?,
        })
    }

    fn to_wire(&self) -> Self::Wire {
        wire::DrainNode {
            node: self.attempt.node.to_string(),
            node_uid: self.attempt.node_uid.to_string(),
            attempt_id: self.attempt.attempt.to_string(),
            generation: self.attempt.generation.0,
            not_after: Some(to_timestamp(self.not_after)),
        }
    }
}

/// Remove our cordon, and no other. See [`wire::UncordonNode`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UncordonNode {
    /// The attempt whose record orders it, and the generation in which it does.
    pub attempt: AttemptRef,
}

impl Message for UncordonNode {
    const TYPE: &'static str = "bellwether.v1.UncordonNode";
    type Wire = wire::UncordonNode;

    fn from_wire(wire: Self::Wire) -> Result<Self, WireError> {
        let fields = (&*wire.node, &*wire.node_uid, &*wire.attempt_id, wire.generation);
        Ok(Self {
            attempt: AttemptRef::from_fields(Self::TYPE, fields)?,
        })
    }

    fn to_wire(&self) -> Self::Wire {
        wire::UncordonNode {
            node: self.attempt.node.to_string(),
            node_uid: self.attempt.node_uid.to_string(),
            attempt_id: self.attempt.attempt.to_string(),
            generation: self.attempt.generation.0,
        }
    }
}
