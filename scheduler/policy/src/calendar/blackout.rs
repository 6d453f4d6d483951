//! Blackouts: pieces of time in which no node starts, with their reasons.

use std::fmt;

use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;

use super::clock::{date, date_time, first_instant, last_instant, parse_zone, zone_name};
use super::error::{CalendarError, Field};
use super::span::Span;

/// An end of a blackout, by the clock of the blackout's zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// A whole date: a blackout includes both its first and its last date.
    Date(Date),
    /// A date and time: a blackout includes its start and excludes its end.
    DateTime(DateTime),
}

impl Bound {
    /// Reads `YYYY-MM-DD`, or `YYYY-MM-DDTHH:MM` with seconds or without.
    fn parse(field: Field, text: &str) -> Result<Self, CalendarError> {
        date(text)
            .map(Self::Date)
            .or_else(|| date_time(text).map(Self::DateTime))
            .ok_or_else(|| CalendarError::BadDate {
                field,
                text: text.to_owned(),
            })
    }

    /// The clock at the start of a blackout that begins here.
    fn start(self) -> DateTime {
        match self {
            Self::Date(date) => date.to_datetime(Time::midnight()),
            Self::DateTime(clock) => clock,
        }
    }

    /// The clock at the end of a blackout that ends here.
    fn end(self) -> DateTime {
        match self {
            Self::Date(date) => date
                .tomorrow()
                .map_or(DateTime::MAX, |next| next.to_datetime(Time::midnight())),
            Self::DateTime(clock) => clock,
        }
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Date(date) => date.fmt(f),
            Self::DateTime(clock) if clock.second() == 0 => clock.strftime("%Y-%m-%d %H:%M").fmt(f),
            Self::DateTime(clock) => clock.strftime("%Y-%m-%d %H:%M:%S").fmt(f),
        }
    }
}

/// A piece of time in which no node starts. [The module](super) has the rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blackout {
    from: Bound,
    to: Bound,
    zone: TimeZone,
    reason: String,
    span: Span,
}

impl Blackout {
    /// Makes a blackout. The reason is for operators, and may be empty.
    ///
    /// # Errors
    /// [`CalendarError::BlackoutReversed`] if no time by the clock lies between the two.
    pub fn new(from: Bound, to: Bound, zone: TimeZone, reason: impl Into<String>) -> Result<Self, CalendarError> {
        let (start, end) = (from.start(), to.end());
        if end <= start {
            return Err(CalendarError::BlackoutReversed {
                from: from.to_string(),
                to: to.to_string(),
            });
        }
        let span = Span {
            start: first_instant(&zone, start),
            end: last_instant(&zone, end),
        };
        Ok(Self {
            from,
            to,
            zone,
            reason: reason.into(),
            span,
        })
    }

    /// Makes a blackout from texts: dates such as `2026-12-20`, or dates and times such as `2026-12-20T18:00`, and
    /// the IANA name of a zone or `UTC`.
    ///
    /// # Errors
    /// The first text that cannot be read, in this order, or [`CalendarError::BlackoutReversed`].
    pub fn parse(from: &str, to: &str, zone: &str, reason: &str) -> Result<Self, CalendarError> {
        let from = Bound::parse(Field::From, from)?;
        let to = Bound::parse(Field::To, to)?;
        Self::new(from, to, parse_zone(zone)?, reason)
    }

    /// The reason for operators; may be empty.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// The first instant that the blackout covers.
    #[must_use]
    pub fn start(&self) -> Timestamp {
        self.span.start
    }

    /// The first instant after the blackout.
    #[must_use]
    pub fn end(&self) -> Timestamp {
        self.span.end
    }

    /// Whether the blackout covers an instant.
    #[must_use]
    pub fn covers(&self, at: Timestamp) -> bool {
        self.span.contains(at)
    }

    pub(super) fn span(&self) -> Span {
        self.span
    }

    /// The next instant after this one at which the blackout begins or ends.
    pub(super) fn edge_after(&self, at: Timestamp) -> Option<Timestamp> {
        [self.span.start, self.span.end].into_iter().find(|edge| *edge > at)
    }
}

impl fmt::Display for Blackout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", self.from, self.to)?;
        if matches!(self.to, Bound::Date(_)) {
            f.write_str(" inclusive")?;
        }
        write!(f, ", {}", zone_name(&self.zone))?;
        if !self.reason.is_empty() {
            write!(f, ": {}", self.reason)?;
        }
        Ok(())
    }
}
