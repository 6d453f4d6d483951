//! Cron windows: a crontab expression with a duration.

mod day;
mod expression;
mod field;
mod token;

use std::fmt;

use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan as _};

use crate::later;

pub use self::expression::CronExpression;

use super::clock::{first_instant, parse_zone, zone_name};
use super::error::CalendarError;
use super::span::Span;

const DAY: SignedDuration = SignedDuration::from_hours(24);

/// A window that opens at the times of a crontab expression. [The module](super) has the rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cron {
    expression: CronExpression,
    duration: SignedDuration,
    zone: TimeZone,
    /// The times of day of the expression.
    times: Vec<Time>,
    /// The openings of a date without a change of the clock, as time since midnight.
    offsets: Vec<(SignedDuration, SignedDuration)>,
}

impl Cron {
    /// Longest duration. A window of more than a week overlaps each weekly successor; to be always open, a calendar
    /// needs no window.
    pub const DURATION_MAX: SignedDuration = SignedDuration::from_hours(7 * 24);

    /// Makes a window. The duration is elapsed time: on daylight-saving days the window keeps its length.
    ///
    /// # Errors
    /// [`CalendarError::DurationNotPositive`] and [`CalendarError::DurationTooLong`].
    pub fn new(expression: CronExpression, duration: SignedDuration, zone: TimeZone) -> Result<Self, CalendarError> {
        if duration <= SignedDuration::ZERO {
            return Err(CalendarError::DurationNotPositive);
        }
        if duration > Self::DURATION_MAX {
            return Err(CalendarError::DurationTooLong {
                duration,
                max: Self::DURATION_MAX,
            });
        }
        let times: Vec<Time> = expression.times().collect();
        let offsets = merged(&times, duration);
        Ok(Self {
            expression,
            duration,
            zone,
            times,
            offsets,
        })
    }

    /// Makes a window from texts: an expression such as `0 2 * * SAT#2`, a duration such as `4h` or `1h30m`, and the
    /// IANA name of a zone or `UTC`.
    ///
    /// # Errors
    /// The first text that cannot be read, in this order, or a duration out of range.
    pub fn parse(expression: &str, duration: &str, zone: &str) -> Result<Self, CalendarError> {
        let expression = expression.parse()?;
        let elapsed = duration
            .parse()
            .map_err(|_| CalendarError::BadDuration(duration.to_owned()))?;
        Self::new(expression, elapsed, parse_zone(zone)?)
    }

    /// The zone whose clock counts.
    #[must_use]
    pub fn zone(&self) -> &TimeZone {
        &self.zone
    }

    /// The openings that end after an instant, in their order, of the dates up to another instant. Two openings of
    /// one date may overlap on a daylight-saving day; of two dates, on any day.
    pub(super) fn spans(&self, from: Timestamp, until: Timestamp) -> CronSpans<'_> {
        let date_at = |at| self.zone.to_datetime(at).date();
        let first = from.checked_sub(self.duration).unwrap_or(Timestamp::MIN);
        CronSpans {
            window: self,
            from,
            last: date_at(until),
            // One date more, for a clock that is turned back over midnight.
            date: Some(date_at(first).saturating_sub(1.days())),
            day: None,
        }
    }

    fn span(&self, start: Timestamp, last: Timestamp) -> Span {
        Span {
            start,
            end: later(last, self.duration),
        }
    }
}

impl fmt::Display for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            expression, duration, ..
        } = self;
        write!(f, "at cron `{expression}` for {duration:#}, {}", zone_name(&self.zone))
    }
}

/// Joins the times whose openings overlap or touch, as first and last time since midnight.
fn merged(times: &[Time], duration: SignedDuration) -> Vec<(SignedDuration, SignedDuration)> {
    let mut merged: Vec<(SignedDuration, SignedDuration)> = vec![];
    for time in times {
        let at = time.duration_since(Time::midnight());
        match merged.last_mut() {
            Some((_, last)) if at.saturating_sub(*last) <= duration => *last = at,
            Some(_) | None => merged.push((at, at)),
        }
    }
    merged
}

/// The openings of a cron window, from an instant on.
#[derive(Debug, Clone)]
pub(super) struct CronSpans<'a> {
    window: &'a Cron,
    from: Timestamp,
    /// The last date of the search.
    last: Date,
    date: Option<Date>,
    /// The date that is under way.
    day: Option<Day<'a>>,
}

/// The rest of a date.
#[derive(Debug, Clone)]
enum Day<'a> {
    /// The clock does not change, so all follows from the instant of midnight.
    Plain(Timestamp, std::slice::Iter<'a, (SignedDuration, SignedDuration)>),
    /// The clock changes, so each time is looked up.
    Changing(Date, std::slice::Iter<'a, Time>),
}

impl<'a> CronSpans<'a> {
    /// Enters the next date of the expression which the clock shows.
    fn next_day(&mut self) -> Option<Day<'a>> {
        loop {
            let date = self.window.expression.next_date(self.date?, self.last)?;
            let next = date.tomorrow().ok()?;
            self.date = Some(next);
            let midnight = |date: Date| first_instant(&self.window.zone, date.to_datetime(Time::midnight()));
            let (start, end) = (midnight(date), midnight(next));
            if end.duration_since(start) == DAY {
                return Some(Day::Plain(start, self.offsets_after(start)));
            }
            if start < end {
                return Some(Day::Changing(date, self.window.times.iter()));
            }
        }
    }

    /// The openings of a date that end after the begin of the search.
    fn offsets_after(&self, midnight: Timestamp) -> std::slice::Iter<'a, (SignedDuration, SignedDuration)> {
        let Cron { offsets, duration, .. } = self.window;
        let passed = self.from.duration_since(midnight).saturating_sub(*duration);
        let first = offsets.partition_point(|(_, last)| *last <= passed);
        offsets.get(first..).unwrap_or_default().iter()
    }
}

impl Iterator for CronSpans<'_> {
    type Item = Span;

    fn next(&mut self) -> Option<Span> {
        loop {
            let span = match &mut self.day {
                None => {
                    self.day = Some(self.next_day()?);
                    continue;
                }
                Some(Day::Plain(midnight, offsets)) => offsets
                    .next()
                    .map(|(first, last)| self.window.span(later(*midnight, *first), later(*midnight, *last))),
                Some(Day::Changing(date, times)) => times.next().map(|time| {
                    let at = first_instant(&self.window.zone, date.to_datetime(*time));
                    self.window.span(at, at)
                }),
            };
            match span {
                Some(span) if span.end > self.from => return Some(span),
                Some(_) => {}
                None => self.day = None,
            }
        }
    }
}
