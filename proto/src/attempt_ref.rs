//! Which attempt, on which node, in which state of its record: what each command names.

use crate::ids::{AttemptId, Generation, NodeName, NodeUid};
use crate::message::WireError;

/// One generation of one attempt. Whoever acts on a command compares all four with the record.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AttemptRef {
    /// The node.
    pub node: NodeName,
    /// The Node object's UID: tells the node from a later one of the same name.
    pub node_uid: NodeUid,
    /// The attempt.
    pub attempt: AttemptId,
    /// The generation of the attempt's record.
    pub generation: Generation,
}

impl AttemptRef {
    /// Checks the four fields of a message of this type.
    pub(crate) fn from_fields(
        message: &'static str,
        (node, node_uid, attempt_id, generation): (&str, &str, &str, u64),
    ) -> Result<Self, WireError> {
        Ok(Self {
            node: node.parse().map_err(WireError::id(message, "node"))?,
            node_uid: node_uid.parse().map_err(WireError::id(message, "node_uid"))?,
            attempt: attempt_id.parse().map_err(WireError::id(message, "attempt_id"))?,
            generation: Generation(generation),
        })
    }
}
