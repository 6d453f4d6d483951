//! Changes of the operators' orders, as events: who asked, and what was in force before and after.

use jiff::Timestamp;

use crate::event_link::{EventLink, Linked};
use crate::field::{instant_required, to_timestamp};
use crate::fleet::FleetOrder;
use crate::ids::NodeName;
use crate::limit::ORDERS_UNPUBLISHED_MAX;
use crate::message::{Message, WireError};
use crate::wire;

/// The kind of the events of the chain of orders.
pub(crate) const ORDER_CHANGED: &str = "order-changed";

/// The orders changed, or an operator cancelled an attempt without a change of its phase. See [`wire::OrderChanged`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderChanged {
    /// When, by the scheduler's clock.
    pub at: Timestamp,
    /// The service that wrote it, with its version.
    pub source: String,
    /// The place of the event in the chain of orders; none: it has not got one yet.
    pub link: Option<EventLink>,
    /// What changed.
    pub change: OrderChange,
    /// The operator who asked; of orders that ended by themselves, the one who gave them. Empty: several did.
    pub by: String,
    /// Why, for operators; may be empty.
    pub reason: String,
    /// The order that is in force from now on.
    pub given: Option<FleetOrder>,
    /// The orders that are in force no more.
    pub ended: Vec<FleetOrder>,
    /// The node whose attempt was cancelled.
    pub node: Option<NodeName>,
}

/// What changed. See [`wire::OrderChange`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderChange {
    /// An operator gave an order, maybe in place of another one.
    Given,
    /// An operator ended orders.
    Ended,
    /// The time of orders was over.
    TimeOver,
    /// Orders had done their work.
    Fulfilled,
    /// An operator had a slot released that a failed attempt kept.
    SlotReleased,
    /// An operator ended the wait of a node for its next attempt.
    WaitEnded,
    /// The number of a change that this version does not know.
    Unknown(i32),
}

impl OrderChange {
    /// The word for tables and JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Given => "OrderGiven",
            Self::Ended => "OrderEnded",
            Self::TimeOver => "OrderTimeOver",
            Self::Fulfilled => "OrderFulfilled",
            Self::SlotReleased => "SlotReleased",
            Self::WaitEnded => "WaitEnded",
            Self::Unknown(_) => "OrderChanged",
        }
    }

    fn from_wire(number: i32) -> Self {
        match wire::OrderChange::try_from(number) {
            Ok(wire::OrderChange::Given) => Self::Given,
            Ok(wire::OrderChange::Ended) => Self::Ended,
            Ok(wire::OrderChange::TimeOver) => Self::TimeOver,
            Ok(wire::OrderChange::Fulfilled) => Self::Fulfilled,
            Ok(wire::OrderChange::SlotReleased) => Self::SlotReleased,
            Ok(wire::OrderChange::WaitEnded) => Self::WaitEnded,
            Ok(wire::OrderChange::Unspecified) | Err(_) => Self::Unknown(number),
        }
    }

    fn to_wire(self) -> i32 {
        match self {
            Self::Given => wire::OrderChange::Given.into(),
            Self::Ended => wire::OrderChange::Ended.into(),
            Self::TimeOver => wire::OrderChange::TimeOver.into(),
            Self::Fulfilled => wire::OrderChange::Fulfilled.into(),
            Self::SlotReleased => wire::OrderChange::SlotReleased.into(),
            Self::WaitEnded => wire::OrderChange::WaitEnded.into(),
            Self::Unknown(number) => number,
        }
    }
}

impl Message for OrderChanged {
    const TYPE: &'static str = "bellwether.v1.OrderChanged";
    type Wire = wire::OrderChanged;

    fn from_wire(wire: Self::Wire) -> Result<Self, WireError> {
        let node = match wire.node.as_str() {
            "" => None,
            name => Some(name.parse().map_err(WireError::id(Self::TYPE, "node"))?),
        };
        let ended = wire.ended.into_iter().map(FleetOrder::from_wire);
        Ok(Self {
            at: instant_required(Self::TYPE, "at", wire.at)?,
            source: wire.source,
            link: EventLink::from_wire(wire.link),
            change: OrderChange::from_wire(wire.change),
            by: wire.by,
            reason: wire.reason,
            given: wire.given.map(FleetOrder::from_wire).transpose()?,
            ended: ended.collect::<Result<_, _>>()?,
            node,
        })
    }

