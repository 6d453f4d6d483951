//! Growing waits between tries: the one rule of all services.
//!
//! Each wait is twice the one before, up to a limit, and varied so that a fleet does not act in step.
//! It reads no clock and never sleeps; its owner does.

use std::time::Duration;

use crate::clock;

/// The first wait by default: a fault of a moment costs no more.
const FIRST: Duration = Duration::from_millis(250);

/// After so many doublings every limit of ours is reached, and no number has overflowed.
const DOUBLINGS_MAX: u32 = 16;

/// How long to wait before the next try.
#[derive(Debug, Clone)]
pub struct Backoff {
    first: Duration,
    max: Duration,
    tries: u32,
}

impl Backoff {
    /// Waits from a quarter of a second up to this limit.
    #[must_use]
    pub const fn up_to(max: Duration) -> Self {
        Self::between(FIRST, max)
    }

    /// Waits from `first` up to `max`.
    #[must_use]
    pub const fn between(first: Duration, max: Duration) -> Self {
        Self { first, max, tries: 0 }
    }

    /// The wait before the next try, longer each time, varied by up to a fifth in both directions.
    pub fn after_failure(&mut self) -> Duration {
        let wait = self.after(self.tries);
        self.tries = self.tries.saturating_add(1);
        wait
    }

    /// No wait was taken yet: a fault now is the first of its series.
    #[must_use]
    pub fn is_first(&self) -> bool {
        self.tries == 0
    }

    /// The wait after so many failed tries before this one, for callers that count the tries themselves.
    #[must_use]
    pub fn after(&self, tries: u32) -> Duration {
        clock::jitter(self.unvaried(tries))
    }

    /// The same, varied by up to a half in both directions, for thousands of clients that one fault stops in one moment.
    #[must_use]
    pub fn spread_after(&self, tries: u32) -> Duration {
        clock::spread(self.unvaried(tries))
    }

    fn unvaried(&self, tries: u32) -> Duration {
        let factor = 1 << tries.min(DOUBLINGS_MAX);
        self.first.saturating_mul(factor).min(self.max)
    }

    /// Starts again with the first wait: the try succeeded.
    pub fn reset(&mut self) {
        self.tries = 0;
    }

    /// How many tries have failed since the last success.
    #[must_use]
    pub fn failures(&self) -> u32 {
        self.tries
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX: Duration = Duration::from_secs(10);

    #[test]
    fn waits_double_up_to_the_limit_and_begin_again_after_a_success() {
        let mut backoff = Backoff::up_to(MAX);
        for expected in [250, 500, 1000, 2000, 4000, 8000, 10_000, 10_000].map(Duration::from_millis) {
            let wait = backoff.after_failure();
            assert!(
                wait >= expected.mul_f64(0.8) && wait <= expected.mul_f64(1.2),
                "{wait:?} instead of {expected:?}"
            );
        }
        assert_eq!(backoff.failures(), 8);
        backoff.reset();
        assert!(backoff.after_failure() <= FIRST.mul_f64(1.2));
    }

    #[test]
    fn no_number_of_tries_waits_longer_than_the_limit() {
        for tries in [17, 1000, u32::MAX] {
            assert!(Backoff::up_to(MAX).after(tries) <= MAX.mul_f64(1.2));
        }
    }
}
