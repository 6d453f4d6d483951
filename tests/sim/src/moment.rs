//! Virtual time: milliseconds since the start of a run.

use jiff::{SignedDuration, Timestamp};

/// Milliseconds since the start of the run, or a duration in milliseconds.
pub type Ms = i64;

/// One second.
pub const SECOND: Ms = 1_000;
/// One minute.
pub const MINUTE: Ms = 60 * SECOND;
/// One hour.
pub const HOUR: Ms = 60 * MINUTE;

/// When every run starts: 2026-01-01, in milliseconds since the epoch.
const ORIGIN: Ms = 1_767_225_600_000;

/// The instant of a moment, as a clock without error shows it.
#[must_use]
pub fn instant(at: Ms) -> Timestamp {
    Timestamp::from_millisecond(ORIGIN.saturating_add(at)).unwrap_or(Timestamp::MAX)
}

/// The moment of an instant, rounded up: a timer never fires early.
#[must_use]
pub fn moment(at: Timestamp) -> Ms {
    let rounded = at.as_nanosecond().rem_euclid(1_000_000) != 0;
    at.as_millisecond().saturating_sub(ORIGIN) + Ms::from(rounded)
}

/// A duration in milliseconds.
#[must_use]
pub fn millis(duration: SignedDuration) -> Ms {
    Ms::try_from(duration.as_millis()).unwrap_or(Ms::MAX / 4)
}

/// A moment for readers of a story: hours, minutes, seconds and milliseconds.
#[must_use]
pub fn clock_face(at: Ms) -> String {
    let (h, m, s, ms) = (at / HOUR, at % HOUR / MINUTE, at % MINUTE / SECOND, at % SECOND);
    format!("{h:02}:{m:02}:{s:02}.{ms:03}")
}
