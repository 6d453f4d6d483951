//! The standing orders of operators: a list, in which a pause of the fleet is one order.

use std::sync::Arc;

use bellwether_proto::{FleetControl, FleetOrder, NodeName, OrderKind, OrderScope};
use jiff::Timestamp;

use crate::timers::Clock;

/// The standing orders. Every change gives the control record that has to be stored.
#[derive(Debug, Clone, Default)]
pub(crate) struct Orders {
    control: Option<FleetControl>,
    /// Shared with the reasons of all nodes that they block.
    orders: Vec<Arc<FleetOrder>>,
}

impl Orders {
    /// Most orders for policies and nodes: beside them there is room for one order of each kind for all nodes.
    const OF_PARTS_MAX: usize = FleetControl::ORDERS_MAX - 3;

    pub(crate) fn new(control: Option<FleetControl>) -> Self {
        let orders = control.iter().flat_map(|control| control.orders.iter());
        Self {
            orders: orders.cloned().map(Arc::new).collect(),
            control,
        }
    }

    /// The control record, as last stored or about to be; none if there never was an order.
    pub(crate) fn control(&self) -> Option<&FleetControl> {
        self.control.as_ref()
    }

    /// The first order that keeps a node of this policy from starting now.
    pub(crate) fn block(&self, node: &NodeName, policy: Option<&str>, clock: &Clock) -> Option<&Arc<FleetOrder>> {
        self.of(node, policy, clock).find(|order| order.blocks())
    }

    /// The order that holds this node alone.
    pub(crate) fn hold(&self, node: &NodeName, clock: &Clock) -> Option<&Arc<FleetOrder>> {
        let is_own = |order: &&Arc<FleetOrder>| matches!(order.scope, OrderScope::Node(_)) && order.blocks();
        self.of(node, None, clock).find(is_own)
    }

    /// An operator has approved the reboot of a node of this policy.
    pub(crate) fn is_approved(&self, node: &NodeName, policy: Option<&str>, clock: &Clock) -> bool {
        let approves = |order: &Arc<FleetOrder>| matches!(order.kind, OrderKind::Approve | OrderKind::Now);
        self.of(node, policy, clock)
            .any(|order| approves(order) && !order.blocks())
    }

    /// The order by which a node of this policy may start: a reboot now before an approval.
    pub(crate) fn start_order(&self, node: &NodeName, policy: Option<&str>, clock: &Clock) -> Option<&Arc<FleetOrder>> {
        let of_kind = |kind| {
            self.of(node, policy, clock)
                .find(|order| order.kind == kind && !order.blocks())
        };
        of_kind(OrderKind::Now).or_else(|| of_kind(OrderKind::Approve))
    }

    /// An operator has ordered to reboot the node now.
    pub(crate) fn is_urgent(&self, node: &NodeName, clock: &Clock) -> bool {
        let mut orders = self.of(node, None, clock);
        orders.any(|order| order.kind == OrderKind::Now && !order.blocks())
    }

    /// The order that leaves a need which began at this time unserved.
    pub(crate) fn skip(
        &self,
        node: &NodeName,
        policy: Option<&str>,
        need_began: Timestamp,
        clock: &Clock,
    ) -> Option<&Arc<FleetOrder>> {
        let skips = |order: &&Arc<FleetOrder>| order.kind == OrderKind::Skip && !order.blocks();
        self.of(node, policy, clock)
            .filter(skips)
            .find(|order| need_began <= order.since)
    }

    /// The orders about this node alone, oldest first.
    pub(crate) fn about(&self, node: &NodeName) -> impl Iterator<Item = &FleetOrder> {
        let orders = self.orders.iter().map(AsRef::as_ref);
        orders.filter(move |order| matches!(&order.scope, OrderScope::Node(name) if name == node))
    }

    /// The orders that are about a node of this policy, oldest first.
    fn of(&self, node: &NodeName, policy: Option<&str>, clock: &Clock) -> impl Iterator<Item = &Arc<FleetOrder>> {
        let is_about = move |order: &FleetOrder| match &order.scope {
            OrderScope::Fleet | OrderScope::Unknown(_) => true,
            OrderScope::Policy(name) => policy == Some(name.as_str()),
            OrderScope::Node(name) => name == node,
        };
        self.orders
            .iter()
            .filter(move |order| is_about(order) && order.until.is_none_or(|until| !clock.reached(until)))
    }

