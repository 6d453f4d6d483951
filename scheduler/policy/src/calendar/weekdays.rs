//! Sets of weekdays, and how users write them.

use std::fmt;
use std::str::FromStr;

use jiff::civil::Weekday;

use super::error::CalendarError;

/// The names, from Monday. The first three letters are a name too.
const NAMES: [(Weekday, &str); 7] = [
    (Weekday::Monday, "Monday"),
    (Weekday::Tuesday, "Tuesday"),
    (Weekday::Wednesday, "Wednesday"),
    (Weekday::Thursday, "Thursday"),
    (Weekday::Friday, "Friday"),
    (Weekday::Saturday, "Saturday"),
    (Weekday::Sunday, "Sunday"),
];

/// A set of weekdays.
///
/// Users write days (`Mon`, `Monday`, `mon`) and ranges (`Mon-Fri`, and `Fri-Mon` over the weekend), with commas
/// between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Weekdays(u8);

impl Weekdays {
    /// All seven days.
    pub const ALL: Self = Self(0b111_1111);

    /// Whether no day is in the set.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether this day is in the set.
    #[must_use]
    pub fn contains(self, day: Weekday) -> bool {
        self.0 & bit(day) != 0
    }

    /// Reads a list whose entries are days, ranges, or several of them with commas.
    ///
    /// # Errors
    /// [`CalendarError::BadWeekday`] with the entry. An empty list is no error here, but in
    /// [`Weekly`](super::Weekly).
    pub fn parse<Entry: AsRef<str>>(entries: &[Entry]) -> Result<Self, CalendarError> {
        let mut days = Self::default();
        for entry in entries {
            for item in entry.as_ref().split(',') {
                days.0 |= range(item.trim())?.0;
            }
        }
        Ok(days)
    }
}

impl FromStr for Weekdays {
    type Err = CalendarError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(&[text])
    }
}

impl FromIterator<Weekday> for Weekdays {
    fn from_iter<Days: IntoIterator<Item = Weekday>>(days: Days) -> Self {
        Self(days.into_iter().fold(0, |set, day| set | bit(day)))
    }
}

impl fmt::Display for Weekdays {
    /// Three days and more in a row as a range: `Mon-Fri`, `Sat,Sun`, `Fri-Mon`, `every day`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::ALL {
            return f.write_str("every day");
        }
        let is_first = |day: Weekday| self.contains(day) && !self.contains(day.previous());
        let begin = NAMES.iter().map(|(day, _)| *day).find(|day| is_first(*day));
        let days = begin
            .into_iter()
            .flat_map(|begin| begin.cycle_forward().take(NAMES.len()));
        let mut separator = "";
        for first in days.filter(|day| is_first(*day)) {
            let row: Vec<Weekday> = first.cycle_forward().take_while(|day| self.contains(*day)).collect();
            match row.as_slice() {
                [first, _, .., last] => write!(f, "{separator}{}-{}", short(*first), short(*last))?,
                [first, second] => write!(f, "{separator}{},{}", short(*first), short(*second))?,
                [first] => write!(f, "{separator}{}", short(*first))?,
                [] => {}
            }
            separator = ",";
        }
        Ok(())
    }
}

/// One day or one range.
fn range(text: &str) -> Result<Weekdays, CalendarError> {
    let bad = || CalendarError::BadWeekday(text.to_owned());
    let Some((first, last)) = text.split_once('-') else {
        return Ok(Weekdays(bit(day(text).ok_or_else(bad)?)));
    };
    let first = day(first.trim()).ok_or_else(bad)?;
    let last = day(last.trim()).ok_or_else(bad)?;
    let before_last = first.cycle_forward().take_while(|day| *day != last);
    Ok(before_last.chain([last]).collect())
}

fn day(text: &str) -> Option<Weekday> {
    NAMES
        .iter()
        .find(|(day, name)| text.eq_ignore_ascii_case(name) || text.eq_ignore_ascii_case(short(*day)))
        .map(|(day, _)| *day)
}

fn short(day: Weekday) -> &'static str {
    match day {
        Weekday::Monday => "Mon",
        Weekday::Tuesday => "Tue",
        Weekday::Wednesday => "Wed",
        Weekday::Thursday => "Thu",
        Weekday::Friday => "Fri",
        Weekday::Saturday => "Sat",
        Weekday::Sunday => "Sun",
    }
}

fn bit(day: Weekday) -> u8 {
    u32::try_from(day.to_monday_zero_offset()).map_or(0, |offset| 1_u8.checked_shl(offset).unwrap_or(0))
}
