//! The two day fields of a crontab expression, which have a syntax of their own beside values and ranges.

use jiff::civil::{Date, Weekday};

use super::field::{DAYS, NTH, SUNDAY_AFTER, Set, WEEKDAYS};
use super::token::{Fault, Token};

/// The day of month: values, and the last one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct DayOfMonth {
    values: Set,
    last: bool,
    pub(super) begins_with_star: bool,
}

impl DayOfMonth {
    pub(super) fn parse(token: Token<'_>) -> Result<Self, Fault> {
        let mut days = Self {
            begins_with_star: token.text.starts_with('*'),
            ..Self::default()
        };
        for item in token.split(|c| c == ',') {
            if item.text.eq_ignore_ascii_case("L") {
                days.last = true;
            } else {
                DAYS.item(item, &mut days.values)?;
            }
        }
        Ok(days)
    }

    pub(super) fn matches(&self, date: Date) -> bool {
        self.values.contains(date.day()) || (self.last && date.day() == date.days_in_month())
    }
}

/// The weekday: values, the n-th of its month, and the last of its month. Sunday is both 0 and 7.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct DayOfWeek {
    values: Set,
    /// Of each week of the month, from the 1st.
    nth: [Set; 5],
    last: Set,
    pub(super) begins_with_star: bool,
}

impl DayOfWeek {
    pub(super) fn parse(token: Token<'_>) -> Result<Self, Fault> {
        let mut days = Self {
            begins_with_star: token.text.starts_with('*'),
            ..Self::default()
        };
        for item in token.split(|c| c == ',') {
            days.item(item)?;
        }
        Ok(days)
    }

    fn item(&mut self, item: Token<'_>) -> Result<(), Fault> {
        if let (day, Some(nth)) = item.cut('#') {
            let day = WEEKDAYS.value(day)?;
            let nth = usize::try_from(NTH.value(nth)?).unwrap_or_default();
            if let Some(set) = nth.checked_sub(1).and_then(|week| self.nth.get_mut(week)) {
                set.insert(day);
            }
            return Ok(());
        }
        match item.text.strip_suffix(['L', 'l']) {
            Some("") => item.fault("name the weekday of which the last is meant, such as `FRIL`".to_owned()),
            Some(day) => {
                self.last.insert(WEEKDAYS.value(item.with(day))?);
                Ok(())
            }
            None => WEEKDAYS.item(item, &mut self.values),
        }
    }

    pub(super) fn matches(&self, date: Date) -> bool {
        let has = |set: Set| has_weekday(set, date.weekday());
        let week = usize::try_from(date.day().saturating_sub(1) / 7).unwrap_or_default();
        let is_last = date.day().saturating_add(7) > date.days_in_month();
        has(self.values) || self.nth.get(week).is_some_and(|set| has(*set)) || (is_last && has(self.last))
    }
}

fn has_weekday(set: Set, day: Weekday) -> bool {
    set.contains(day.to_sunday_zero_offset()) || (day == Weekday::Sunday && set.contains(SUNDAY_AFTER))
}
