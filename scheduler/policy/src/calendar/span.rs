//! Pieces of time, and the union of all blackouts.

use jiff::Timestamp;

/// From an instant, inclusive, to an instant, exclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: Timestamp,
    pub(super) end: Timestamp,
}

impl Span {
    pub(super) fn contains(self, at: Timestamp) -> bool {
        self.start <= at && at < self.end
    }
}

/// The instants that at least one of several spans contains, as spans in order that do not touch.
#[derive(Debug, Clone, Default)]
pub(super) struct Coverage(Vec<Span>);

impl Coverage {
    pub(super) fn new(spans: impl Iterator<Item = Span>) -> Self {
        let mut spans: Vec<Span> = spans.filter(|span| span.start < span.end).collect();
        spans.sort_by_key(|span| span.start);
        let mut merged: Vec<Span> = vec![];
        for span in spans {
            match merged.last_mut() {
                Some(last) if span.start <= last.end => last.end = last.end.max(span.end),
                Some(_) | None => merged.push(span),
            }
        }
        Self(merged)
    }

    /// The end of the span that contains this instant.
    pub(super) fn end_at(&self, at: Timestamp) -> Option<Timestamp> {
        self.next(at).filter(|span| span.contains(at)).map(|span| span.end)
    }

    /// The first start of a span at or after this instant, which no span contains.
    pub(super) fn start_after(&self, at: Timestamp) -> Option<Timestamp> {
        self.next(at).map(|span| span.start)
    }

    /// The first span that ends after this instant.
    fn next(&self, at: Timestamp) -> Option<Span> {
        let index = self.0.partition_point(|span| span.end <= at);
        self.0.get(index).copied()
    }
}
