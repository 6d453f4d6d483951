//! A mistake in a policy.

use std::fmt;

/// A mistake in a policy, with the field and the remedy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The path of the field, such as `spec.windows[0].start`.
    pub field: String,
    /// What is wrong, and the remedy.
    pub message: String,
}

/// Longest path of a field, and longest message, in characters. Both may repeat what a user has written, of any length.
const FIELD_MAX: usize = 200;
const MESSAGE_MAX: usize = 1000;

impl Fault {
    pub(crate) fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            field: one_line(field.into(), FIELD_MAX),
            message: one_line(message.into(), MESSAGE_MAX),
        }
    }
}

/// A text for one line of a status or of a terminal.
fn one_line(text: String, chars_max: usize) -> String {
    if !text.contains(char::is_control) && text.chars().nth(chars_max).is_none() {
        return text;
    }
    let printable = |letter: char| if letter.is_control() { ' ' } else { letter };
    let mut letters = text.chars().map(printable);
    let mut line: String = letters.by_ref().take(chars_max).collect();
    if letters.next().is_some() {
        line.push('…');
    }
    line
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistake_is_a_short_line_whatever_a_user_has_written() {
        let fault = Fault::new("spec.a\nb", format!("unknown field `\u{1b}[2J{}`", "é".repeat(5_000)));
        let text = fault.to_string();
        assert!(
            text.starts_with("spec.a b: unknown field ` [2Jé") && text.ends_with("é…"),
            "{text}"
        );
        assert_eq!(text.chars().count(), "spec.a b: ".len() + MESSAGE_MAX + 1);
        let longest = "x".repeat(MESSAGE_MAX);
        assert_eq!(Fault::new("", longest.as_str()).message, longest);
    }
}
