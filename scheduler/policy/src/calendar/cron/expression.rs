//! Crontab expressions: which dates and times match. The fields are in `field` and `day`.
//!
//! Bellwether reads expressions by itself. The crate `cronexpr` 1.7 takes no `L` in December, and searches for ever
//! on the day on which Lord Howe Island turns its clock back by half an hour.

use std::fmt;
use std::str::FromStr;

use jiff::civil::{Date, Time, date};

use crate::calendar::clock::parse_zone;
use crate::calendar::error::CalendarError;

use super::day::{DayOfMonth, DayOfWeek};
use super::field::{HOURS, MINUTES, MONTHS, Set};
use super::token::{Fault, Token};

/// Years in which each combination of date and weekday occurs: 28 in a row, of which every fourth is a leap year.
const EVERY_DATE: (Date, Date) = (date(2000, 1, 1), date(2027, 12, 31));

/// Longest expression in characters: each value of each field fits, and an error message stays readable.
const LENGTH_MAX: usize = 500;

/// A crontab expression of five fields: minute, hour, day of month, month, weekday.
///
/// | field | values | names |
/// | --- | --- | --- |
/// | minute | 0 to 59 | |
/// | hour | 0 to 23 | |
/// | day of month | 1 to 31, `L` for the last | |
/// | month | 1 to 12 | `JAN` to `DEC` |
/// | weekday | 0 to 7, both 0 and 7 for Sunday | `SUN` to `SAT` |
///
/// A field is `*`, a value, a range `A-B`, a step `*/N`, `A-B/N` or `A/N` (up to the last value), or several with
/// commas. A weekday may be the n-th of its month (`SAT#2`, 1 to 5), or the last (`FRIL`). Names have any case.
///
/// As in every cron, a day matches **either** day field if both are restricted: `0 2 8-14 * SAT` is the 8th to the
/// 14th and each Saturday. Write `SAT#2` for the second Saturday. If a day field begins with `*`, a day has to match
/// both.
///
/// Seconds, years, time zones, `@daily`, `?`, `W` and `H` are refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CronExpression {
    text: String,
    minutes: Set,
    hours: Set,
    months: Set,
    day_of_month: DayOfMonth,
    day_of_week: DayOfWeek,
}

impl CronExpression {
    /// The times of day, in their order.
    pub(super) fn times(&self) -> impl Iterator<Item = Time> {
        let minutes = self.minutes;
        let hours = (0..24).filter(|hour| self.hours.contains(*hour));
        hours.flat_map(move |hour| {
            let minutes = (0..60).filter(move |minute| minutes.contains(*minute));
            minutes.filter_map(move |minute| Time::new(hour, minute, 0, 0).ok())
        })
    }

    /// The first date that matches, from a date up to another, both inclusive.
    pub(super) fn next_date(&self, from: Date, last: Date) -> Option<Date> {
        let mut date = from;
        while date <= last {
            if !self.months.contains(date.month()) {
                date = date.last_of_month().tomorrow().ok()?;
            } else if self.matches_day(date) {
                return Some(date);
            } else {
                date = date.tomorrow().ok()?;
            }
        }
        None
    }

    fn matches_day(&self, date: Date) -> bool {
        let (by_month, by_week) = (self.day_of_month.matches(date), self.day_of_week.matches(date));
        if self.day_of_month.begins_with_star || self.day_of_week.begins_with_star {
            by_month && by_week
        } else {
            by_month || by_week
        }
    }
}

impl FromStr for CronExpression {
    type Err = CalendarError;

    /// Reads an expression.
    ///
    /// # Errors
    /// [`CalendarError::CronSyntax`] with the position of the fault, and [`CalendarError::CronNeverFires`] for a date
    /// that does not exist, such as 30 February.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let tokens = tokens(text).and_then(|tokens| parse(text, &tokens));
        let expression = tokens.map_err(|(position, problem)| CalendarError::CronSyntax {
            expression: text.to_owned(),
            position,
            problem,
        })?;
        let (first, last) = EVERY_DATE;
        match expression.next_date(first, last) {
            Some(_) => Ok(expression),
            None => Err(CalendarError::CronNeverFires(text.to_owned())),
        }
    }
}

impl fmt::Display for CronExpression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn parse(text: &str, tokens: &[Token<'_>]) -> Result<CronExpression, Fault> {
    let [minute, hour, day, month, weekday] = tokens else {
        return Err(wrong_number(text, tokens));
    };
    Ok(CronExpression {
        text: text.to_owned(),
        minutes: MINUTES.parse(*minute)?,
        hours: HOURS.parse(*hour)?,
        day_of_month: DayOfMonth::parse(*day)?,
        months: MONTHS.parse(*month)?,
        day_of_week: DayOfWeek::parse(*weekday)?,
    })
}

/// Splits the text at blanks.
fn tokens(text: &str) -> Result<Vec<Token<'_>>, Fault> {
    if let Some(place) = text.chars().position(|c| !c.is_ascii()) {
        return Err((
            place.saturating_add(1),
            "write letters, digits and `* , - / #` only".to_owned(),
        ));
    }
    if text.len() > LENGTH_MAX {
        return Err((
            LENGTH_MAX,
            format!("longer than {LENGTH_MAX} characters: use ranges and steps"),
        ));
    }
    let whole = Token { text, position: 1 };
    Ok(whole
        .split(|c| c.is_ascii_whitespace())
        .filter(|token| !token.text.is_empty())
        .collect())
}

fn wrong_number(text: &str, tokens: &[Token<'_>]) -> Fault {
    const FIELDS: &str = "minute, hour, day of month, month, weekday";
    const ZONE: &str = "an expression has no time zone: write the zone into timeZone";
    match tokens {
        [first, ..] if first.text.starts_with('@') => {
            let problem = format!(
                "`{}` is a shorthand: write five fields, such as `0 2 * * *`",
                first.text
            );
            (first.position, problem)
        }
        [first, ..] if first.text.contains('=') => (first.position, ZONE.to_owned()),
        [_, _, _, _, _, last] if is_zone(last.text) => (last.position, ZONE.to_owned()),
        [_, _, _, _, _, sixth, ..] => {
            let problem = format!("more than five fields: leave out seconds and years, and write {FIELDS}");
            (sixth.position, problem)
        }
        fewer => {
            let problem = format!("{} of five fields: write {FIELDS}", fewer.len());
            (text.len().saturating_add(1), problem)
        }
    }
}

/// Whether a text is a zone, also one that no calendar accepts; a weekday is none.
fn is_zone(text: &str) -> bool {
    let is_path = text.contains('/') && text.starts_with(|c: char| c.is_ascii_alphabetic());
    is_path || !matches!(parse_zone(text), Err(CalendarError::UnknownZone(_)))
}