    /// When the next order ends by itself.
    pub(crate) fn next_end(&self) -> Option<Timestamp> {
        self.orders.iter().filter_map(|order| order.until).min()
    }

    /// Adds an order, in place of the one before of its kind and subject. None: there are as many as there may be. The
    /// orders for all nodes always fit: however many nodes are held, an operator can pause the fleet.
    #[must_use]
    pub(crate) fn add(&mut self, order: FleetOrder) -> Option<FleetControl> {
        let (by, reason, since) = (order.by.clone(), order.reason.clone(), order.since);
        let is_of_fleet = order.scope == OrderScope::Fleet;
        let mut orders = self.without(|other| other.is_of_same(&order));
        orders.push(order);
        let of_parts = orders.iter().filter(|order| order.scope != OrderScope::Fleet).count();
        (is_of_fleet || of_parts <= Self::OF_PARTS_MAX).then(|| self.change(by, reason, orders, since))
    }

    /// Removes the order of this kind and scope; none if there is none.
    #[must_use]
    pub(crate) fn end(
        &mut self,
        kind: OrderKind,
        scope: &OrderScope,
        by: String,
        now: Timestamp,
    ) -> Option<FleetControl> {
        let remaining = self.without(|order| order.kind == kind && order.scope == *scope);
        (remaining.len() < self.orders.len()).then(|| self.change(by, String::new(), remaining, now))
    }

    /// Removes the orders that block all nodes.
    #[must_use]
    pub(crate) fn resume(&mut self, by: String, now: Timestamp) -> FleetControl {
        let remaining = self.without(FleetOrder::blocks_all);
        self.change(by, String::new(), remaining, now)
    }

    /// Removes the orders that have ended by themselves; none if none has.
    #[must_use]
    pub(crate) fn remove_ended(&mut self, now: Timestamp) -> Option<FleetControl> {
        let ended = |order: &FleetOrder| order.until.is_some_and(|until| now >= until);
        let by = self.orders.iter().find(|order| ended(order))?.by.clone();
        let remaining = self.without(ended);
        Some(self.change(by, "the time of the order is over".to_owned(), remaining, now))
    }

    fn without(&self, removed: impl Fn(&FleetOrder) -> bool) -> Vec<FleetOrder> {
        let remaining = self.orders.iter().filter(|order| !removed(order));
        remaining.map(|order| order.as_ref().clone()).collect()
    }

