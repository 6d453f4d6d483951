//! Who goes first.

use bellwether_proto::{NodeName, RebootNeed};
use jiff::Timestamp;

use crate::observed::NodeView;

/// A place in the queue: the smallest goes first. Control plane last, then the oldest need, then by name.
pub(crate) type Place = (bool, Timestamp, NodeName);

/// The place of a node with this need.
pub(crate) fn place(node: &NodeView, need: &RebootNeed) -> Place {
    (node.control_plane, need.since, node.name.clone())
}
