//! The standing orders of operators: a list, in which a pause of the fleet is one order. Each change states who asked, and what
//! was in force before and after.

use std::sync::Arc;

use bellwether_proto::limit::ENDED_MAX;
use bellwether_proto::{FleetControl, FleetOrder, NodeName, OrderChange, OrderChanged, OrderKind, OrderScope};
use jiff::Timestamp;

use crate::timers::Clock;

/// A change of the orders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Changed {
    /// The record that has to be stored.
    pub(crate) control: FleetControl,
    /// The event about it, still without its writer.
    pub(crate) event: OrderChanged,
}

/// The standing orders.
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
    pub(crate) fn add(&mut self, order: FleetOrder) -> Option<Changed> {
        let is_of_fleet = order.scope == OrderScope::Fleet;
        let (ended, mut orders) = self.split(|other| other.is_of_same(&order));
        orders.push(order.clone());
        let of_parts = orders.iter().filter(|order| order.scope != OrderScope::Fleet).count();
        if !is_of_fleet && of_parts > Self::OF_PARTS_MAX {
            return None;
        }
        let event = OrderChanged {
            reason: order.reason.clone(),
            ended,
            ..event(OrderChange::Given, order.by.clone(), order.since)
        };
        Some(self.change(
            OrderChanged {
                given: Some(order),
                ..event
            },
            orders,
        ))
    }

    /// Removes the order of this kind and scope; none if there is none.
    #[must_use]
    pub(crate) fn end(&mut self, kind: OrderKind, scope: &OrderScope, by: String, now: Timestamp) -> Option<Changed> {
        let (ended, remaining) = self.split(|order| order.kind == kind && order.scope == *scope);
        let event = OrderChanged {
            ended,
            ..event(OrderChange::Ended, by, now)
        };
        (!event.ended.is_empty()).then(|| self.change(event, remaining))
    }

    /// Removes an order that has done its work; none if there is none.
    #[must_use]
    pub(crate) fn fulfil(&mut self, order: &FleetOrder, now: Timestamp) -> Option<Changed> {
        let (ended, remaining) = self.split(|other| other.is_of_same(order));
        let event = OrderChanged {
            ended,
            ..event(OrderChange::Fulfilled, order.by.clone(), now)
        };
        (!event.ended.is_empty()).then(|| self.change(event, remaining))
    }

    /// Removes the orders that block all nodes.
    #[must_use]
    pub(crate) fn resume(&mut self, by: String, now: Timestamp) -> Changed {
        let (ended, remaining) = self.split(FleetOrder::blocks_all);
        let event = OrderChanged {
            ended,
            ..event(OrderChange::Ended, by, now)
        };
        self.change(event, remaining)
    }

    /// Removes orders that have ended by themselves, as many as an event names; none if none has. To be called until then. The event
    /// names their operator, if all are of one.
    #[must_use]
    pub(crate) fn remove_ended(&mut self, now: Timestamp) -> Option<Changed> {
        let is_over = |order: &FleetOrder| order.until.is_some_and(|until| now >= until);
        let mut places = ENDED_MAX;
        let (ended, remaining) = self.split(|order| {
            let removed = places > 0 && is_over(order);
            places = places.saturating_sub(usize::from(removed));
            removed
        });
        let first = &ended.first()?.by;
        let differ = ended.iter().any(|order| order.by != *first);
        let by = if differ { String::new() } else { first.clone() };
        let event = OrderChanged {
            reason: "the time of the order is over".to_owned(),
            ended,
            ..event(OrderChange::TimeOver, by, now)
        };
        Some(self.change(event, remaining))
    }

    /// Notes that an operator has cancelled an attempt, which changes no order.
    #[must_use]
    pub(crate) fn cancelled(
        &mut self,
        node: &NodeName,
        change: OrderChange,
        by: &str,
        reason: &str,
        now: Timestamp,
    ) -> Changed {
        let event = OrderChanged {
            reason: reason.to_owned(),
            node: Some(node.clone()),
            ..event(change, by.to_owned(), now)
        };
        let none_yet = || FleetControl {
            by: by.to_owned(),
            reason: String::new(),
            since: now,
            orders: Vec::new(),
            event_chain: None,
        };
        let control = self.control.get_or_insert_with(none_yet).clone();
        Changed { control, event }
    }

    /// The orders that are removed, and those that remain.
    fn split(&self, mut removed: impl FnMut(&FleetOrder) -> bool) -> (Vec<FleetOrder>, Vec<FleetOrder>) {
        let orders = self.orders.iter().map(|order| order.as_ref().clone());
        orders.partition(|order| removed(order))
    }

    fn change(&mut self, event: OrderChanged, orders: Vec<FleetOrder>) -> Changed {
        let control = FleetControl {
            by: event.by.clone(),
            reason: event.reason.clone(),
            since: event.at,
            orders,
            event_chain: None,
        };
        *self = Self::new(Some(control.clone()));
        Changed { control, event }
    }
}

