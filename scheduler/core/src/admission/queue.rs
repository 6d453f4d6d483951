//! The nodes that may start as soon as there is a slot, in order.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bellwether_proto::NodeName;

use crate::admission::order::Place;
use crate::admission::policy_budget::Group;

/// The queue: one for each group, since a policy that has no place left must not keep other nodes waiting. Each node
/// keeps its own place, so there is no second index to keep in step.
#[derive(Debug, Clone, Default)]
pub(crate) struct Queue {
    by_group: BTreeMap<Option<Arc<Group>>, BTreeSet<Place>>,
}

/// A node's group and its place there.
pub(crate) type Position<'a> = (Option<&'a Arc<Group>>, &'a Place);

impl Queue {
    /// Replaces a node's position; none: the node is not in the queue.
    pub(crate) fn replace(&mut self, old: Option<Position<'_>>, new: Option<Position<'_>>) {
        if old == new {
            return;
        }
        if let Some((group, place)) = old {
            let group = group.cloned();
            if let Some(in_order) = self.by_group.get_mut(&group) {
                in_order.remove(place);
                if in_order.is_empty() {
                    self.by_group.remove(&group);
                }
            }
        }
        if let Some((group, place)) = new {
            self.by_group.entry(group.cloned()).or_default().insert(place.clone());
        }
    }

    /// The nodes in order, of all groups together.
    pub(crate) fn in_order(&self) -> impl Iterator<Item = &NodeName> {
        let places: BTreeSet<&Place> = self.by_group.values().flatten().collect();
        places.into_iter().map(|place| &place.node)
    }

    /// The first places of the groups that have room, in order; without the nodes whose last attempt ended without a
    /// reboot, if they may not start.
    pub(crate) fn first(
        &self,
        retries: bool,
        count: usize,
        has_room: impl Fn(Option<&Group>) -> bool,
    ) -> impl Iterator<Item = &Place> {
        let groups = self.by_group.iter();
        let with_room = groups.filter(|(group, _)| has_room(group.as_deref()));
        let mut first: Vec<&Place> = with_room
            .flat_map(|(_, in_order)| in_order.iter().take(count))
            .collect();
        first.sort();
        first.truncate(count);
        first.into_iter().take_while(move |place| retries || !place.is_retry)
    }

    /// The number of a place in the queue, from 1. Costs by that number.
    pub(crate) fn number(&self, place: &Place) -> usize {
        let groups = self.by_group.values();
        groups.map(|in_order| in_order.range(..=place).count()).sum()
    }
}
