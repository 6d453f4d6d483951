//! The ids by which the server drops the repetition of an event.
//!
//! An id holds for its whole stream, whatever the subject: a client that knows the id of an event before the event is
//! stored could publish something else under it, and the server would drop the event and acknowledge it all the same. So
//! an id has a part that only its process can know.

use std::fmt;

use uuid::Uuid;

use crate::event::NodeEvent;

/// The fewest characters of the random part: 16 of 64 kinds are 96 bits, which no other client guesses.
const RANDOM_MIN: usize = 16;

/// Makes the message ids of one process. The same event has the same id each time, so its repetition is dropped.
#[derive(Clone)]
pub struct MessageIds {
    secret: Uuid,
}

impl MessageIds {
    /// Those of a new process.
    #[must_use]
    pub fn random() -> Self {
        Self { secret: Uuid::new_v4() }
    }

    /// The value of the header [`MESSAGE_ID`](crate::header::MESSAGE_ID). None for facts that are news each time, and for those of a chain.
    #[must_use]
    pub fn of(&self, event: &NodeEvent) -> Option<String> {
        let begin = event.message_id_begin()?;
        // A hash of both: the id of one event does not show that of the next.
        let random = Uuid::new_v5(&self.secret, begin.as_bytes());
        Some(format!("{begin}{}", random.simple()))
    }
}

impl fmt::Debug for MessageIds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MessageIds").finish_non_exhaustive()
    }
}

/// The random part of the message id of an event. None: the id is not one of the contract for this event.
#[must_use]
pub fn random_part<'a>(id: &'a str, event: &NodeEvent) -> Option<&'a str> {
    let random = id.strip_prefix(&event.message_id_begin()?)?;
    let allowed = |it: char| it.is_ascii_alphanumeric() || it == '-' || it == '_';
    (random.len() >= RANDOM_MIN && random.chars().all(allowed)).then_some(random)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::drain_progress::DrainProgress;
    use crate::event::Fact;
    use crate::ids::{AttemptId, Generation, NodeUid};

    fn event(generation: u64, fact: Fact) -> NodeEvent {
        let uid: NodeUid = "u".parse().unwrap();
        NodeEvent {
            node: "n1".parse().unwrap(),
            attempt: AttemptId::new(&uid, Generation(3), Timestamp::UNIX_EPOCH),
            generation: Generation(generation),
            at: Timestamp::UNIX_EPOCH,
            source: "drainer 0".to_owned(),
            fact,
        }
    }

    #[test]
    fn a_repetition_has_the_same_id_and_no_other_event_or_process_has_its_random_part() {
        let ids = MessageIds::random();
        let first = event(3, Fact::Cordoned);
        let id = ids.of(&first).unwrap();
        assert!(id.starts_with(&format!("{}:3:cordoned:", first.attempt)), "{id}");
        let again = NodeEvent {
            at: Timestamp::MAX,
            ..first.clone()
        };
        assert_eq!(ids.of(&again), Some(id.clone()));
        let random = random_part(&id, &first).unwrap();
        let next = event(4, Fact::Cordoned);
        let of_next = ids.of(&next).unwrap();
        assert_ne!(random_part(&of_next, &next).unwrap(), random);
        let of_other = MessageIds::random().of(&first).unwrap();
        assert_ne!(random_part(&of_other, &first).unwrap(), random);
        assert!(!format!("{ids:?}").contains(&ids.secret.to_string()));
    }

    #[test]
    fn progress_and_a_failed_uncordon_are_news_each_time_and_have_no_id() {
        let ids = MessageIds::random();
        assert_eq!(ids.of(&event(3, Fact::DrainProgressed(DrainProgress::default()))), None);
        assert_eq!(ids.of(&event(3, Fact::UncordonFailed { message: String::new() })), None);
    }

    #[test]
    fn an_id_without_a_long_random_part_or_of_another_event_is_not_of_the_contract() {
        let event = event(3, Fact::Cordoned);
        let begin = event.message_id_begin().unwrap();
        let random = "0123456789abcdEF";
        assert_eq!(random_part(&format!("{begin}{random}"), &event), Some(random));
        for wrong in [
            begin.trim_end_matches(':').to_owned(),
            begin.clone(),
            format!("{begin}0123456789abcde"),
            format!("{begin}0123456789abcde "),
            format!("{}{random}", begin.replace(":3:", ":4:")),
            random.to_owned(),
        ] {
            assert_eq!(random_part(&wrong, &event), None, "{wrong}");
        }
    }
}
