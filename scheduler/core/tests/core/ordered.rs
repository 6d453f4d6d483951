//! What operators have ordered of a node, as the referee reads orders and annotations: by other code than the core's.

use bellwether_proto::{FleetOrder, NodeName, OrderKind, OrderScope};
use bellwether_scheduler_core::{AnnotatedKind, AnnotatedUntil};
use jiff::{SignedDuration, Timestamp};

use crate::world::World;

impl World {
    /// An operator holds the node.
    pub(crate) fn is_held(&self, node: &NodeName) -> bool {
        self.given(node, OrderKind::Block, AnnotatedKind::Hold).next().is_some()
    }

    /// An operator skips the need that the node has now.
    pub(crate) fn is_skipped(&self, node: &NodeName) -> bool {
        let Some((_, began)) = &self.hosts[node].first_since else {
            return false;
        };
        self.given(node, OrderKind::Skip, AnnotatedKind::Skip)
            .any(|since| since.is_none_or(|since| since >= *began))
    }

    /// An operator has approved the reboot of the node itself.
    pub(crate) fn is_approved(&self, node: &NodeName) -> bool {
        let mut given = self.given(node, OrderKind::Approve, AnnotatedKind::Approve);
        let of_policy =
            |order: &FleetOrder| order.kind == OrderKind::Approve && !matches!(order.scope, OrderScope::Node(_));
        let mut stored = self.control.iter().flat_map(|control| &control.orders);
        given.next().is_some() || stored.any(of_policy)
    }

    /// An operator has ordered to reboot the node now.
    pub(crate) fn is_urgent(&self, node: &NodeName) -> bool {
        let mut stored = self.stored(node, OrderKind::Now);
        stored.next().is_some()
    }

    /// The node is skipped, and another canary was rebooted since its need began.
    pub(crate) fn is_skipped_and_replaced(&self, node: &NodeName, canaries: &[&NodeName]) -> bool {
        let Some((_, began)) = &self.hosts[node].first_since else {
            return false;
        };
        let rebooted_at = |canary: &&NodeName| self.records.get(*canary)?.last_reboot.as_ref();
        let mut reboots = canaries.iter().filter_map(rebooted_at);
        self.is_skipped(node) && reboots.any(|reboot| reboot.began_at > *began)
    }

    /// The times of the orders for a node that stand, stored and annotated.
    fn given(
        &self,
        node: &NodeName,
        kind: OrderKind,
        annotated: AnnotatedKind,
    ) -> impl Iterator<Item = Option<Timestamp>> {
        let orders = self.hosts[node].view.orders.clone();
        let annotated = orders.into_iter().flat_map(|orders| *orders).filter(move |order| {
            let is_over = match &order.until {
                AnnotatedUntil::At(at) => self.now >= *at,
                AnnotatedUntil::Malformed(_) | AnnotatedUntil::Unstated => false,
            };
            order.kind == annotated && !is_over
        });
        let stored = self.stored(node, kind).map(|order| Some(order.since));
        // The API server writes times without fractions of a second.
        let rounded = SignedDuration::from_nanos(999_999_999);
        stored.chain(annotated.map(move |order| order.since.map(|since| since + rounded)))
    }

    fn stored(&self, node: &NodeName, kind: OrderKind) -> impl Iterator<Item = &FleetOrder> {
        let scope = OrderScope::Node(node.clone());
        let orders = self.control.iter().flat_map(|control| &control.orders);
        orders.filter(move |order| {
            let is_over = order.until.is_some_and(|until| self.now >= until);
            order.kind == kind && order.scope == scope && !is_over
        })
    }
}
