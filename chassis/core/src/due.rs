//! When a report is due: at the start, on a change, over a new connection, and as a refresh before readers call it stale.
//!
//! What is reported and the time come in. A report counts only once it is stored, so of several
//! that could not be stored the newest is.

use std::time::Duration;

use jiff::Timestamp;

/// Why a report is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Why {
    /// This process has stored none yet.
    Start,
    /// Something else is true now.
    Change,
    /// The connection to NATS is another one: a server that ended the one before may have lost what was stored.
    Connection,
    /// The stored report would become stale.
    Refresh,
}

impl Why {
    /// The word for labels and logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Start => "Start",
            Self::Change => "Change",
            Self::Connection => "Connection",
            Self::Refresh => "Refresh",
        }
    }
}

/// What is stored, and until when it need not be stored again.
#[derive(Debug, Clone)]
pub struct Due<T> {
    stored: Option<Stored<T>>,
}

#[derive(Debug, Clone)]
struct Stored<T> {
    content: T,
    at: Timestamp,
    refresh_after: Duration,
    /// Whether it is still stored is not known.
    doubted: bool,
}

// By hand, since deriving it would ask for a default content.
impl<T> Default for Due<T> {
    fn default() -> Self {
        Self { stored: None }
    }
}

impl<T: PartialEq> Due<T> {
    /// Why a report of this content is due now, if one is.
    pub fn why(&self, content: &T, now: Timestamp) -> Option<Why> {
        let Some(stored) = &self.stored else {
            return Some(Why::Start);
        };
        if stored.content != *content {
            return Some(Why::Change);
        }
        if stored.doubted {
            return Some(Why::Connection);
        }
        self.refresh_in(now).is_zero().then_some(Why::Refresh)
    }

    /// Takes note that a report of this content was stored, and how long it stands without a change.
    pub fn handle_stored(&mut self, content: T, at: Timestamp, refresh_after: Duration) {
        self.stored = Some(Stored {
            content,
            at,
            refresh_after,
            doubted: false,
        });
    }

    /// Takes note of a new connection: what is stored counts no more, and a report is due at once.
    pub fn handle_connection(&mut self) {
        if let Some(stored) = &mut self.stored {
            stored.doubted = true;
        }
    }

    /// How long until a report is due even if nothing changes; zero: now.
    pub fn refresh_in(&self, now: Timestamp) -> Duration {
        let stored = self.stored.as_ref().filter(|stored| !stored.doubted);
        stored.map_or(Duration::ZERO, |stored| left(stored.at, stored.refresh_after, now))
    }
}

/// The rest of an interval that began at `since`; zero if it is over, or if the clock was set back
/// to before that: a clock that was set back must not silence an agent until it has caught up.
#[must_use]
pub fn left(since: Timestamp, interval: Duration, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(since)).map_or(Duration::ZERO, |passed| interval.saturating_sub(passed))
}

#[cfg(test)]
mod tests {
    use super::*;

    const REFRESH: Duration = Duration::from_secs(300);

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn stored(content: &'static str, second: i64) -> Due<&'static str> {
        let mut due = Due::default();
        due.handle_stored(content, at(second), REFRESH);
        due
    }

    #[test]
    fn a_report_is_due_at_the_start_on_a_change_and_as_a_refresh() {
        assert_eq!(Due::default().why(&"a", at(0)), Some(Why::Start));
        let due = stored("a", 0);
        assert_eq!(due.why(&"a", at(299)), None);
        assert_eq!(due.why(&"b", at(1)), Some(Why::Change));
        assert_eq!(due.why(&"a", at(300)), Some(Why::Refresh));
    }

    #[test]
    fn a_new_connection_makes_one_report_due_at_once_and_a_change_counts_before_it() {
        let mut due = Due::default();
        due.handle_connection();
        assert_eq!(due.why(&"a", at(0)), Some(Why::Start));
        let mut due = stored("a", 0);
        due.handle_connection();
        assert_eq!(due.why(&"a", at(1)), Some(Why::Connection));
        assert_eq!(due.why(&"b", at(1)), Some(Why::Change));
        assert_eq!(due.refresh_in(at(1)), Duration::ZERO);
        due.handle_stored("a", at(2), REFRESH);
        assert_eq!((due.why(&"a", at(3)), due.refresh_in(at(2))), (None, REFRESH));
    }

    #[test]
    fn a_clock_that_was_set_back_makes_a_report_due_at_once() {
        let due = stored("a", 1_000_000);
        assert_eq!(due.why(&"a", at(5)), Some(Why::Refresh));
        assert_eq!(due.refresh_in(at(5)), Duration::ZERO);
    }

    #[test]
    fn the_wait_ends_when_the_refresh_is_due() {
        assert_eq!(stored("a", 100).refresh_in(at(110)), Duration::from_secs(290));
        assert_eq!(Due::<()>::default().refresh_in(at(0)), Duration::ZERO);
    }
}
