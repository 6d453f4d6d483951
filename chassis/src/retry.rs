//! Trying again: how long to wait, and saying so once instead of each time.
//!
//! Owned by whoever repeats something. It never sleeps and never gives up; both are up to its owner.

use std::time::Duration;

use crate::backoff::Backoff;
use crate::chain;

/// The longest wait: what came back is used within seconds, and thousands of agents that
/// wait for the same thing do not drown it.
const DELAY_MAX: Duration = Duration::from_secs(10);

/// What is tried again and again.
#[derive(Debug)]
pub struct Retry {
    what: &'static str,
    backoff: Backoff,
    logged: Option<String>,
}

impl Retry {
    /// Nothing has failed yet. `what` names it in the log.
    #[must_use]
    pub fn new(what: &'static str) -> Self {
        Self::with(what, Backoff::up_to(DELAY_MAX))
    }

    /// The same with waits of its own.
    #[must_use]
    pub fn with(what: &'static str, backoff: Backoff) -> Self {
        Self {
            what,
            backoff,
            logged: None,
        }
    }

    /// It failed: how long to wait before the next try. The same error is logged only once.
    pub fn failed(&mut self, error: &(dyn std::error::Error + 'static)) -> Duration {
        let error = chain(error);
        if self.logged.as_ref() == Some(&error) {
            tracing::debug!(what = self.what, error, "Still failing, trying again");
        } else {
            tracing::warn!(what = self.what, error, "Failed, trying again until it works");
            self.logged = Some(error);
        }
        self.backoff.after_failure()
    }

    /// It worked.
    pub fn worked(&mut self) {
        if self.logged.take().is_some() {
            tracing::info!(what = self.what, failures = self.backoff.failures(), "Works again");
        }
        self.backoff.reset();
    }

    /// True after a failure, until it works.
    #[must_use]
    pub fn is_failing(&self) -> bool {
        self.backoff.failures() > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first wait of [`Backoff::up_to`].
    const DELAY_MIN: Duration = Duration::from_millis(250);

    #[test]
    fn waits_grow_to_a_limit_and_start_again_after_a_success() {
        let mut retry = Retry::new("something");
        let error = std::io::Error::other("no");
        let first = retry.failed(&error);
        assert!(first <= DELAY_MIN.mul_f64(1.2), "{first:?}");
        let last = (0..100).map(|_| retry.failed(&error)).last().unwrap();
        assert!(
            last >= DELAY_MAX.mul_f64(0.8) && last <= DELAY_MAX.mul_f64(1.2),
            "{last:?}"
        );
        assert!(retry.is_failing());
        retry.worked();
        assert!(!retry.is_failing());
        assert!(retry.failed(&error) <= DELAY_MIN.mul_f64(1.2));
    }
}
