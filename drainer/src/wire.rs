//! The edge: commands become orders, facts become events.
//!
//! It owns no connection. What cannot be an order is refused here, so that nothing behind it
//! ever sees a command for another node than its subject's.

use bellwether_chassis::Record;
use bellwether_proto::subject::{self, Topic};
use bellwether_proto::{AttemptRef, DrainNode, Encoded, Fact, NodeEvent, UncordonNode, WireError, encode};
use jiff::Timestamp;

use crate::error::CommandError;
use crate::permit::{Deed, Order};

/// What a command orders.
pub(crate) fn order(record: &Record) -> Result<Order, CommandError> {
    order_of(&record.subject, || record.decode(), || record.decode())
}

fn order_of(
    subject: &str,
    drain: impl FnOnce() -> Result<DrainNode, WireError>,
    uncordon: impl FnOnce() -> Result<UncordonNode, WireError>,
) -> Result<Order, CommandError> {
    match Topic::parse(subject) {
        Some(Topic::Drain(token)) => {
            let command = drain()?;
            let AttemptRef {
                node,
                node_uid,
                attempt,
                generation,
            } = command.attempt;
            subject::same_node(&token, &node)?;
            Ok(Order {
                node,
                node_uid,
                attempt,
                generation,
                deed: Deed::Drain {
                    not_after: command.not_after,
                },
            })
        }
        Some(Topic::Uncordon(token)) => {
            let command = uncordon()?;
            let AttemptRef {
                node,
                node_uid,
                attempt,
                generation,
            } = command.attempt;
            subject::same_node(&token, &node)?;
            Ok(Order {
                node,
                node_uid,
                attempt,
                generation,
                deed: Deed::Uncordon,
            })
        }
        Some(Topic::Event(_) | Topic::Attempt(_) | Topic::Control | Topic::Sentinel(_) | Topic::Rebooter(_)) | None => {
            Err(CommandError::Unknown {
                subject: subject.to_owned(),
            })
        }
    }
}

/// One event, ready to be published.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub(crate) subject: String,
    pub(crate) message: Encoded,
    /// Set for what is true once and for all: said again within the duplicate window it is dropped.
    pub(crate) id: Option<String>,
}

/// The event that says this fact of this order.
pub(crate) fn event(order: &Order, source: &str, at: Timestamp, fact: Fact) -> Event {
    let event = NodeEvent {
        node: order.node.clone(),
        attempt: order.attempt,
        generation: order.generation,
        at,
        source: source.to_owned(),
        fact,
    };
    Event {
        subject: subject::event(&order.node.token(), &event.fact),
        message: encode(&event),
        id: event.message_id(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bellwether_proto::{AttemptId, Generation};

    #[test]
    fn a_drain_command_is_an_order() {
        let order = order_of("bellwether.v1.cmd.n1.drain", || Ok(drain("n1")), || unreachable!()).unwrap();
        assert_eq!(order.node.as_str(), "n1");
        assert_eq!(
            order.deed,
            Deed::Drain {
                not_after: Timestamp::MAX
            }
        );
    }

    #[test]
    fn a_command_for_another_node_than_its_subjects_is_refused() {
        let refused = order_of("bellwether.v1.cmd.n2.drain", || Ok(drain("n1")), || unreachable!());
        assert!(matches!(refused, Err(CommandError::OtherNode(_))), "{refused:?}");
    }

    #[test]
    fn what_is_no_command_is_refused() {
        for subject in ["bellwether.v1.cmd.n1.reboot", "bellwether.v1.evt.n1.drained", ""] {
            let refused = order_of(subject, || unreachable!(), || unreachable!());
            assert!(
                matches!(refused, Err(CommandError::Unknown { .. })),
                "{subject}: {refused:?}"
            );
        }
    }

    #[test]
    fn what_is_true_once_and_for_all_has_an_id_and_progress_has_none() {
        let order = order_of("bellwether.v1.cmd.n1.drain", || Ok(drain("n1")), || unreachable!()).unwrap();
        let drained = Fact::Drained {
            pods_gone: 1,
            pods_left: 0,
        };
        let event_of = |fact| event(&order, "drainer 0", Timestamp::UNIX_EPOCH, fact);
        let told = event_of(drained);
        assert_eq!(told.subject, "bellwether.v1.evt.n1.drained");
        assert_eq!(told.id.unwrap(), format!("{}:3:drained", order.attempt));
        let progress = Fact::DrainProgressed {
            pods_left: 1,
            pods_gone: 0,
            held_up_by: vec![],
        };
        assert_eq!(event_of(progress).id, None);
        let stuck = Fact::UncordonFailed { message: String::new() };
        assert_eq!(event_of(stuck).id, None, "each time it fails is news");
    }

    fn drain(node: &str) -> DrainNode {
        let node_uid = "u".parse().unwrap();
        DrainNode {
            attempt: AttemptRef {
                node: node.parse().unwrap(),
                attempt: AttemptId::new(&node_uid, Generation(3), Timestamp::UNIX_EPOCH),
                node_uid,
                generation: Generation(3),
            },
            not_after: Timestamp::MAX,
        }
    }
}
