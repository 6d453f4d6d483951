//! What the scheduler asks of a drainer.

use jiff::Timestamp;

use crate::field::{instant_required, to_timestamp};
use crate::ids::{AttemptId, Generation, NodeName, NodeUid};
use crate::message::{Message, WireError};
use crate::wire;

/// Cordon the node, then empty it. See [`wire::DrainNode`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DrainNode {
    /// The node.
    pub node: NodeName,
    /// Its UID.
    pub node_uid: NodeUid,
    /// The attempt that it belongs to.
    pub attempt: AttemptId,
    /// The generation of the record in which it was ordered.
    pub generation: Generation,
    /// When the drain must be over.
    pub not_after: Timestamp,
}

impl Message for DrainNode {
    const TYPE: &'static str = "bellwether.v1.DrainNode";
    type Wire = wire::DrainNode;

    fn from_wire(wire: Self::Wire) -> Result<Self, WireError> {
        Ok(Self {
            node: wire.node.parse().map_err(WireError::id(Self::TYPE, "node"))?,
            node_uid: wire.node_uid.parse().map_err(WireError::id(Self::TYPE, "node_uid"))?,
            attempt: wire
                .attempt_id
                .parse()
                .map_err(WireError::id(Self::TYPE, "attempt_id"))?,
            generation: Generation(wire.generation),
            not_after: instant_required(Self::TYPE, "not_after", wire.not_after)?,
        })
    }

    fn to_wire(&self) -> Self::Wire {
        wire::DrainNode {
            node: self.node.to_string(),
            node_uid: self.node_uid.to_string(),
            attempt_id: self.attempt.to_string(),
            generation: self.generation.0,
            not_after: Some(to_timestamp(self.not_after)),
        }
    }
}

/// Take our cordon away, and only ours. See [`wire::UncordonNode`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UncordonNode {
    /// The node.
    pub node: NodeName,
    /// Its UID.
    pub node_uid: NodeUid,
    /// The attempt that it belongs to.
    pub attempt: AttemptId,
    /// The generation of the record in which it was ordered.
    pub generation: Generation,
}

impl Message for UncordonNode {
    const TYPE: &'static str = "bellwether.v1.UncordonNode";
    type Wire = wire::UncordonNode;

    fn from_wire(wire: Self::Wire) -> Result<Self, WireError> {
        Ok(Self {
            node: wire.node.parse().map_err(WireError::id(Self::TYPE, "node"))?,
            node_uid: wire.node_uid.parse().map_err(WireError::id(Self::TYPE, "node_uid"))?,
            attempt: wire
                .attempt_id
                .parse()
                .map_err(WireError::id(Self::TYPE, "attempt_id"))?,
            generation: Generation(wire.generation),
        })
    }

    fn to_wire(&self) -> Self::Wire {
        wire::UncordonNode {
            node: self.node.to_string(),
            node_uid: self.node_uid.to_string(),
            attempt_id: self.attempt.to_string(),
            generation: self.generation.0,
        }
    }
}
