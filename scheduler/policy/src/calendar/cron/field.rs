//! The fields of a crontab expression: their syntax, and the values that match.

use super::token::{Fault, Token};

/// A set of small numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Set(u64);

impl Set {
    pub(super) fn contains(self, value: i8) -> bool {
        self.0 & bit(value) != 0
    }

    pub(super) fn insert(&mut self, value: i8) {
        self.0 |= bit(value);
    }
}

fn bit(value: i8) -> u64 {
    u32::try_from(value).map_or(0, |value| 1_u64.checked_shl(value).unwrap_or(0))
}

/// The values of a field.
#[derive(Debug)]
pub(super) struct Field {
    name: &'static str,
    min: i8,
    max: i8,
    /// Short names, the first for the least value.
    names: &'static [&'static str],
}

pub(super) const MINUTES: Field = Field {
    name: "minute",
    min: 0,
    max: 59,
    names: &[],
};
pub(super) const HOURS: Field = Field {
    name: "hour",
    min: 0,
    max: 23,
    names: &[],
};
pub(super) const DAYS: Field = Field {
    name: "day of month",
    min: 1,
    max: 31,
    names: &[],
};
pub(super) const MONTHS: Field = Field {
    name: "month",
    min: 1,
    max: 12,
    names: &[
        "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC",
    ],
};
pub(super) const WEEKDAYS: Field = Field {
    name: "weekday",
    min: 0,
    max: 7,
    names: &["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"],
};
pub(super) const NTH: Field = Field {
    name: "number after #",
    min: 1,
    max: 5,
    names: &[],
};

/// The second number of Sunday, which ends a range such as `FRI-SUN`.
pub(super) const SUNDAY_AFTER: i8 = 7;

impl Field {
    pub(super) fn parse(&self, token: Token<'_>) -> Result<Set, Fault> {
        let mut set = Set::default();
        for item in token.split(|c| c == ',') {
            self.item(item, &mut set)?;
        }
        Ok(set)
    }

    /// `*`, a value or a range, each with a step or without.
    pub(super) fn item(&self, item: Token<'_>, set: &mut Set) -> Result<(), Fault> {
        let (range, step) = item.cut('/');
        let (first, last) = range.cut('-');
        let (first, last) = match (first.text, last) {
            ("*", None) => (self.min, self.max),
            (_, None) => {
                let value = self.value(first)?;
                (value, if step.is_some() { self.max } else { value })
            }
            (_, Some(last)) => self.range(first, last)?,
        };
        if first > last {
            return range.fault(format!(
                "the range `{}` runs backwards: write two ranges with a comma",
                range.text
            ));
        }
        let step = step.map_or(Ok(1), |step| self.step(step))?;
        (first..=last).step_by(step).for_each(|value| set.insert(value));
        Ok(())
    }

    pub(super) fn value(&self, token: Token<'_>) -> Result<i8, Fault> {
        let named = self.names.iter().position(|name| token.text.eq_ignore_ascii_case(name));
        let named = named.and_then(|index| self.min.checked_add(i8::try_from(index).ok()?));
        match named.or_else(|| digits(token.text)) {
            Some(value) if (self.min..=self.max).contains(&value) => Ok(value),
            Some(_) | None => token.fault(self.bad_value(token.text)),
        }
    }

    /// The ends of a range: a Sunday at its end is the one after.
    fn range(&self, first: Token<'_>, last: Token<'_>) -> Result<(i8, i8), Fault> {
        let (first, last) = (self.value(first)?, self.value(last)?);
        let is_sunday_after = self.max == SUNDAY_AFTER && first > 0 && last == 0;
        Ok((first, if is_sunday_after { SUNDAY_AFTER } else { last }))
    }

    fn step(&self, token: Token<'_>) -> Result<usize, Fault> {
        match digits(token.text) {
            Some(step) if (1..=self.max).contains(&step) => Ok(usize::try_from(step).unwrap_or(1)),
            Some(_) | None => token.fault(format!("the step `{}` has to be 1 to {}", token.text, self.max)),
        }
    }

    fn bad_value(&self, text: &str) -> String {
        let Self { name, min, max, names } = self;
        match (text, names.first().zip(names.last())) {
            ("?", _) => "write `*` instead of `?`".to_owned(),
            (_, None) => format!("`{text}` is no {name}: write {min} to {max}"),
            (_, Some((first, last))) => format!("`{text}` is no {name}: write {min} to {max}, or {first} to {last}"),
        }
    }
}

fn digits(text: &str) -> Option<i8> {
    text.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| text.parse().ok())?
}
