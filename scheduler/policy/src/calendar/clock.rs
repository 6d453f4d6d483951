//! Zones and clocks: from texts to times of day, dates and zones, and from the time on a zone's clock to an instant.
//!
//! This file alone decides about gaps and folds.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{AmbiguousOffset, Offset, TimeZone, TimeZoneDatabase};

use super::error::{CalendarError, Field};

/// Finds a time zone by its IANA name, without regard to case, in the database that is compiled in.
///
/// # Errors
/// [`CalendarError::UnknownZone`], and [`CalendarError::LocalZone`] for the zone of the host.
pub fn parse_zone(name: &str) -> Result<TimeZone, CalendarError> {
    if ["local", "localtime", "system"]
        .iter()
        .any(|local| name.eq_ignore_ascii_case(local))
    {
        return Err(CalendarError::LocalZone(name.to_owned()));
    }
    TimeZoneDatabase::bundled()
        .get(name)
        .ok()
        .filter(|zone| !zone.is_unknown())
        .ok_or_else(|| CalendarError::UnknownZone(name.to_owned()))
}

/// The name of a zone for users; of a zone without a name, its offset.
pub(super) fn zone_name(zone: &TimeZone) -> String {
    match (zone.iana_name(), zone.to_fixed_offset()) {
        (Some(name), _) => name.to_owned(),
        (None, Ok(offset)) => offset.to_string(),
        (None, Err(_)) => "a zone without a name".to_owned(),
    }
}

/// Reads `HH:MM`, `H:MM` or `HH:MM:SS` of a 24-hour clock.
pub(super) fn parse_time(field: Field, text: &str) -> Result<Time, CalendarError> {
    time(text).ok_or_else(|| CalendarError::BadTime {
        field,
        text: text.to_owned(),
        remedy: if text.starts_with("24:") {
            "write 00:00; an end that is not after the start is on the next day"
        } else {
            "write hours and minutes of a 24-hour clock, such as 17:00"
        },
    })
}

fn time(text: &str) -> Option<Time> {
    let mut parts = text.split(':');
    let hour = number(parts.next()?, 1..=2)?;
    let minute = number(parts.next()?, 2..=2)?;
    let second = parts.next().map_or(Some(0), |second| number(second, 2..=2))?;
    if parts.next().is_some() {
        return None;
    }
    Time::new(hour, minute, second, 0).ok()
}

/// Reads `YYYY-MM-DD`.
pub(super) fn date(text: &str) -> Option<Date> {
    let mut parts = text.split('-');
    let year = number(parts.next()?, 4..=4)?;
    let month = number(parts.next()?, 2..=2)?;
    let day = number(parts.next()?, 2..=2)?;
    if parts.next().is_some() {
        return None;
    }
    Date::new(year, month, day).ok()
}

/// Reads a date, and a time after a `T` or a blank.
pub(super) fn date_time(text: &str) -> Option<DateTime> {
    let (day, clock) = text.split_once(['T', ' '])?;
    Some(DateTime::from_parts(date(day)?, time(clock)?))
}

/// Digits only, and as many as allowed: no sign and no blank.
fn number<T: std::str::FromStr>(text: &str, digits: std::ops::RangeInclusive<usize>) -> Option<T> {
    if !digits.contains(&text.len()) || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

/// The first instant at which the zone's clock shows this time or later: in a gap, the end of the gap.
pub(super) fn first_instant(zone: &TimeZone, clock: DateTime) -> Timestamp {
    let ambiguous = zone.to_ambiguous_timestamp(clock);
    match ambiguous.offset() {
        AmbiguousOffset::Unambiguous { .. } | AmbiguousOffset::Fold { .. } => ambiguous.earlier().ok(),
        AmbiguousOffset::Gap { before, after } => gap_end(zone, clock, before, after),
    }
    .unwrap_or_else(|| beyond(clock))
}

/// The same, but in a fold the second of both instants.
pub(super) fn last_instant(zone: &TimeZone, clock: DateTime) -> Timestamp {
    let ambiguous = zone.to_ambiguous_timestamp(clock);
    match ambiguous.offset() {
        AmbiguousOffset::Unambiguous { .. } | AmbiguousOffset::Fold { .. } => ambiguous.later().ok(),
        AmbiguousOffset::Gap { before, after } => gap_end(zone, clock, before, after),
    }
    .unwrap_or_else(|| beyond(clock))
}

/// Whether the zone's clock ever shows this date.
pub(super) fn has_date(zone: &TimeZone, date: Date) -> bool {
    let midnight = first_instant(zone, date.to_datetime(Time::midnight()));
    date.tomorrow()
        .is_ok_and(|next| midnight < first_instant(zone, next.to_datetime(Time::midnight())))
}

/// The transition that skips this time. Read with the offset after the gap, the time lies before the transition;
/// read with the offset before the gap, at the transition or after.
fn gap_end(zone: &TimeZone, clock: DateTime, before: Offset, after: Offset) -> Option<Timestamp> {
    let earliest = after.to_timestamp(clock).ok()?;
    let latest = before.to_timestamp(clock).ok()?;
    zone.following(earliest)
        .map(|transition| (transition.timestamp(), transition.offset()))
        .take_while(|(at, _)| *at <= latest)
        .find(|(_, offset)| *offset == after)
        .map_or(Some(latest), |(at, _)| Some(at))
}

/// The end of time towards which the clock is out of range.
fn beyond(clock: DateTime) -> Timestamp {
    if clock.year() < 0 {
        Timestamp::MIN
    } else {
        Timestamp::MAX
    }
}
