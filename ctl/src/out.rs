//! The only place that writes to standard output and standard error.
//!
//! Most of what is shown was written by others: hosts, pods, other programs. So no text reaches a terminal with control
//! characters, whichever field it came from.

use std::borrow::Cow;
use std::io::{self, IsTerminal as _, Write as _};

/// Clears the screen, and what was scrolled out of it stays.
const HOME_AND_CLEAR: &str = "\x1b[H\x1b[2J";

/// Shows a text that ends with a line break already.
pub(crate) fn show(text: &str) -> io::Result<()> {
    write(&harmless(text))
}

fn write(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// The text without what steers a terminal: only its lines and tabs stay.
fn harmless(text: &str) -> Cow<'_, str> {
    let steers = |letter: char| letter.is_control() && !matches!(letter, '\n' | '\t');
    if text.contains(steers) {
        Cow::Owned(text.replace(steers, " "))
    } else {
        Cow::Borrowed(text)
    }
}

/// Shows a text in place of the one before, for terminals.
pub(crate) fn redraw(text: &str) -> io::Result<()> {
    write(&format!("{HOME_AND_CLEAR}{}", harmless(text)))
}

/// Whether standard output is a terminal, rather than a file or a pipe.
pub(crate) fn is_terminal() -> bool {
    io::stdout().is_terminal()
}

/// Writes a note to standard error. If that is closed, the note is lost and nothing else is.
#[expect(clippy::print_stderr, reason = "the one place that does")]
pub(crate) fn note(text: &str) {
    eprintln!("{}", harmless(text));
}

/// Whether the reader of a pipe closed it, such as `head` after its last line.
pub(crate) fn is_closed(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_steers_a_terminal_and_its_lines_stay() {
        assert_eq!(harmless("a\tb\n\n"), "a\tb\n\n");
        assert_eq!(harmless("Debian\u{1b}[2J\u{9b}31m\r\u{7}\n"), "Debian [2J 31m  \n");
    }
}
