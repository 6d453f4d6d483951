//! Spans as a receiver has them, and the trace that they make.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// One span as it was received.
#[derive(Clone, Debug)]
pub struct Span {
    /// The service that exported it (`service.name`).
    pub service: String,
    /// All attributes of that service, as text.
    pub resource: BTreeMap<String, String>,
    /// Its name.
    pub name: String,
    /// The trace it belongs to, as hex digits.
    pub trace: String,
    /// Its own id.
    pub id: String,
    /// Its parent's id; empty for a root.
    pub parent: String,
    /// Spans that it links to.
    pub links: Vec<SpanLink>,
    /// Its attributes, as text.
    pub attributes: BTreeMap<String, String>,
    /// What happened in it, in the order of its exporter.
    pub events: Vec<SpanEvent>,
    /// When it began, in nanoseconds since 1970.
    pub start: u64,
    /// When it ended.
    pub end: u64,
}

/// A span to which another one links.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpanLink {
    /// Its trace, as hex digits.
    pub trace: String,
    /// Its id, as hex digits.
    pub span: String,
}

/// What happened in a span.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpanEvent {
    /// Its name.
    pub name: String,
    /// When, in nanoseconds since 1970.
    pub at: u64,
    /// Its attributes, as text.
    pub attributes: BTreeMap<String, String>,
}

/// The spans of one trace among these, in order of their start. A span that was received again counts once, as it was last.
#[must_use]
pub fn trace(spans: Vec<Span>, trace: &str) -> Vec<Span> {
    let of_trace = spans.into_iter().filter(|span| span.trace == trace);
    let by_id: BTreeMap<String, Span> = of_trace.map(|span| (span.id.clone(), span)).collect();
    let mut spans: Vec<Span> = by_id.into_values().collect();
    spans.sort_by_key(|span| span.start);
    spans
}

/// The spans of one trace as an indented tree, a line per span: `service: name (milliseconds)`. Spans whose
/// parent was never received stand at the left, marked.
#[must_use]
pub fn tree(spans: &[Span]) -> String {
    let ids: BTreeSet<&str> = spans.iter().map(|span| span.id.as_str()).collect();
    let mut text = String::new();
    for span in spans {
        if span.parent.is_empty() || !ids.contains(span.parent.as_str()) {
            let mark = if span.parent.is_empty() { "" } else { "(orphan) " };
            write_subtree(&mut text, spans, span, mark, 0);
        }
    }
    text
}

/// Deeper than any trace of ours; ends the walk if ids go round in circles.
const DEPTH_MAX: usize = 64;

fn write_subtree(text: &mut String, spans: &[Span], span: &Span, mark: &str, depth: usize) {
    let milliseconds = span.end.saturating_sub(span.start) / 1_000_000;
    let indent = "  ".repeat(depth);
    // Writing into a string cannot fail.
    writeln!(
        text,
        "{indent}{mark}{}: {} ({milliseconds} ms)",
        span.service, span.name
    )
    .ok();
    if depth < DEPTH_MAX {
        for child in spans.iter().filter(|child| child.parent == span.id) {
            write_subtree(text, spans, child, "", depth + 1);
        }
    }
}
