//! The nodes that may start as soon as there is a slot, in order.

use std::collections::BTreeSet;

use bellwether_proto::NodeName;

use crate::admission::order::Place;

/// The queue. Each node keeps its own place, so there is no second index to keep in step.
#[derive(Debug, Clone, Default)]
pub(crate) struct Queue {
    in_order: BTreeSet<Place>,
}

impl Queue {
    /// Replaces a node's place; none: the node is not in the queue.
    pub(crate) fn replace(&mut self, old: Option<&Place>, new: Option<&Place>) {
        if old == new {
            return;
        }
        if let Some(old) = old {
            self.in_order.remove(old);
        }
        if let Some(new) = new {
            self.in_order.insert(new.clone());
        }
    }

    /// The nodes in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &NodeName> {
        self.in_order.iter().map(|place| &place.node)
    }

    /// The first place; without the nodes whose last attempt ended without a reboot, if they may not start.
    pub(crate) fn first(&self, retries: bool) -> Option<&Place> {
        self.in_order.first().filter(|place| retries || !place.is_retry)
    }

    /// The number of a place in the queue, from 1. Costs by that number.
    pub(crate) fn number(&self, place: &Place) -> usize {
        self.in_order.range(..=place).count()
    }
}
