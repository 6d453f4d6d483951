//! Commands: imperatives of the scheduler to a drainer.

use jiff::Timestamp;

use crate::attempt_ref::AttemptRef;
use crate::field::{instant_required, to_timestamp};
use crate::ids::{NodeName, NodeUid};
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

/// Let the node carry [`crate::mark::WAITS_FOR_REBOOT`], or remove that taint. See [`wire::TaintNode`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaintNode {
    /// The node.
    pub node: NodeName,
    /// The Node object's UID.
    pub node_uid: NodeUid,
    /// The node has to carry the taint; else the taint has to be gone.
    pub present: bool,
    /// When the command ends to have an effect.
    pub not_after: Timestamp,
}

impl Message for TaintNode {
    const TYPE: &'static str = "bellwether.v1.TaintNode";
    type Wire = wire::TaintNode;

    fn from_wire(wire: Self::Wire) -> Result<Self, WireError> {
        Ok(Self {
            node: wire.node.parse().map_err(WireError::id(Self::TYPE, "node"))?,
            node_uid: wire.node_uid.parse().map_err(WireError::id(Self::TYPE, "node_uid"))?,
            present: wire.present,
            not_after: instant_required(Self::TYPE, "not_after", wire.not_after)?,
        })
    }

    fn to_wire(&self) -> Self::Wire {
        wire::TaintNode {
            node: self.node.to_string(),
            node_uid: self.node_uid.to_string(),
            present: self.present,
            not_after: Some(to_timestamp(self.not_after)),
        }
    }
}