fn event(change: OrderChange, by: String, now: Timestamp) -> OrderChanged {
    OrderChanged {
        at: now,
        source: String::new(),
        link: None,
        change,
        by,
        reason: String::new(),
        given: None,
        ended: Vec::new(),
        node: None,
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
        let Changed { control, event } = orders.add(pause("ben", None)).unwrap();
        assert_eq!((control.orders.len(), &*control.by), (1, "ben"));
        assert_eq!(
            (event.change, event.given, event.ended),
            (OrderChange::Given, Some(pause("ben", None)), vec![pause("anna", None)])
        );
        assert_eq!(blocker(&orders, 3).as_deref(), Some("ben"));
        let held = order(OrderKind::Block, OrderScope::Node(node("n1")), "cleo", None);
        drop(orders.add(held.clone()));
        let Changed { control, event } = orders.resume("anna".into(), at(4));
        assert_eq!((control.paused(), control.orders), (false, vec![held]));
        assert_eq!(
            (event.change, &*event.by, event.at, event.ended),
            (OrderChange::Ended, "anna", at(4), vec![pause("ben", None)])
        );
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
        let Changed { control, event } = orders.remove_ended(at(10)).unwrap();
        assert!(!control.paused());
        assert_eq!(
            (event.change, &*event.by, event.ended.len()),
            (OrderChange::TimeOver, "anna", 1)
        );
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
        assert!(
            orders
                .add(pause("ben", None))
                .is_some_and(|changed| changed.control.paused())
        );
        assert_eq!(orders.add(one_more()), None);
        // One that takes the place of another one fits.
        let again = order(OrderKind::Block, OrderScope::Node(node("n1")), "ben", None);
        assert!(orders.add(again).is_some());
        let scope = OrderScope::Node(node("n1"));
        assert!(orders.end(OrderKind::Now, &scope, "ben".into(), at(5)).is_none());
        assert!(orders.end(OrderKind::Block, &scope, "ben".into(), at(5)).is_some());
    }

    #[test]
    fn many_orders_that_end_at_once_are_named_in_several_events() {
        let mut orders = Orders::default();
        for number in 0..ENDED_MAX + 1 {
            let scope = OrderScope::Node(node(&format!("n{number}")));
            drop(orders.add(order(OrderKind::Block, scope, "anna", Some(at(10)))));
        }
        let mut named = Vec::new();
        while let Some(changed) = orders.remove_ended(at(10)) {
            named.push((changed.event.ended.len(), changed.control.orders.len()));
        }
        assert_eq!(named, [(ENDED_MAX, 1), (1, 0)]);
    }

    #[test]
    fn orders_of_several_operators_that_end_at_once_are_ended_by_none_of_them() {
        for (operators, by) in [(["anna", "anna"], "anna"), (["anna", "ben"], "")] {
            let mut orders = Orders::default();
            for (name, operator) in ["n1", "n2"].into_iter().zip(operators) {
                let scope = OrderScope::Node(node(name));
                drop(orders.add(order(OrderKind::Block, scope, operator, Some(at(10)))));
            }
            let event = orders.remove_ended(at(10)).unwrap().event;
            assert_eq!((event.ended.len(), &*event.by), (2, by));
        }
    }

    #[test]
    fn a_cancel_changes_no_order_and_is_noted_with_its_operator() {
        let mut orders = Orders::default();
        let none = orders.cancelled(&node("n1"), OrderChange::WaitEnded, "ben", "fixed", at(5));
        assert_eq!((none.control.orders.len(), none.control.since), (0, at(5)));
        let before = orders.add(pause("anna", None)).unwrap().control;
        let noted = orders.cancelled(&node("n1"), OrderChange::SlotReleased, "ben", "fixed", at(6));
        assert_eq!((noted.control, orders.control()), (before.clone(), Some(&before)));
        let event = noted.event;
        assert_eq!(
            (event.change, &*event.by, &*event.reason, event.node, event.at),
            (OrderChange::SlotReleased, "ben", "fixed", Some(node("n1")), at(6))
        );
    }
}
