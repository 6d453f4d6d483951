//! Values of flags, read as kured's parsers read them: those of Go.

use std::fmt;

use jiff::SignedDuration;

/// The type of a flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Any text.
    Text,
    /// `true` or `false`; without a value: `true`.
    Bool,
    /// A whole number.
    Int,
    /// Such as `1h30m`.
    Duration,
    /// A list with commas; each further one is appended.
    Slice,
    /// One entry for each flag, with commas in it; kured ignores its environment variable.
    Array,
}

/// The value of a flag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    /// Of [`Kind::Text`].
    Text(String),
    /// Of [`Kind::Bool`].
    Bool(bool),
    /// Of [`Kind::Int`].
    Int(i64),
    /// Of [`Kind::Duration`].
    Duration(SignedDuration),
    /// Of [`Kind::Slice`] and [`Kind::Array`].
    List(Vec<String>),
    /// The value is in a Secret, a ConfigMap or a field of the pod.
    Hidden,
}

impl Value {
    /// Reads one text for a flag of this type.
    ///
    /// # Errors
    /// The remedy.
    pub(crate) fn parse(kind: Kind, text: &str) -> Result<Self, &'static str> {
        match kind {
            Kind::Text => Ok(Self::Text(text.to_owned())),
            Kind::Bool => boolean(text).map(Self::Bool).ok_or("write true or false"),
            Kind::Int => text.parse().map(Self::Int).map_err(|_| "write a whole number"),
            Kind::Duration => duration(text)
                .map(Self::Duration)
                .ok_or("write a duration with its unit, such as 90s or 1h30m"),
            Kind::Slice => entries(text).map(Self::List).ok_or("a quotation mark is not closed"),
            Kind::Array => Ok(Self::List(vec![text.to_owned()])),
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Bool(value) => value.fmt(f),
            Self::Int(value) => value.fmt(f),
            Self::Duration(value) => f.write_str(&short(*value)),
            Self::List(entries) => f.write_str(&entries.join(",")),
            Self::Hidden => f.write_str("(from a Secret, a ConfigMap or a field of the pod)"),
        }
    }
}

/// A duration as policies and settings take it, such as `1h30m`; without fractions of a second.
pub(crate) fn short(duration: SignedDuration) -> String {
    let seconds = duration.as_secs();
    let parts = [(seconds / 3600, "h"), (seconds / 60 % 60, "m"), (seconds % 60, "s")];
    let text: String = parts
        .into_iter()
        .filter(|(count, _)| *count != 0)
        .map(|(count, unit)| format!("{count}{unit}"))
        .collect();
    if text.is_empty() { "0s".to_owned() } else { text }
}

fn boolean(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// A sign, and numbers with units; a bare 0 too.
fn duration(text: &str) -> Option<SignedDuration> {
    let (sign, text) = match text.strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, text.strip_prefix('+').unwrap_or(text)),
    };
    if text == "0" {
        return Some(SignedDuration::ZERO);
    }
    let mut rest = text;
    let mut seconds = 0.0;
    loop {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.')?;
        let (number, after) = rest.split_at_checked(digits)?;
        let end = after
            .find(|letter: char| letter.is_ascii_digit() || letter == '.')
            .unwrap_or(after.len());
        let (unit, next) = after.split_at_checked(end)?;
        seconds += number.parse::<f64>().ok()? * unit_seconds(unit)?;
        if next.is_empty() {
            return SignedDuration::try_from_secs_f64(sign * seconds).ok();
        }
        rest = next;
    }
}

fn unit_seconds(unit: &str) -> Option<f64> {
    match unit {
        "h" => Some(3600.0),
        "m" => Some(60.0),
        "s" => Some(1.0),
        "ms" => Some(1e-3),
        "us" | "µs" | "μs" => Some(1e-6),
        "ns" => Some(1e-9),
        _ => None,
    }
}

/// One line of comma-separated values. An entry in quotation marks may contain commas, and two marks for one.
fn entries(text: &str) -> Option<Vec<String>> {
    if text.is_empty() {
        return Some(Vec::new());
    }
    let mut entries = vec![String::new()];
    let mut letters = text.chars().peekable();
    let mut is_quoted = false;
    while let Some(letter) = letters.next() {
        let entry = entries.last_mut()?;
        match letter {
            '"' if is_quoted && letters.next_if_eq(&'"').is_some() => entry.push('"'),
            '"' if is_quoted => is_quoted = false,
            '"' if entry.is_empty() => is_quoted = true,
            ',' if !is_quoted => entries.push(String::new()),
            other => entry.push(other),
        }
    }
    (!is_quoted).then_some(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_reads_them() {
        for (text, seconds) in [
            ("0", 0),
            ("0s", 0),
            ("1h30m", 5400),
            ("1.5h", 5400),
            ("90s", 90),
            ("1500ms", 1),
            ("-2m", -120),
            ("+2m", 120),
        ] {
            assert_eq!(duration(text).map(|it| it.as_secs()), Some(seconds), "{text}");
        }
        for text in ["", "30", "1 h", "h", "1d", "5m3", "."] {
            assert_eq!(duration(text), None, "{text}");
        }
        assert_eq!(short(SignedDuration::from_secs(5400)), "1h30m");
        assert_eq!(short(SignedDuration::ZERO), "0s");
    }

    #[test]
    fn lists_have_commas_and_quotation_marks() {
        let read = |text| entries(text).map(|entries| entries.join("|"));
        assert_eq!(read(""), Some(String::new()));
        assert_eq!(read("mo,tu"), Some("mo|tu".to_owned()));
        assert_eq!(read("\"a,b\",c"), Some("a,b|c".to_owned()));
        assert_eq!(read("\"a\"\"b\""), Some("a\"b".to_owned()));
        assert_eq!(read("\"open"), None);
    }

    #[test]
    fn a_wrong_value_has_a_remedy() {
        for (kind, text) in [(Kind::Bool, "yes"), (Kind::Int, "two"), (Kind::Duration, "30")] {
            assert!(Value::parse(kind, text).is_err(), "{text}");
        }
    }
}
