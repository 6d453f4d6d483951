//! The nodes that may start as soon as there is a slot, in order.

use std::collections::{BTreeMap, BTreeSet};

use bellwether_proto::NodeName;

use crate::admission::order::Place;

/// The queue: each node at most once.
#[derive(Debug, Clone, Default)]
pub(crate) struct Queue {
    in_order: BTreeSet<Place>,
    of_node: BTreeMap<NodeName, Place>,
}

impl Queue {
    /// Puts a node into its place, or out of the queue.
    pub(crate) fn set(&mut self, node: &NodeName, place: Option<Place>) {
        if self.of_node.get(node) == place.as_ref() {
            return;
        }
        if let Some(old) = self.of_node.remove(node) {
            self.in_order.remove(&old);
        }
        if let Some(place) = place {
            self.in_order.insert(place.clone());
            self.of_node.insert(node.clone(), place);
        }
    }

    /// The nodes in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &NodeName> {
        self.in_order.iter().map(|(_, _, node)| node)
    }

    /// A node's number in the queue, from 1; none if the node is not in the queue. Costs by that number.
    pub(crate) fn number(&self, node: &NodeName) -> Option<usize> {
        self.of_node.get(node)?;
        let before = self.iter().position(|waiting| waiting == node)?;
        Some(before.saturating_add(1))
    }
}
