//! Checks of single fields, shared by all messages.

use jiff::{SignedDuration, Timestamp};

use crate::message::WireError;

const NANOS_PER_SECOND: i32 = 1_000_000_000;

/// The longest `google.protobuf.Duration`.
const DURATION_MAX: SignedDuration = SignedDuration::from_secs(315_576_000_000);

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

/// A time that is out of range counts as none: nothing depends on it.
pub(crate) fn time(at: Option<prost_types::Timestamp>) -> Option<Timestamp> {
    at.and_then(|at| Timestamp::new(at.seconds, at.nanos).ok())
}

/// A field that must be there.
pub(crate) fn instant_required(
    message: &'static str,
    field: &'static str,
    value: Option<prost_types::Timestamp>,
) -> Result<Timestamp, WireError> {
    instant(message, field, value)?.ok_or_else(|| WireError::field(message, field, "is missing"))
}

/// A duration above zero. Beyond `max` it counts as `max`.
pub(crate) fn duration_required(
    message: &'static str,
    field: &'static str,
    value: Option<prost_types::Duration>,
    max: SignedDuration,
) -> Result<SignedDuration, WireError> {
    let value = value.ok_or_else(|| WireError::field(message, field, "is missing"))?;
    let out_of_range = || {
        let (seconds, nanos) = (value.seconds, value.nanos);
        WireError::field(
            message,
            field,
            format!("has {seconds} s and {nanos} ns, which is no duration"),
        )
    };
    let duration = from_duration(value).ok_or_else(out_of_range)?;
    if duration.is_positive() {
        Ok(duration.min(max))
    } else {
        Err(WireError::field(message, field, "is not above zero"))
    }
}

/// An instant as it travels: protobuf counts the nanoseconds upwards, also before 1970.
#[must_use]
pub fn to_timestamp(at: Timestamp) -> prost_types::Timestamp {
    let (seconds, nanos) = (at.as_second(), at.subsec_nanosecond());
    if nanos < 0 {
        return prost_types::Timestamp {
            seconds: seconds.saturating_sub(1),
            nanos: nanos.saturating_add(NANOS_PER_SECOND),
        };
    }
    prost_types::Timestamp { seconds, nanos }
}

/// A duration that travelled; none if protobuf does not have it: the fraction is not below a second, has
/// another sign than the seconds, or the whole is beyond 10,000 years.
#[must_use]
pub fn from_duration(duration: prost_types::Duration) -> Option<SignedDuration> {
    let prost_types::Duration { seconds, nanos } = duration;
    let is_fraction = -NANOS_PER_SECOND < nanos && nanos < NANOS_PER_SECOND;
    let agrees = seconds == 0 || nanos == 0 || (seconds < 0) == (nanos < 0);
    // Only a fraction may reach `new`: it panics where more nanoseconds than that overflow the seconds.
    let duration = (is_fraction && agrees).then(|| SignedDuration::new(seconds, nanos))?;
    (-DURATION_MAX <= duration && duration <= DURATION_MAX).then_some(duration)
}

/// A duration as it travels; it may be negative. Cut to the 10,000 years of protobuf.
#[must_use]
pub fn to_duration(duration: SignedDuration) -> prost_types::Duration {
    let duration = duration.clamp(-DURATION_MAX, DURATION_MAX);
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

#[cfg(test)]
mod tests {
    use super::*;

    fn read(seconds: i64, nanos: i32) -> Result<SignedDuration, WireError> {
        let max = SignedDuration::from_hours(8);
        duration_required("M", "f", Some(prost_types::Duration { seconds, nanos }), max)
    }

    #[test]
    fn a_duration_that_protobuf_does_not_have_is_an_error_that_names_the_field() {
        for (seconds, nanos) in [
            (i64::MAX, NANOS_PER_SECOND),
            (i64::MIN, -NANOS_PER_SECOND),
            (i64::MAX, i32::MAX),
            (i64::MIN, i32::MIN),
            (i64::MAX, 0),
            (1, -1),
            (-1, 1),
            (0, NANOS_PER_SECOND),
        ] {
            let error = read(seconds, nanos).unwrap_err().to_string();
            assert!(
                error.starts_with("field f of M has ") && error.contains("no duration"),
                "{error}"
            );
        }
        for (seconds, nanos) in [(0, 0), (0, -1), (-5, -5)] {
            assert_eq!(
                read(seconds, nanos).unwrap_err().to_string(),
                "field f of M is not above zero"
            );
        }
    }

    #[test]
    fn a_duration_beyond_its_limit_counts_as_the_limit() {
        assert_eq!(read(1, 5), Ok(SignedDuration::new(1, 5)));
        assert_eq!(read(8 * 3600, 1), Ok(SignedDuration::from_hours(8)));
        assert_eq!(read(315_576_000_000, 0), Ok(SignedDuration::from_hours(8)));
    }

    #[test]
    fn every_instant_and_duration_travels_as_protobuf_has_it() {
        for at in [
            Timestamp::MIN,
            Timestamp::MAX,
            Timestamp::UNIX_EPOCH,
            Timestamp::new(-5, -1).unwrap(),
        ] {
            let wire = to_timestamp(at);
            assert!((0..NANOS_PER_SECOND).contains(&wire.nanos), "{at} is {wire:?}");
            assert_eq!(instant("M", "f", Some(wire)), Ok(Some(at)));
        }
        for duration in [SignedDuration::MIN, SignedDuration::MAX, SignedDuration::new(-3, -7)] {
            let kept = duration.clamp(-DURATION_MAX, DURATION_MAX);
            assert_eq!(from_duration(to_duration(duration)), Some(kept));
        }
    }
}
