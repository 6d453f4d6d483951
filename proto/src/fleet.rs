//! The standing orders of operators.

use jiff::Timestamp;

use crate::NodeName;
use crate::event_chain::EventChain;
use crate::field::{instant, instant_required, to_timestamp};
use crate::limit::Limited as _;
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
    /// Where the chain of the events about orders stands; none: there was none yet.
    pub event_chain: Option<Box<EventChain>>,
}

/// A standing order of an operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FleetOrder {
    /// What the order is.
    pub kind: OrderKind,
    /// Which nodes the order is about.
    pub scope: OrderScope,
    /// The operator.
    pub by: String,
    /// Reason, for operators.
    pub reason: String,
    /// When the operator gave the order.
    pub since: Timestamp,
    /// When the order ends by itself; none: when an operator ends it.
    pub until: Option<Timestamp>,
}

/// What an order is. See [`wire::OrderKind`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderKind {
    /// No new attempt starts.
    Block,
    /// Nodes may start though their policy demands an approval.
    Approve,
    /// The node goes first and outside of its windows.
    Now,
    /// The need of the node that began before the order is left unserved.
    Skip,
    /// The number of a kind that this version does not know. Such an order blocks.
    Unknown(i32),
}

/// Which nodes an order is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OrderScope {
    /// All nodes.
    Fleet,
    /// The nodes that the policy of this name governs.
    Policy(String),
    /// This node.
    Node(NodeName),
    /// The number of a scope that this version does not know. Such an order blocks all nodes.
    Unknown(i32),
}

impl FleetOrder {
    /// The order keeps nodes from starting.
    #[must_use]
    pub fn blocks(&self) -> bool {
        matches!(self.kind, OrderKind::Block | OrderKind::Unknown(_)) || matches!(self.scope, OrderScope::Unknown(_))
    }

    /// The order keeps every node from starting.
    #[must_use]
    pub fn blocks_all(&self) -> bool {
        self.blocks() && matches!(self.scope, OrderScope::Fleet | OrderScope::Unknown(_))
    }

    /// The order has the same kind, scope and subject, so there is one of both at most.
    #[must_use]
    pub fn is_of_same(&self, other: &Self) -> bool {
        self.kind == other.kind && self.scope == other.scope
    }
}

impl FleetControl {
    /// So many orders fit into a record with room to spare, each with the longest reason. For more nodes than that an
    /// operator approves or pauses their policy.
    pub const ORDERS_MAX: usize = 100;

    /// True while an order blocks all nodes.
    #[must_use]
    pub fn paused(&self) -> bool {
        self.orders.iter().any(FleetOrder::blocks_all)
    }

    /// How many of the events that wait for the stream have no room in the record, the oldest of them: a leader that ends before
    /// the stream has them loses them.
    #[must_use]
    pub fn events_without_room(&self) -> usize {
        let waiting = |wire: &wire::FleetControl| wire.event_chain.as_ref().map_or(0, |chain| chain.unpublished.len());
        let mut wire = self.to_wire();
        let before = waiting(&wire);
        wire.limit();
        before.saturating_sub(waiting(&wire))
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
                kind: OrderKind::Block,
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
            event_chain: EventChain::from_wire(wire.event_chain).map(Box::new),
        })
    }

    fn to_wire(&self) -> Self::Wire {
        wire::FleetControl {
            paused: self.paused(),
            by: self.by.clone(),
            reason: self.reason.clone(),
            since: Some(to_timestamp(self.since)),
            orders: self.orders.iter().map(order_to_wire).collect(),
            event_chain: self.event_chain.as_deref().map(EventChain::to_wire),
        }
    }
}

fn order_from_wire(wire: wire::FleetOrder) -> Result<FleetOrder, WireError> {
    const TYPE: &str = "bellwether.v1.FleetOrder";
    Ok(FleetOrder {
        kind: kind_from_wire(wire.kind),
        scope: OrderScope::from_wire(wire.scope, &wire.subject)
            .map_err(|problem| WireError::field(TYPE, "subject", problem))?,
        by: wire.by,
        reason: wire.reason,
        since: instant_required(TYPE, "since", wire.since)?,
        until: instant(TYPE, "until", wire.until)?,
    })
}

fn kind_from_wire(kind: i32) -> OrderKind {
    match wire::OrderKind::try_from(kind) {
        Ok(wire::OrderKind::Unspecified | wire::OrderKind::Block) => OrderKind::Block,
        Ok(wire::OrderKind::Approve) => OrderKind::Approve,
        Ok(wire::OrderKind::Now) => OrderKind::Now,
        Ok(wire::OrderKind::Skip) => OrderKind::Skip,
        Err(_) => OrderKind::Unknown(kind),
    }
}

