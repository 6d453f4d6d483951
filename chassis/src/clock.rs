//! The clock: the only place that reads it, so that whoever needs the time has to be given it.

use std::time::Duration;

use jiff::Timestamp;

/// Now.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
pub fn now() -> Timestamp {
    Timestamp::now()
}

/// How long from now until this instant; zero if it is over.
#[must_use]
pub fn until(instant: Timestamp) -> Duration {
    Duration::try_from(instant.duration_since(now())).unwrap_or(Duration::ZERO)
}

/// A duration, varied by up to a fifth in both directions, so that a fleet does not act in step.
#[must_use]
pub fn jitter(duration: Duration) -> Duration {
    duration.mul_f64(0.8 + 0.4 * fastrand::f64())
}

/// A duration, varied by up to a half in both directions.
#[must_use]
pub fn spread(duration: Duration) -> Duration {
    duration.mul_f64(0.5 + fastrand::f64())
}
