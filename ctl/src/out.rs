//! The only place that writes to standard output and standard error.

use std::io::{self, IsTerminal as _, Write as _};

/// Clears the screen, and what was scrolled out of it stays.
const HOME_AND_CLEAR: &str = "\x1b[H\x1b[2J";

/// Shows an answer. It ends with a line break already.
pub(crate) fn show(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Shows an answer in place of the one before, if a person looks at it.
pub(crate) fn redraw(text: &str) -> io::Result<()> {
    show(&format!("{HOME_AND_CLEAR}{text}"))
}

/// Whether a person looks at it, rather than a program.
pub(crate) fn is_terminal() -> bool {
    io::stdout().is_terminal()
}

/// Says something beside the answer. Where nobody can hear it, there is nothing left to do.
#[expect(clippy::print_stderr, reason = "the one place that does")]
pub(crate) fn note(text: &str) {
    eprintln!("{text}");
}

/// True if whoever read the answer has read enough of it, such as `head`.
pub(crate) fn is_closed(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
