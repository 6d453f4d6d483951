//! Parsers of single values. Each error says how to write the value.

use std::fmt;

use jiff::SignedDuration;

/// Longest time that can be set. A node that takes longer needs an operator, not more patience.
const TIME_MAX: SignedDuration = SignedDuration::from_hours(24);

/// Longest time for something that an operator looks at once a year.
const LONG_MAX: SignedDuration = SignedDuration::from_hours(8760);

/// A time as it is written in arguments, such as `90s`, `30m` or `2h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Time(pub(super) SignedDuration);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#}", self.0)
    }
}

/// At least a second.
pub(super) fn time(text: &str) -> Result<Time, String> {
    let time = time_or_zero(text)?;
    if time.0 < SignedDuration::from_secs(1) {
        return Err("has to be at least 1s".to_owned());
    }
    Ok(time)
}

/// At least a second, and a year at most.
pub(super) fn long(text: &str) -> Result<Time, String> {
    let time: SignedDuration = text.parse().map_err(|error| format!("{error}; write it as 720h"))?;
    if time < SignedDuration::from_secs(1) || time > LONG_MAX {
        return Err("has to be between 1s and 8760h".to_owned());
    }
    Ok(Time(time))
}

/// Zero or more.
pub(super) fn time_or_zero(text: &str) -> Result<Time, String> {
    let time: SignedDuration = text
        .parse()
        .map_err(|error| format!("{error}; write it as 90s, 30m or 2h"))?;
    if time.is_negative() || time > TIME_MAX {
        return Err("has to be between 0s and 24h".to_owned());
    }
    Ok(Time(time))
}

/// The duration of a Lease, which Kubernetes counts in seconds. A third of it is left for two renewals.
pub(super) fn lease(text: &str) -> Result<SignedDuration, String> {
    let Time(time) = time(text)?;
    if time < SignedDuration::from_secs(3) || time.subsec_nanos() != 0 {
        return Err("has to be whole seconds, at least 3s".to_owned());
    }
    Ok(time)
}

/// Any text but none.
pub(super) fn not_empty(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Err("is empty".to_owned());
    }
    Ok(text.to_owned())
}
