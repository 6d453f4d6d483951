//! The only place that writes to standard output and standard error.

use std::io::{self, IsTerminal as _, Write as _};

/// Clears the screen, and what was scrolled out of it stays.
const HOME_AND_CLEAR: &str = "\x1b[H\x1b[2J";

/// Shows a text that ends with a line break already.
pub(crate) fn show(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Shows a text in place of the one before, for terminals.
pub(crate) fn redraw(text: &str) -> io::Result<()> {
    show(&format!("{HOME_AND_CLEAR}{text}"))
}

/// Whether standard output is a terminal, rather than a file or a pipe.
pub(crate) fn is_terminal() -> bool {
    io::stdout().is_terminal()
}

/// Writes a note to standard error. If that is closed, the note is lost and nothing else is.
#[expect(clippy::print_stderr, reason = "the one place that does")]
pub(crate) fn note(text: &str) {
    eprintln!("{text}");
}

/// Whether the reader of a pipe closed it, such as `head` after its last line.
pub(crate) fn is_closed(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