    fn to_wire(&self) -> Self::Wire {
        wire::OrderChanged {
            at: Some(to_timestamp(self.at)),
            source: self.source.clone(),
            link: self.link.map(EventLink::to_wire),
            change: self.change.to_wire(),
            by: self.by.clone(),
            reason: self.reason.clone(),
            given: self.given.as_ref().map(FleetOrder::to_wire),
            ended: self.ended.iter().map(FleetOrder::to_wire).collect(),
            node: self.node.as_ref().map(ToString::to_string).unwrap_or_default(),
        }
    }
}

impl Linked for OrderChanged {
    const UNPUBLISHED_MAX: usize = ORDERS_UNPUBLISHED_MAX;

    fn link(&self) -> Option<EventLink> {
        self.link
    }

    fn set_link(&mut self, link: EventLink) {
        self.link = Some(link);
    }

    /// The record of the orders is never deleted.
    fn may_be_last(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chain::with;
    use crate::fleet::{FleetControl, OrderKind, OrderScope};
    use crate::limit::LINKED_EVENT_BYTES_MAX;
    use crate::message::{decode_body, encode};

    fn order(text: &str) -> FleetOrder {
        FleetOrder {
            kind: OrderKind::Block,
            scope: OrderScope::Policy(text.to_owned()),
            by: text.to_owned(),
            reason: text.to_owned(),
            since: Timestamp::MAX,
            until: Some(Timestamp::MAX),
        }
    }

    #[test]
    fn a_record_keeps_as_many_events_about_orders_as_there_is_room_for_and_counts_the_others() {
        let event = |text: &str| OrderChanged {
            at: Timestamp::MAX,
            source: "scheduler".to_owned(),
            link: None,
            change: OrderChange::Given,
            by: "anna".to_owned(),
            reason: text.to_owned(),
            given: Some(order(text)),
            ended: Vec::new(),
            node: None,
        };
        let record = |events: usize, orders: usize, text: &str| FleetControl {
            by: "anna".to_owned(),
            reason: text.to_owned(),
            since: Timestamp::MAX,
            orders: vec![order(text); orders],
            event_chain: (0..events)
                .fold(None, |chain, _| Some(with(chain, event(text))))
                .map(Box::new),
        };
        let kept = |control: &FleetControl| {
            let again: FleetControl = decode_body(&encode(control).payload).unwrap();
            again.event_chain.unwrap().unpublished.len()
        };
        let short = record(100, 97, "disks");
        assert_eq!((kept(&short), short.events_without_room()), (100, 0));
        let many = record(ORDERS_UNPUBLISHED_MAX + 9, 0, "disks");
        assert_eq!((kept(&many), many.events_without_room()), (ORDERS_UNPUBLISHED_MAX, 0));
        let full = record(200, 97, &"x".repeat(3000));
        let found = (kept(&full), full.events_without_room());
        assert!(found.0 < 200 && found.0 + found.1 == 200, "{found:?}");
    }

    #[test]
    fn an_event_with_all_texts_at_their_limits_fits_into_a_record() {
        let text = "x".repeat(3000);
        let event = OrderChanged {
            at: Timestamp::MAX,
            source: text.clone(),
            link: Some(EventLink {
                sequence: u64::MAX,
                previous: Some(crate::event_link::EventHash::of(b"before")),
            }),
            change: OrderChange::Unknown(-1),
            by: text.clone(),
            reason: text.clone(),
            given: Some(order(&text)),
            ended: vec![order(&text); 200],
            node: Some("n".repeat(253).parse().unwrap()),
        };
        let body = encode(&event).payload;
        assert!(body.len() <= LINKED_EVENT_BYTES_MAX, "{}", body.len());
        let again: OrderChanged = decode_body(&body).unwrap();
        assert_eq!((encode(&again).payload, again.change), (body, event.change));
    }
}
