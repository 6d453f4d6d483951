//! When an event about a drain's progress is due: after a change, and not too often.
//!
//! Progress never delays the drain: one event is under way at most, and a lost one is not repeated.

use std::time::Duration;

use bellwether_proto::DrainProgress;
use jiff::Timestamp;

use crate::backoff::after;

/// Shortest time between two events of one drain.
const INTERVAL: Duration = Duration::from_secs(2);

/// The progress published so far.
#[derive(Debug)]
pub(super) struct Progress {
    published: Option<DrainProgress>,
    next_at: Timestamp,
    is_sending: bool,
}

/// The decision about one state of the drain.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// The state is published already, or the end of the event under way will lead here again.
    Nothing,
    /// Publish the state now.
    Now(DrainProgress),
    /// Publish it at this instant, if it still is the state.
    At(Timestamp),
}

impl Progress {
    pub(super) fn new() -> Self {
        Self {
            published: None,
            next_at: Timestamp::MIN,
            is_sending: false,
        }
    }

    pub(super) fn poll(&mut self, now: Timestamp, state: DrainProgress) -> Due {
        if self.is_sending || self.published.as_ref() == Some(&state) {
            return Due::Nothing;
        }
        if now < self.next_at {
            return Due::At(self.next_at);
        }
        self.next_at = after(now, INTERVAL);
        self.published = Some(state.clone());
        self.is_sending = true;
        Due::Now(state)
    }

    pub(super) fn handle_sent(&mut self) {
        self.is_sending = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_published_once_and_the_next_one_two_seconds_later() {
        let mut progress = Progress::new();
        assert_eq!(progress.poll(at(0), left(2)), Due::Now(left(2)));
        assert_eq!(progress.poll(at(1), left(1)), Due::Nothing, "one is under way");
        progress.handle_sent();
        assert_eq!(progress.poll(at(1), left(2)), Due::Nothing, "no change");
        assert_eq!(progress.poll(at(1), left(1)), Due::At(at(2)));
        assert_eq!(progress.poll(at(2), left(1)), Due::Now(left(1)));
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn left(pods_left: u32) -> DrainProgress {
        DrainProgress {
            pods_left,
            ..DrainProgress::default()
        }
    }
}