    fn change(&mut self, by: String, reason: String, orders: Vec<FleetOrder>, now: Timestamp) -> FleetControl {
        let control = FleetControl {
            by,
            reason,
            since: now,
            orders,
        };
        *self = Self::new(Some(control.clone()));
        control
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn node(name: &str) -> NodeName {
        name.parse().unwrap()
    }

    fn order(kind: OrderKind, scope: OrderScope, by: &str, until: Option<Timestamp>) -> FleetOrder {
        FleetOrder {
            kind,
            scope,
            by: by.into(),
            reason: format!("by {by}"),
            since: at(1),
            until,
        }
    }

    fn pause(by: &str, until: Option<Timestamp>) -> FleetOrder {
        order(OrderKind::Block, OrderScope::Fleet, by, until)
    }

    fn blocker(orders: &Orders, second: i64) -> Option<String> {
        let clock = Clock::new(at(second));
        Some(orders.block(&node("n1"), Some("nights"), &clock)?.by.clone())
    }

    #[test]
    fn a_second_pause_replaces_the_first_and_a_resume_ends_it_and_no_other_order() {
        let mut orders = Orders::default();
        drop(orders.add(pause("anna", None)));
        let control = orders.add(pause("ben", None)).unwrap();
        assert_eq!((control.orders.len(), &*control.by), (1, "ben"));
        assert_eq!(blocker(&orders, 3).as_deref(), Some("ben"));
        let held = order(OrderKind::Block, OrderScope::Node(node("n1")), "cleo", None);
        drop(orders.add(held.clone()));
        let control = orders.resume("anna".into(), at(4));
        assert_eq!((control.paused(), control.orders), (false, vec![held]));
        assert_eq!(blocker(&orders, 5).as_deref(), Some("cleo"));
    }

    #[test]
    fn an_order_with_an_end_blocks_until_then_and_is_removed() {
        let mut orders = Orders::default();
        drop(orders.add(pause("anna", Some(at(10)))));
        let clock = Clock::new(at(9));
        assert!(orders.block(&node("n1"), None, &clock).is_some());
        assert_eq!((clock.next(), orders.next_end()), (Some(at(10)), Some(at(10))));
        assert_eq!(orders.remove_ended(at(9)), None);
        assert_eq!(blocker(&orders, 10), None);
        assert!(orders.remove_ended(at(10)).is_some_and(|control| !control.paused()));
        assert_eq!(orders.remove_ended(at(10)), None);
    }

    #[test]
    fn an_order_is_about_the_nodes_of_its_scope() {
        for (scope, blocks) in [
            (OrderScope::Fleet, true),
            (OrderScope::Unknown(9), true),
            (OrderScope::Policy("nights".into()), true),
            (OrderScope::Policy("days".into()), false),
            (OrderScope::Node(node("n1")), true),
            (OrderScope::Node(node("n2")), false),
        ] {
            let mut orders = Orders::default();
            drop(orders.add(order(OrderKind::Block, scope.clone(), "anna", None)));
            assert_eq!(blocker(&orders, 2).is_some(), blocks, "{scope:?}");
        }
    }

    #[test]
    fn an_approval_and_an_order_to_reboot_now_block_nothing_and_an_unknown_kind_does() {
        let of_node = || OrderScope::Node(node("n1"));
        for (kind, scope, blocks, approves, is_urgent) in [
            (OrderKind::Approve, of_node(), false, true, false),
            (
                OrderKind::Approve,
                OrderScope::Policy("nights".into()),
                false,
                true,
                false,
            ),
            (OrderKind::Now, of_node(), false, true, true),
            (OrderKind::Skip, of_node(), false, false, false),
            (OrderKind::Unknown(7), of_node(), true, false, false),
            (OrderKind::Approve, OrderScope::Unknown(7), true, false, false),
        ] {
            let mut orders = Orders::default();
            drop(orders.add(order(kind, scope, "anna", None)));
            let clock = Clock::new(at(2));
            let found = (
                orders.block(&node("n1"), Some("nights"), &clock).is_some(),
                orders.is_approved(&node("n1"), Some("nights"), &clock),
                orders.is_urgent(&node("n1"), &clock),
            );
            assert_eq!(found, (blocks, approves, is_urgent), "{kind:?}");
        }
    }

    #[test]
    fn an_order_beyond_the_limit_is_refused_and_changes_nothing() {
        let mut orders = Orders::default();
        for number in 0..Orders::OF_PARTS_MAX {
            let scope = OrderScope::Node(node(&format!("n{number}")));
            assert!(orders.add(order(OrderKind::Block, scope, "anna", None)).is_some());
        }
        let before = orders.control().cloned();
        let one_more = || order(OrderKind::Block, OrderScope::Node(node("more")), "ben", None);
        assert_eq!(orders.add(one_more()), None);
        assert_eq!(orders.control().cloned(), before);
        // The fleet can be paused all the same.
        assert!(orders.add(pause("ben", None)).is_some_and(|control| control.paused()));
        assert_eq!(orders.add(one_more()), None);
        // One that takes the place of another one fits.
        let again = order(OrderKind::Block, OrderScope::Node(node("n1")), "ben", None);
        assert!(orders.add(again).is_some());
        let scope = OrderScope::Node(node("n1"));
        assert!(orders.end(OrderKind::Now, &scope, "ben".into(), at(5)).is_none());
        assert!(orders.end(OrderKind::Block, &scope, "ben".into(), at(5)).is_some());
    }
}
