//! The standing orders of operators: a list, in which a pause of the fleet is one order.

use std::sync::Arc;

use bellwether_proto::{FleetControl, FleetOrder, OrderScope};
use jiff::Timestamp;

use crate::timers::Clock;

/// The standing orders. Every change gives the control record that has to be stored.
#[derive(Debug, Clone, Default)]
pub(crate) struct Orders {
    control: Option<FleetControl>,
    /// Shared with the reasons of all nodes that they block.
    pauses: Vec<Arc<FleetOrder>>,
}

impl Orders {
    pub(crate) fn new(control: Option<FleetControl>) -> Self {
        let orders = control.iter().flat_map(|control| control.orders.iter());
        Self {
            pauses: orders.cloned().map(Arc::new).collect(),
            control,
        }
    }

    /// The control record, as last stored or about to be; none if there never was an order.
    pub(crate) fn control(&self) -> Option<&FleetControl> {
        self.control.as_ref()
    }

    /// The order that blocks all nodes now. An order of an unknown scope blocks all nodes too.
    pub(crate) fn pause(&self, clock: &Clock) -> Option<&Arc<FleetOrder>> {
        self.pauses
            .iter()
            .find(|order| order.until.is_none_or(|until| !clock.reached(until)))
    }

    /// When the next order ends by itself.
    pub(crate) fn next_end(&self) -> Option<Timestamp> {
        self.pauses.iter().filter_map(|order| order.until).min()
    }

    /// Adds a pause of the fleet, in place of the one before.
    #[must_use]
    pub(crate) fn add_pause(&mut self, by: String, reason: String, now: Timestamp) -> FleetControl {
        let mut orders: Vec<FleetOrder> = self.pauses.iter().map(|order| order.as_ref().clone()).collect();
        orders.retain(|order| order.scope != OrderScope::Fleet);
        orders.push(FleetOrder {
            scope: OrderScope::Fleet,
            by: by.clone(),
            reason: reason.clone(),
            since: now,
            until: None,
        });
        self.change(by, reason, orders, now)
    }

    /// Removes all orders.
    #[must_use]
    pub(crate) fn resume(&mut self, by: String, now: Timestamp) -> FleetControl {
        self.change(by, String::new(), Vec::new(), now)
    }

    /// Removes the orders that have ended by themselves; none if none has.
    #[must_use]
    pub(crate) fn remove_ended(&mut self, now: Timestamp) -> Option<FleetControl> {
        let ended = |order: &&Arc<FleetOrder>| order.until.is_some_and(|until| now >= until);
        let by = self.pauses.iter().find(ended)?.by.clone();
        let remaining = self.pauses.iter().filter(|order| !ended(order));
        let remaining = remaining.map(|order| order.as_ref().clone()).collect();
        Some(self.change(by, "the time of the order is over".to_owned(), remaining, now))
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

    #[test]
    fn a_second_pause_replaces_the_first_and_a_resume_removes_all() {
        let mut orders = Orders::default();
        drop(orders.add_pause("anna".into(), "disks".into(), at(1)));
        let control = orders.add_pause("ben".into(), "network".into(), at(2));
        assert_eq!((control.orders.len(), &*control.by), (1, "ben"));
        assert_eq!(
            orders.pause(&Clock::new(at(3))).map(|order| &*order.reason),
            Some("network")
        );
        let control = orders.resume("anna".into(), at(4));
        assert!(!control.paused() && orders.pause(&Clock::new(at(5))).is_none());
        assert_eq!(orders.control(), Some(&control));
    }

    #[test]
    fn an_order_with_an_end_blocks_until_then_and_is_removed() {
        let mut orders = Orders::default();
        let mut control = orders.add_pause("anna".into(), "disks".into(), at(1));
        control.orders[0].until = Some(at(10));
        let mut orders = Orders::new(Some(control));
        let clock = Clock::new(at(9));
        assert!(orders.pause(&clock).is_some());
        assert_eq!((clock.next(), orders.next_end()), (Some(at(10)), Some(at(10))));
        assert_eq!(orders.remove_ended(at(9)), None);
        assert!(orders.pause(&Clock::new(at(10))).is_none());
        assert!(orders.remove_ended(at(10)).is_some_and(|control| !control.paused()));
        assert_eq!(orders.remove_ended(at(10)), None);
    }
}
