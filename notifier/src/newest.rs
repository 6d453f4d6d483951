//! The newest event of the fleet, which is not acknowledged until the next one replaces it: its queues count until then, so a
//! notifier that starts without its file has to get it again.

use std::cmp::Ordering;
use std::sync::{Mutex, PoisonError};

use bellwether_chassis::Verdict;
use bellwether_proto::stream::NOTIFIER_CONSUMER;
use jiff::Timestamp;
use tokio::sync::oneshot;

/// The newest event: when the stream took it, and the delivery of it that is kept alive. Never more than one.
#[derive(Debug, Default)]
pub(crate) struct Newest(Mutex<Option<(Timestamp, oneshot::Sender<Verdict>)>>);

impl Newest {
    /// Keeps a delivery of an event. What is returned ends with its verdict.
    pub(crate) fn hold(&self, stored_at: Timestamp) -> oneshot::Receiver<Verdict> {
        let (verdict, awaited) = oneshot::channel();
        let mut newest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (ended, ending) = match newest.take() {
            None => {
                *newest = Some((stored_at, verdict));
                return awaited;
            }
            Some((held_at, held)) => match stored_at.cmp(&held_at) {
                Ordering::Greater => {
                    *newest = Some((stored_at, verdict));
                    (held, Verdict::Ack)
                }
                // NATS was away for longer than the ack wait. This delivery keeps the event from now on, and the one before
                // ends in a way that neither acknowledges the event nor has it delivered before the next sign of life.
                Ordering::Equal => {
                    *newest = Some((stored_at, verdict));
                    (held, Verdict::RetryAfter(NOTIFIER_CONSUMER.ack_wait))
                }
                // A late copy.
                Ordering::Less => {
                    *newest = Some((held_at, held));
                    (verdict, Verdict::Ack)
                }
            },
        };
        // One whose delivery has ended needs no verdict.
        ended.send(ending).ok();
        awaited
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn an_event_of_the_fleet_is_acknowledged_once_the_next_one_is_there() {
        let newest = Newest::default();
        let mut first = newest.hold(at(1));
        assert!(first.try_recv().is_err(), "it is the newest one");
        let mut second = newest.hold(at(2));
        assert_eq!(first.try_recv(), Ok(Verdict::Ack));
        let mut late = newest.hold(at(1));
        assert_eq!(late.try_recv(), Ok(Verdict::Ack));
        assert!(second.try_recv().is_err());
    }

    #[test]
    fn an_event_that_comes_again_is_kept_once_and_not_acknowledged() {
        let newest = Newest::default();
        let mut before = newest.hold(at(1));
        let mut again = newest.hold(at(1));
        assert_eq!(before.try_recv(), Ok(Verdict::RetryAfter(NOTIFIER_CONSUMER.ack_wait)));
        assert!(again.try_recv().is_err());
        newest.hold(at(2)).close();
        assert_eq!(again.try_recv(), Ok(Verdict::Ack));
    }
}
