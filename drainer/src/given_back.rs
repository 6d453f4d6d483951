//! The drains that this replica gives back, since it has no place for them.
//!
//! NATS hands a message that is given back without a delay to the replica whose request has waited longest, and the
//! request of this replica is the newest. So each other replica is asked within milliseconds, and one with a place takes the
//! drain at once. If the drain comes back nevertheless, all may be full: it waits, and the round begins again.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bellwether_chassis::clock;
use bellwether_drainer_core::Command;
use jiff::Timestamp;

/// The waits of one round. The second one is for replicas that had no request open at the first, since they just took
/// another message; the last one bounds what a queue of drains costs while all replicas are full.
const ROUND: [Duration; 3] = [Duration::ZERO, Duration::from_millis(200), Duration::from_secs(2)];

/// A drain that has not come for so long is with another replica: longer than the longest wait.
const FORGET: jiff::SignedDuration = jiff::SignedDuration::from_secs(10);

/// The drains given back lately: how often in this round, and when last.
#[derive(Debug, Default)]
pub(crate) struct GivenBack(Mutex<HashMap<Command, (usize, Timestamp)>>);

impl GivenBack {
    /// The wait with which this drain is given back now.
    pub(crate) fn wait(&self, command: &Command) -> Duration {
        clock::jitter(self.next(command, clock::now()))
    }

    fn next(&self, command: &Command, now: Timestamp) -> Duration {
        let mut given_back = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // NATS has at most a thousand commands on their way, so no more are here.
        given_back.retain(|_, (_, last)| now.duration_since(*last).abs() < FORGET);
        let (times, last) = given_back.entry(command.clone()).or_insert((0, now));
        let wait = ROUND.get(*times).copied().unwrap_or_default();
        *times = times.saturating_add(1) % ROUND.len();
        *last = now;
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bellwether_drainer_core::Task;
    use bellwether_proto::{AttemptId, AttemptRef, Generation};

    #[test]
    fn a_drain_goes_to_the_other_replicas_at_once_and_waits_once_it_has_come_back() {
        let given_back = GivenBack::default();
        let wait = |node, second| given_back.next(&drain(node), at(second)).as_millis();
        assert_eq!(wait("n1", 0), 0);
        assert_eq!(wait("n2", 0), 0, "another one");
        assert_eq!(wait("n1", 0), 200);
        assert_eq!(wait("n1", 1), 2000);
        assert_eq!(wait("n1", 3), 0, "the next round");
        assert_eq!(wait("n1", 3), 200);
        assert_eq!(wait("n1", 13), 0, "it was elsewhere meanwhile");
    }

    #[test]
    fn drains_that_are_elsewhere_are_forgotten() {
        let given_back = GivenBack::default();
        for number in 0..100 {
            given_back.next(&drain(&format!("n{number}")), at(0));
        }
        given_back.next(&drain("n1"), at(10));
        assert_eq!(given_back.0.lock().unwrap().len(), 1);
        // Also by a clock that was set back.
        given_back.next(&drain("n2"), at(-1000));
        assert_eq!(given_back.0.lock().unwrap().len(), 1);
    }

    fn drain(node: &str) -> Command {
        let node_uid = "u".parse().unwrap();
        Command {
            attempt: AttemptRef {
                node: node.parse().unwrap(),
                attempt: AttemptId::new(&node_uid, Generation(3), Timestamp::UNIX_EPOCH),
                node_uid,
                generation: Generation(3),
            },
            task: Task::Drain { not_after: at(60) },
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }
}