fn kind_to_wire(kind: OrderKind) -> i32 {
    match kind {
        OrderKind::Block => wire::OrderKind::Block.into(),
        OrderKind::Approve => wire::OrderKind::Approve.into(),
        OrderKind::Now => wire::OrderKind::Now.into(),
        OrderKind::Skip => wire::OrderKind::Skip.into(),
        OrderKind::Unknown(number) => number,
    }
}

impl OrderScope {
    /// The scope of an order or a request.
    ///
    /// # Errors
    /// The problem of the subject: it is no name.
    pub fn from_wire(scope: i32, subject: &str) -> Result<Self, String> {
        match wire::OrderScope::try_from(scope) {
            Ok(wire::OrderScope::Fleet) => Ok(Self::Fleet),
            Ok(wire::OrderScope::Policy) if subject.is_empty() => Err("is empty: name the policy".to_owned()),
            Ok(wire::OrderScope::Policy) => Ok(Self::Policy(subject.to_owned())),
            Ok(wire::OrderScope::Node) => match subject.parse() {
                Ok(node) => Ok(Self::Node(node)),
                Err(error) => Err(format!("{subject:?} {error}")),
            },
            Ok(wire::OrderScope::Unspecified) | Err(_) => Ok(Self::Unknown(scope)),
        }
    }

    fn to_wire(&self) -> (i32, String) {
        match self {
            Self::Fleet => (wire::OrderScope::Fleet.into(), String::new()),
            Self::Policy(policy) => (wire::OrderScope::Policy.into(), policy.clone()),
            Self::Node(node) => (wire::OrderScope::Node.into(), node.to_string()),
            Self::Unknown(number) => (*number, String::new()),
        }
    }
}

impl Message for FleetOrder {
    const TYPE: &'static str = "bellwether.v1.FleetOrder";
    type Wire = wire::FleetOrder;

    fn from_wire(wire: Self::Wire) -> Result<Self, WireError> {
        order_from_wire(wire)
    }

    fn to_wire(&self) -> Self::Wire {
        order_to_wire(self)
    }
}

fn order_to_wire(order: &FleetOrder) -> wire::FleetOrder {
    let (scope, subject) = order.scope.to_wire();
    wire::FleetOrder {
        kind: kind_to_wire(order.kind),
        scope,
        subject,
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
            event_chain: None,
        }
    }

    fn order(scope: i32) -> wire::FleetOrder {
        wire::FleetOrder {
            scope,
            by: "anna".into(),
            reason: "disks".into(),
            since: Some(to_timestamp(SINCE)),
            until: None,
            kind: wire::OrderKind::Block.into(),
            subject: String::new(),
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
            control.orders.first().map(|order| &order.scope),
            Some(&OrderScope::Unknown(7))
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

    #[test]
    fn only_an_order_that_blocks_all_nodes_pauses_the_fleet() {
        let with = |kind: wire::OrderKind, scope: i32, subject: &str| wire::FleetOrder {
            kind: kind.into(),
            subject: subject.into(),
            ..order(scope)
        };
        for (order, paused) in [
            (with(wire::OrderKind::Unspecified, 1, ""), true),
            (with(wire::OrderKind::Block, 2, "nights"), false),
            (with(wire::OrderKind::Block, 3, "n1"), false),
            (with(wire::OrderKind::Approve, 3, "n1"), false),
            (with(wire::OrderKind::Now, 3, "n1"), false),
            (with(wire::OrderKind::Skip, 3, "n1"), false),
            (with(wire::OrderKind::Approve, 7, ""), true),
        ] {
            let control = FleetControl::from_wire(wire(false, vec![order.clone()])).unwrap();
            assert_eq!(control.paused(), paused, "{order:?}");
        }
        let newer = wire::FleetOrder {
            kind: 9,
            ..with(wire::OrderKind::Block, 3, "n1")
        };
        let control = FleetControl::from_wire(wire(false, vec![newer.clone()])).unwrap();
        assert!(control.orders[0].blocks() && !control.paused());
        assert_eq!(control.to_wire().orders, [newer]);
    }

    #[test]
    fn a_subject_that_is_no_name_is_refused() {
        for (scope, subject) in [(2, ""), (3, ""), (3, "No Name")] {
            let order = wire::FleetOrder {
                subject: subject.into(),
                ..order(scope)
            };
            let error = FleetControl::from_wire(wire(false, vec![order])).unwrap_err();
            assert!(error.to_string().contains("subject"), "{error}");
        }
    }
}
