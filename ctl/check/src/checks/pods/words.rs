//! The words with which a container ended.

use serde_json::Value;

use crate::object::{number, text};

/// How a container ended: what it said last, as far as it is kept with the pod
/// (`terminationMessagePolicy: FallbackToLogsOnError`), else the code.
pub(super) fn last_words(ended: &Value) -> String {
    let (reason, code) = (text(ended, "/reason"), number(ended, "/exitCode"));
    let said = telling(text(ended, "/message"));
    match (said, reason) {
        (Some(said), "" | "Error" | "Completed") => said,
        // Who was killed from outside does not know it.
        (Some(said), reason) => format!("{reason}, exit code {code}: {said}"),
        (None, "") => format!("exit code {code}"),
        (None, reason) => format!("{reason}, exit code {code}"),
    }
}

/// The last of these lines that says why: our own log, a refusal of arguments, a panic; else the
/// last one. What comes after them is advice (`try '--help'`, `RUST_BACKTRACE=1`).
fn telling(message: &str) -> Option<String> {
    let lines: Vec<&str> = message.lines().map(str::trim).collect();
    let why = (0..lines.len()).rev().find_map(|at| {
        let (line, after) = lines.get(at..)?.split_first()?;
        logged(line)
            .or_else(|| refused(line, after))
            .or_else(|| panicked(line, after))
    });
    let last = || lines.iter().rfind(|line| !line.is_empty());
    why.or_else(|| last().map(|line| (*line).to_owned()))
}

/// What a line of our JSON log says.
fn logged(line: &str) -> Option<String> {
    let entry: Value = serde_json::from_str(line).ok()?;
    match (text(&entry, "/message"), text(&entry, "/error")) {
        ("", "") => None,
        (message, "") => Some(message.to_owned()),
        ("", error) => Some(error.to_owned()),
        (message, error) => Some(format!("{message}: {error}")),
    }
}

/// Arguments that were refused: all up to an empty line, since what is missing is on lines of its own.
fn refused(line: &str, after: &[&str]) -> Option<String> {
    let rest = after.iter().take_while(|line| !line.is_empty()).copied();
    line.starts_with("error:").then(|| joined(line, rest))
}

/// A panic: where, and with which words, which may be several lines.
fn panicked(line: &str, after: &[&str]) -> Option<String> {
    let (_, place) = line.split_once("panicked at ")?;
    let is_advice = |line: &str| line.starts_with("note: ") || line.starts_with("stack backtrace:");
    let words = after.iter().copied().take_while(|line| !is_advice(line));
    Some(joined(&format!("panicked at {place}"), words))
}

fn joined<'a>(first: &'a str, rest: impl Iterator<Item = &'a str>) -> String {
    std::iter::once(first).chain(rest).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
#[path = "words_tests.rs"]
mod tests;
