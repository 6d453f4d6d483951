//! The clock, and instants in words.

use bellwether_check::text::{NOTHING, between};
use jiff::Timestamp;

/// Now.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
pub(crate) fn now() -> Timestamp {
    Timestamp::now()
}

/// How long ago it was.
pub(crate) fn age(at: Option<Timestamp>, now: Timestamp) -> String {
    at.map_or_else(|| NOTHING.to_owned(), |at| between(at, now))
}

/// An instant in full, to the second, in UTC.
pub(crate) fn full(at: Option<Timestamp>) -> String {
    at.map_or_else(
        || NOTHING.to_owned(),
        |at| at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
    )
}
