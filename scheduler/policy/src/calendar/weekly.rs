//! Weekly windows: weekdays, with a start and an end by the clock of a zone.

use std::fmt;

use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};

use super::clock::{first_instant, has_date, parse_time, parse_zone, zone_name};
use super::error::{CalendarError, Field};
use super::span::Span;
use super::weekdays::Weekdays;

/// A window that opens on each of some weekdays. [The module](super) has the rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Weekly {
    days: Weekdays,
    start: Time,
    end: Time,
    zone: TimeZone,
}

impl Weekly {
    /// Makes a window. An end that is not after the start is on the next date.
    ///
    /// # Errors
    /// [`CalendarError::NoDays`].
    pub fn new(days: Weekdays, start: Time, end: Time, zone: TimeZone) -> Result<Self, CalendarError> {
        if days.is_empty() {
            return Err(CalendarError::NoDays);
        }
        Ok(Self { days, start, end, zone })
    }

    /// Makes a window from texts: days such as `Mon`, `Monday` or `Mon-Fri`, times such as `22:00`, `4:00` or
    /// `23:59:30`, and the IANA name of a zone or `UTC`.
    ///
    /// # Errors
    /// The first text that cannot be read, in this order, or [`CalendarError::NoDays`].
    pub fn parse<Days: AsRef<str>>(days: &[Days], start: &str, end: &str, zone: &str) -> Result<Self, CalendarError> {
        Self::new(
            Weekdays::parse(days)?,
            parse_time(Field::Start, start)?,
            parse_time(Field::End, end)?,
            parse_zone(zone)?,
        )
    }

    /// The zone whose clock counts.
    #[must_use]
    pub fn zone(&self) -> &TimeZone {
        &self.zone
    }

    /// The openings that end after an instant, in their order.
    pub(super) fn spans(&self, from: Timestamp) -> WeeklySpans<'_> {
        // An opening ends by the clock on the date after its own.
        let today = self.zone.to_datetime(from).date();
        WeeklySpans {
            window: self,
            from,
            date: Some(today.saturating_sub(2.days())),
        }
    }

    /// The opening of one date, if there is one.
    fn span(&self, date: Date) -> Option<Span> {
        if !self.days.contains(date.weekday()) {
            return None;
        }
        let end_date = if self.is_overnight() {
            date.tomorrow().ok()?
        } else {
            date
        };
        let start = first_instant(&self.zone, date.to_datetime(self.start));
        let end = first_instant(&self.zone, end_date.to_datetime(self.end));
        (start < end && self.shows(date, start)).then_some(Span { start, end })
    }

    /// Whether the clock ever shows this date: mostly at the start already.
    fn shows(&self, date: Date, start: Timestamp) -> bool {
        self.zone.to_datetime(start).date() == date || has_date(&self.zone, date)
    }

    fn is_overnight(&self) -> bool {
        self.end <= self.start
    }
}

impl fmt::Display for Weekly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let next = if self.is_overnight() { " of the next day" } else { "" };
        let (start, end) = (clock(self.start), clock(self.end));
        write!(f, "{} {start} to {end}{next}, {}", self.days, zone_name(&self.zone))
    }
}

/// Without seconds unless there are some.
fn clock(time: Time) -> String {
    let form = if time.second() == 0 { "%H:%M" } else { "%H:%M:%S" };
    time.strftime(form).to_string()
}

/// The openings of a weekly window, from an instant on. No two have the same date.
#[derive(Debug, Clone)]
pub(super) struct WeeklySpans<'a> {
    window: &'a Weekly,
    from: Timestamp,
    date: Option<Date>,
}

impl Iterator for WeeklySpans<'_> {
    type Item = Span;

    fn next(&mut self) -> Option<Span> {
        loop {
            let date = self.date?;
            self.date = date.tomorrow().ok();
            let span = self.window.span(date).filter(|span| span.end > self.from);
            if span.is_some() {
                return span;
            }
        }
    }
}
