//! Pieces of a crontab expression with their places, for the position in an error.

/// The place of a fault from 1, and the fault with its remedy.
pub(super) type Fault = (usize, String);

/// A piece of the expression, with its place from 1.
#[derive(Debug, Clone, Copy)]
pub(super) struct Token<'a> {
    pub(super) text: &'a str,
    pub(super) position: usize,
}

impl<'a> Token<'a> {
    /// The pieces between separators, which are one byte each.
    pub(super) fn split(self, is_separator: impl Fn(char) -> bool) -> impl Iterator<Item = Self> {
        let mut position = self.position;
        self.text.split(is_separator).map(move |text| {
            let token = Token { text, position };
            position = position.saturating_add(text.len()).saturating_add(1);
            token
        })
    }

    /// The pieces before and after the first of these separators.
    pub(super) fn cut(self, separator: char) -> (Self, Option<Self>) {
        let Some((before, after)) = self.text.split_once(separator) else {
            return (self, None);
        };
        let position = self.position.saturating_add(before.len()).saturating_add(1);
        let (before, after) = (self.with(before), Token { text: after, position });
        (before, Some(after))
    }

    pub(super) fn with(self, text: &'a str) -> Self {
        Token { text, ..self }
    }

    pub(super) fn fault<T>(self, problem: String) -> Result<T, Fault> {
        Err((self.position, problem))
    }
}
