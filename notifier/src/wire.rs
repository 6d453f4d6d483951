//! Parses events.

use bellwether_chassis::Record;
use bellwether_proto::subject::{self, Topic};
use bellwether_proto::{FleetEvent, NodeEvent};

use crate::error::EventError;

/// An event.
#[derive(Debug)]
pub(crate) enum Event {
    /// Of a node.
    Node(Box<NodeEvent>),
    /// Of the fleet.
    Fleet(Box<FleetEvent>),
}

/// The event of a message, which has to be of the node and the kind of its subject.
pub(crate) fn event(record: &Record) -> Result<Event, EventError> {
    match Topic::parse(&record.subject) {
        Some(Topic::Event(token, kind)) => {
            let event = record.decode()?;
            subject::same_event(&token, &kind, &event)?;
            Ok(Event::Node(Box::new(event)))
        }
        Some(Topic::FleetEvent(kind)) => {
            let event = record.decode()?;
            subject::same_fleet_event(&kind, &event)?;
            Ok(Event::Fleet(Box::new(event)))
        }
        Some(
            Topic::Drain(_)
            | Topic::Uncordon(_)
            | Topic::Taint(_)
            | Topic::DrainQuestion(_)
            | Topic::DrainAnswer(_)
            | Topic::OrderChanged
            | Topic::Attempt(_)
            | Topic::Control
            | Topic::Sentinel(_)
            | Topic::Rebooter(_),
        )
        | None => Err(EventError::Subject(record.subject.clone())),
    }
}
