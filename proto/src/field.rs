//! Checks of single fields, shared by all messages.

use jiff::{SignedDuration, Timestamp};

use crate::message::WireError;

/// A field that may be absent.
pub(crate) fn instant(
    message: &'static str,
    field: &'static str,
    value: Option<prost_types::Timestamp>,
) -> Result<Option<Timestamp>, WireError> {
    value
        .map(|at| Timestamp::new(at.seconds, at.nanos).map_err(|error| WireError::field(message, field, error)))
        .transpose()
}

/// A field that must be there.
pub(crate) fn instant_required(
    message: &'static str,
    field: &'static str,
    value: Option<prost_types::Timestamp>,
) -> Result<Timestamp, WireError> {
    instant(message, field, value)?.ok_or_else(|| WireError::field(message, field, "is missing"))
}

/// A duration above zero.
pub(crate) fn duration_required(
    message: &'static str,
    field: &'static str,
    value: Option<prost_types::Duration>,
) -> Result<SignedDuration, WireError> {
    let value = value.ok_or_else(|| WireError::field(message, field, "is missing"))?;
    let duration = SignedDuration::new(value.seconds, value.nanos);
    if duration.is_positive() {
        Ok(duration)
    } else {
        Err(WireError::field(message, field, "is not above zero"))
    }
}

/// An instant as it travels.
#[must_use]
pub fn to_timestamp(at: Timestamp) -> prost_types::Timestamp {
    prost_types::Timestamp {
        seconds: at.as_second(),
        nanos: at.subsec_nanosecond(),
    }
}

/// A duration as it travels; it may be negative.
#[must_use]
pub fn to_duration(duration: SignedDuration) -> prost_types::Duration {
    prost_types::Duration {
        seconds: duration.as_secs(),
        nanos: duration.subsec_nanos(),
    }
}

/// An empty text as nothing, a text as its id.
pub(crate) fn optional<T: std::str::FromStr<Err = crate::ids::IdError>>(
    message: &'static str,
    field: &'static str,
    text: &str,
) -> Result<Option<T>, WireError> {
    if text.is_empty() {
        Ok(None)
    } else {
        text.parse().map(Some).map_err(WireError::id(message, field))
    }
}
