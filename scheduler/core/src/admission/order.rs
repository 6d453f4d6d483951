//! Who goes first.

use bellwether_proto::{NodeName, RebootNeed};
use jiff::Timestamp;

use crate::observed::node::NodeView;

/// A place in the queue: the smallest goes first. Control plane last, then the oldest need, then by name.
pub(crate) fn rank(node: &NodeView, need: &RebootNeed) -> (bool, Timestamp, NodeName) {
    (node.control_plane, need.since, node.name.clone())
}
