//! The standing orders of operators.

use jiff::Timestamp;

use crate::field::{instant, instant_required, to_timestamp};
use crate::message::{Message, WireError};
use crate::wire;

/// The standing orders, with their newest change. See [`wire::FleetControl`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FleetControl {
    /// Operator of the newest change.
    pub by: String,
    /// Reason of the newest change; empty after a resume.
    pub reason: String,
    /// When the orders were changed.
    pub since: Timestamp,
    /// The orders in force, oldest first.
    pub orders: Vec<FleetOrder>,
}

/// One standing order: no new attempt starts on the nodes of its scope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FleetOrder {
    /// Which nodes the order is about.
    pub scope: OrderScope,
    /// The operator.
    pub by: String,
    /// Reason, for operators.
    pub reason: String,
    /// When the operator gave the order.
    pub since: Timestamp,
    /// When the order ends by itself; none: when an operator resumes.
    pub until: Option<Timestamp>,
}

/// Which nodes an order is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderScope {
    /// All nodes.
    Fleet,
    /// The number of a scope that this version does not know. Such an order blocks all nodes.
    Unknown(i32),
}

impl FleetControl {
    /// An order for one scope replaces the order before, so there are as many as there are scopes;
    /// a list that is longer than this was not written by a scheduler.
    pub const ORDERS_MAX: usize = 100;

    /// True while there is an order.
    #[must_use]
    pub fn paused(&self) -> bool {
        !self.orders.is_empty()
    }
}

impl Message for FleetControl {
    const TYPE: &'static str = "bellwether.v1.FleetControl";
    type Wire = wire::FleetControl;

    fn from_wire(wire: Self::Wire) -> Result<Self, WireError> {
        let since = instant_required(Self::TYPE, "since", wire.since)?;
        if wire.orders.len() > Self::ORDERS_MAX {
            let problem = format!(
                "has {} entries, at most {} are allowed",
                wire.orders.len(),
                Self::ORDERS_MAX
            );
            return Err(WireError::field(Self::TYPE, "orders", problem));
        }
        let mut orders: Vec<FleetOrder> = wire.orders.into_iter().map(order_from_wire).collect::<Result<_, _>>()?;
        if wire.paused && orders.is_empty() {
            orders.push(FleetOrder {
                scope: OrderScope::Fleet,
                by: wire.by.clone(),
                reason: wire.reason.clone(),
                since,
                until: None,
            });
        }
        Ok(Self {
            by: wire.by,
            reason: wire.reason,
            since,
            orders,
        })
    }

    fn to_wire(&self) -> Self::Wire {
        wire::FleetControl {
            paused: self.paused(),
            by: self.by.clone(),
            reason: self.reason.clone(),
            since: Some(to_timestamp(self.since)),
            orders: self.orders.iter().map(order_to_wire).collect(),
        }
    }
}

fn order_from_wire(wire: wire::FleetOrder) -> Result<FleetOrder, WireError> {
    const TYPE: &str = "bellwether.v1.FleetOrder";
    Ok(FleetOrder {
        scope: match wire::OrderScope::try_from(wire.scope) {
            Ok(wire::OrderScope::Fleet) => OrderScope::Fleet,
            Ok(wire::OrderScope::Unspecified) | Err(_) => OrderScope::Unknown(wire.scope),
        },
        by: wire.by,
        reason: wire.reason,
        since: instant_required(TYPE, "since", wire.since)?,
        until: instant(TYPE, "until", wire.until)?,
    })
}

fn order_to_wire(order: &FleetOrder) -> wire::FleetOrder {
    wire::FleetOrder {
        scope: match order.scope {
            OrderScope::Fleet => wire::OrderScope::Fleet.into(),
            OrderScope::Unknown(number) => number,
        },
        by: order.by.clone(),
        reason: order.reason.clone(),
        since: Some(to_timestamp(order.since)),
        until: order.until.map(to_timestamp),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SINCE: Timestamp = Timestamp::UNIX_EPOCH;

    fn wire(paused: bool, orders: Vec<wire::FleetOrder>) -> wire::FleetControl {
        wire::FleetControl {
            paused,
            by: "anna".into(),
            reason: "disks".into(),
            since: Some(to_timestamp(SINCE)),
            orders,
        }
    }

    fn order(scope: i32) -> wire::FleetOrder {
        wire::FleetOrder {
            scope,
            by: "anna".into(),
            reason: "disks".into(),
            since: Some(to_timestamp(SINCE)),
            until: None,
        }
    }

    #[test]
    fn a_pause_by_an_older_scheduler_is_an_order_for_the_fleet() {
        let control = FleetControl::from_wire(wire(true, Vec::new())).unwrap();
        assert_eq!(control.orders, [order_from_wire(order(1)).unwrap()]);
        assert!(!FleetControl::from_wire(wire(false, Vec::new())).unwrap().paused());
    }

    #[test]
    fn an_older_scheduler_pauses_for_every_order() {
        let control = FleetControl::from_wire(wire(true, vec![order(7)])).unwrap();
        assert_eq!(
            control.orders.first().map(|order| order.scope),
            Some(OrderScope::Unknown(7))
        );
        assert!(control.to_wire().paused);
        assert_eq!(control.to_wire(), wire(true, vec![order(7)]));
    }

    #[test]
    fn more_orders_than_there_can_be_are_refused() {
        let error = FleetControl::from_wire(wire(true, vec![order(1); 101])).unwrap_err();
        assert!(
            error.to_string().contains("orders") && error.to_string().contains("101"),
            "{error}"
        );
    }
}
