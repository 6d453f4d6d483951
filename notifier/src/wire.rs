//! Parses events.

use bellwether_chassis::Record;
use bellwether_proto::subject::{self, Topic};
use bellwether_proto::{NodeEvent, WireError};

use crate::error::EventError;

/// The event of a message, which has to be of the node and the kind of its subject.
pub(crate) fn event(record: &Record) -> Result<NodeEvent, EventError> {
    event_of(&record.subject, || record.decode())
}

fn event_of(subject: &str, decode: impl FnOnce() -> Result<NodeEvent, WireError>) -> Result<NodeEvent, EventError> {
    match Topic::parse(subject) {
        Some(Topic::Event(token, kind)) => {
            let event = decode()?;
            subject::same_node(&token, &event.node)?;
            if event.fact.kind() == kind {
                Ok(event)
            } else {
                Err(EventError::OtherFact(subject.to_owned()))
            }
        }
        Some(
            Topic::Drain(_)
            | Topic::Uncordon(_)
            | Topic::Taint(_)
            | Topic::DrainQuestion(_)
            | Topic::DrainAnswer(_)
            | Topic::Attempt(_)
            | Topic::Control
            | Topic::Sentinel(_)
            | Topic::Rebooter(_),
        )
        | None => Err(EventError::Subject(subject.to_owned())),
    }
}
