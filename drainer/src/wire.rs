//! Parses messages into commands, and encodes events.
//!
//! A message whose subject and body name different nodes is refused here, so no other file has to
//! compare them.

use bellwether_chassis::Record;
use bellwether_drainer_core::{Command, Task};
use bellwether_proto::subject::{self, Topic};
use bellwether_proto::{
    AttemptRef, DrainNode, Encoded, Fact, MessageIds, NodeEvent, TaintNode, UncordonNode, WireError, encode,
};
use jiff::Timestamp;

use crate::error::CommandError;

/// A command of the scheduler.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Commanded {
    /// One that the record of an attempt has to permit.
    ByRecord(Command),
    /// About the taint of a node that waits for its reboot.
    Taint(TaintNode),
}

/// The command of a message.
pub(crate) fn command(record: &Record) -> Result<Commanded, CommandError> {
    command_of(
        &record.subject,
        || record.decode(),
        || record.decode(),
        || record.decode(),
    )
}

fn command_of(
    subject: &str,
    drain: impl FnOnce() -> Result<DrainNode, WireError>,
    uncordon: impl FnOnce() -> Result<UncordonNode, WireError>,
    taint: impl FnOnce() -> Result<TaintNode, WireError>,
) -> Result<Commanded, CommandError> {
    match Topic::parse(subject) {
        Some(Topic::Drain(token)) => {
            let command = drain()?;
            subject::same_node(&token, &command.attempt.node)?;
            let not_after = command.not_after;
            Ok(Commanded::ByRecord(Command {
                attempt: command.attempt,
                task: Task::Drain { not_after },
            }))
        }
        Some(Topic::Uncordon(token)) => {
            let command = uncordon()?;
            subject::same_node(&token, &command.attempt.node)?;
            Ok(Commanded::ByRecord(Command {
                attempt: command.attempt,
                task: Task::Uncordon,
            }))
        }
        Some(Topic::Taint(token)) => {
            let command = taint()?;
            subject::same_node(&token, &command.node)?;
            Ok(Commanded::Taint(command))
        }
        Some(
            Topic::DrainQuestion(_)
            | Topic::DrainAnswer(_)
            | Topic::Event(..)
            | Topic::FleetEvent(_)
            | Topic::OrderChanged
            | Topic::Attempt(_)
            | Topic::Control
            | Topic::Sentinel(_)
            | Topic::Rebooter(_),
        )
        | None => Err(CommandError::Unknown {
            subject: subject.to_owned(),
        }),
    }
}

/// One event, ready to be published.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub(crate) subject: String,
    pub(crate) message: Encoded,
    /// Set for facts that are published once: a repetition within the duplicate window is dropped.
    pub(crate) id: Option<String>,
}

/// The event about a fact of this attempt.
pub(crate) fn event(attempt: &AttemptRef, source: &str, at: Timestamp, fact: Fact, ids: &MessageIds) -> Event {
    let event = NodeEvent {
        node: attempt.node.clone(),
        attempt: attempt.attempt,
        generation: attempt.generation,
        at,
        source: source.to_owned(),
        fact,
    };
    Event {
        subject: subject::event(&attempt.node.token(), &event.fact),
        message: encode(&event),
        id: ids.of(&event),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bellwether_proto::{AttemptId, DrainProgress, Generation, NodeToken};

    #[test]
    fn a_drain_message_is_a_command() {
        let command = drain_command("n1");
        assert_eq!(command.attempt.node.as_str(), "n1");
        assert_eq!(
            command.task,
            Task::Drain {
                not_after: Timestamp::MAX
            }
        );
    }

    #[test]
    fn a_command_about_a_taint_names_the_node_of_its_subject() {
        let taint = |node: &str| TaintNode {
            node: node.parse().unwrap(),
            node_uid: "u".parse().unwrap(),
            present: true,
            not_after: Timestamp::MAX,
        };
        let subject = subject::taint_command(&token("n1"));
        let command = |body: TaintNode| command_of(&subject, || unreachable!(), || unreachable!(), || Ok(body));
        assert_eq!(command(taint("n1")), Ok(Commanded::Taint(taint("n1"))));
        let refused = command(taint("n2"));
        assert!(matches!(refused, Err(CommandError::OtherNode(_))), "{refused:?}");
    }

    #[test]
    fn a_command_for_another_node_than_its_subjects_is_refused() {
        let refused = command_of(
            &drain_subject("n2"),
            || Ok(drain("n1")),
            || unreachable!(),
            || unreachable!(),
        );
        assert!(matches!(refused, Err(CommandError::OtherNode(_))), "{refused:?}");
    }

    #[test]
    fn a_message_that_is_no_command_is_refused() {
        let unknown = drain_subject("n1").replace("drain", "reboot");
        let event = subject::event(&token("n1"), &Fact::Cordoned);
        for subject in [unknown, event, String::new()] {
            let refused = command_of(&subject, || unreachable!(), || unreachable!(), || unreachable!());
            assert!(
                matches!(refused, Err(CommandError::Unknown { .. })),
                "{subject}: {refused:?}"
            );
        }
    }

    #[test]
    fn an_event_that_is_published_once_has_an_id_and_progress_has_none() {
        let command = drain_command("n1");
        let drained = Fact::Drained {
            pods_gone: 1,
            pods_left: 0,
            pods_returning: 0,
            message: String::new(),
            report: None,
        };
        let ids = MessageIds::random();
        let event_of = |fact| event(&command.attempt, "drainer 0", Timestamp::UNIX_EPOCH, fact, &ids);
        let subject = subject::event(&token("n1"), &drained);
        let drained = event_of(drained);
        assert_eq!(drained.subject, subject);
        let begin = format!("{}:3:drained:", command.attempt.attempt);
        assert!(drained.id.unwrap().starts_with(&begin));
        let progress = Fact::DrainProgressed(DrainProgress::default());
        assert_eq!(event_of(progress).id, None);
        let stuck = Fact::UncordonFailed { message: String::new() };
        assert_eq!(event_of(stuck).id, None, "each failure is published");
    }

    fn drain_command(node: &str) -> Command {
        let command = command_of(
            &drain_subject(node),
            || Ok(drain(node)),
            || unreachable!(),
            || unreachable!(),
        );
        match command {
            Ok(Commanded::ByRecord(command)) => command,
            other => unreachable!("{other:?}"),
        }
    }

    fn drain_subject(node: &str) -> String {
        subject::drain_command(&token(node))
    }

    fn token(node: &str) -> NodeToken {
        node.parse().unwrap()
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
