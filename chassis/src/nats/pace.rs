//! How long a client waits between two tries to connect.
//!
//! A connection that ends at once counts as a failed try: a server that lets a client in and ends the connection, since
//! its credentials have just expired or its permissions are broken, would otherwise be tried several times a second by
//! every agent.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::backoff::Backoff;

/// Waits between two tries: short enough that a reboot of the NATS server's own node costs seconds, long enough that
/// thousands of agents do not drown a server that starts.
const RECONNECT: Backoff = Backoff::between(Duration::from_millis(100), Duration::from_secs(5));

/// A connection that has lasted so long was of use. Longer than the longest wait, so that a wait never counts as use.
const STEADY: Duration = Duration::from_secs(10);

/// The waits of one client.
#[derive(Debug, Default)]
pub(super) struct Pace(Mutex<Counted>);

#[derive(Debug, Default)]
struct Counted {
    /// When the last try began.
    last: Option<Instant>,
    /// Connections in a row that ended before they were of use.
    short: u32,
}

impl Pace {
    /// The wait before a try. `tries` counts the tries since the client was connected last, this one included.
    pub(super) fn wait(&self, tries: usize, now: Instant) -> Duration {
        let tries = u32::try_from(tries).unwrap_or(u32::MAX);
        let mut counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if tries <= 1 {
            // The last try has led to a connection, which has ended now.
            match counted.last.replace(now) {
                Some(last) if now.duration_since(last) < STEADY => counted.short = counted.short.saturating_add(1),
                Some(_) | None => counted.short = 0,
            }
        }
        let wait = RECONNECT.spread_after(tries.saturating_add(counted.short));
        counted.last = Some(now + wait);
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONGEST: Duration = Duration::from_millis(7500);

    #[test]
    fn a_client_that_lost_a_steady_connection_is_back_within_a_second() {
        let pace = Pace::default();
        let mut now = Instant::now();
        for _ in 0..10 {
            let wait = pace.wait(1, now);
            assert!(wait <= Duration::from_millis(300), "{wait:?}");
            now += wait + STEADY;
        }
    }

    #[test]
    fn connections_that_end_at_once_are_tried_ever_more_slowly() {
        let pace = Pace::default();
        let begin = Instant::now();
        let mut now = begin;
        for _ in 0..20 {
            now += pace.wait(1, now);
        }
        assert!(now - begin > Duration::from_secs(25), "{:?}", now - begin);
        for _ in 0..100 {
            let wait = pace.wait(1, now);
            assert!(wait >= Duration::from_millis(2500) && wait <= LONGEST, "{wait:?}");
            now += wait;
        }
        now += STEADY;
        assert!(
            pace.wait(1, now) <= Duration::from_millis(300),
            "a steady connection ends the row"
        );
    }

    #[test]
    fn failed_tries_wait_longer_up_to_a_limit() {
        let pace = Pace::default();
        let now = Instant::now();
        for (tries, most) in [
            (1, 300),
            (2, 600),
            (4, 2400),
            (7, 7500),
            (1000, 7500),
            (usize::MAX, 7500),
        ] {
            let wait = pace.wait(tries, now);
            assert!(
                wait <= Duration::from_millis(most) && wait >= Duration::from_millis(most / 3),
                "{tries}: {wait:?}"
            );
        }
    }

    #[test]
    fn clients_that_are_refused_together_do_not_come_back_together() {
        let now = Instant::now();
        let waits: Vec<Duration> = (0..1000).map(|_| Pace::default().wait(20, now)).collect();
        let within = |from: u64| {
            let from = Duration::from_millis(from);
            waits
                .iter()
                .filter(|wait| **wait >= from && **wait < from + Duration::from_secs(1))
                .count()
        };
        for from in [2500, 3500, 4500, 5500, 6500] {
            assert!(within(from) < 300, "{from}: {}", within(from));
        }
    }
}
