//! The faults that a user can write into a calendar. Each text names the field, the fault and the remedy.

use std::fmt;

use jiff::SignedDuration;

/// A field of a window or blackout, by its name in the resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Field {
    /// The weekdays of a weekly window.
    Days,
    /// The start of a weekly window.
    Start,
    /// The end of a weekly window.
    End,
    /// The time zone of a window or blackout.
    TimeZone,
    /// The expression of a cron window.
    Cron,
    /// The duration of a cron window.
    Duration,
    /// The first date or time of a blackout.
    From,
    /// The last date, or the end, of a blackout.
    To,
}

impl Field {
    /// The name in the resource.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Days => "days",
            Self::Start => "start",
            Self::End => "end",
            Self::TimeZone => "timeZone",
            Self::Cron => "cron",
            Self::Duration => "duration",
            Self::From => "from",
            Self::To => "to",
        }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A fault in a window or blackout. The text begins with the name of the field and ends with the remedy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CalendarError {
    /// No time zone has this name.
    #[error("timeZone: no time zone is called `{0}`: write an IANA name such as Europe/Berlin, or UTC")]
    UnknownZone(String),
    /// The zone of the host, which may differ from replica to replica.
    #[error(
        "timeZone: `{0}` is the zone of a host, and each replica of the scheduler may have another: write an IANA \
         name such as Europe/Berlin, or UTC"
    )]
    LocalZone(String),
    /// The text is no time of day.
    #[error("{field}: `{text}` is no time of day: {remedy}")]
    BadTime {
        /// The field with the fault.
        field: Field,
        /// The text of the user.
        text: String,
        /// How to write the time.
        remedy: &'static str,
    },
    /// The text is no date, and no date and time.
    #[error(
        "{field}: `{text}` is no date: write a date such as 2026-12-20, or a date and time such as \
         2026-12-20T18:00, without a zone"
    )]
    BadDate {
        /// The field with the fault.
        field: Field,
        /// The text of the user.
        text: String,
    },
    /// The text is no weekday, and no range of weekdays.
    #[error("days: `{0}` is no weekday: write Mon or Monday, or a range such as Mon-Fri")]
    BadWeekday(String),
    /// The window has no weekday, and would never open.
    #[error("days: no weekday is listed, so the window would never open: list at least one, such as Sat")]
    NoDays,
    /// The crontab expression cannot be read.
    #[error("cron: `{expression}`, position {position}: {problem}")]
    CronSyntax {
        /// The text of the user.
        expression: String,
        /// The place of the fault in characters, from 1.
        position: usize,
        /// The fault and its remedy.
        problem: String,
    },
    /// No date of the calendar matches the expression.
    #[error("cron: `{0}` never fires: choose a day of month that the months have")]
    CronNeverFires(String),
    /// The text is no duration.
    #[error("duration: `{0}` is no duration: write hours and minutes such as 4h or 1h30m")]
    BadDuration(String),
    /// The duration is zero or negative, so the window would never open.
    #[error("duration: not above zero, so the window would never open: write a duration such as 4h")]
    DurationNotPositive,
    /// The duration is above the limit.
    #[error("duration: {duration:#} is longer than {max:#}: write a shorter one, or leave the windows out")]
    DurationTooLong {
        /// The duration of the user.
        duration: SignedDuration,
        /// The limit.
        max: SignedDuration,
    },
    /// The blackout would end before its start.
    #[error("to: {to} is not after from, {from}: exchange the two, or correct the year")]
    BlackoutReversed {
        /// The start.
        from: String,
        /// The end.
        to: String,
    },
}

impl CalendarError {
    /// The field with the fault.
    #[must_use]
    pub fn field(&self) -> Field {
        match self {
            Self::UnknownZone(_) | Self::LocalZone(_) => Field::TimeZone,
            Self::BadTime { field, .. } | Self::BadDate { field, .. } => *field,
            Self::BadWeekday(_) | Self::NoDays => Field::Days,
            Self::CronSyntax { .. } | Self::CronNeverFires(_) => Field::Cron,
            Self::BadDuration(_) | Self::DurationNotPositive | Self::DurationTooLong { .. } => Field::Duration,
            Self::BlackoutReversed { .. } => Field::To,
        }
    }
}
