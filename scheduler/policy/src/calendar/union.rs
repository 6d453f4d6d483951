//! The union of all windows, without blackouts.

use std::iter::Peekable;

use jiff::{SignedDuration, Timestamp};

use crate::later;

use super::window::{Spans, Window};

/// An opening that lasts longer counts as one without end. No drain and no series of reboots is planned that far
/// ahead, and a daily window of 24 hours is merged 60 times at most.
pub(super) const OPENING_MAX: SignedDuration = SignedDuration::from_hours(60 * 24);

/// A piece of time in which at least one window is open at each instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Union {
    pub(super) start: Timestamp,
    /// None: there is no end within [`OPENING_MAX`], counted from the start or from the begin of the search.
    pub(super) end: Option<Timestamp>,
}

/// The unions that end after an instant, in their order. The last one may have no end.
#[derive(Debug)]
pub(super) struct Unions<'a> {
    windows: Vec<Peekable<Spans<'a>>>,
    from: Timestamp,
    always_open: bool,
}

impl<'a> Unions<'a> {
    /// Without windows, one union without end begins at `from`.
    pub(super) fn new(windows: &'a [Window], from: Timestamp, until: Timestamp) -> Self {
        Self {
            windows: windows
                .iter()
                .map(|window| window.spans(from, until).peekable())
                .collect(),
            from,
            always_open: windows.is_empty(),
        }
    }

    fn first_start(&mut self) -> Option<Timestamp> {
        self.windows
            .iter_mut()
            .filter_map(|spans| spans.peek().map(|span| span.start))
            .min()
    }
}

impl Iterator for Unions<'_> {
    type Item = Union;

    fn next(&mut self) -> Option<Union> {
        if std::mem::take(&mut self.always_open) {
            let start = self.from;
            return Some(Union { start, end: None });
        }
        let start = self.first_start()?;
        let limit = later(start.max(self.from), OPENING_MAX);
        let mut end = start;
        // Each round takes from every window the openings that continue the union; a round without any is the last.
        loop {
            let before = end;
            for spans in &mut self.windows {
                while let Some(span) = spans.next_if(|span| span.start <= end) {
                    end = end.max(span.end);
                    if end > limit {
                        return Some(Union { start, end: None });
                    }
                }
            }
            if end == before {
                return Some(Union { start, end: Some(end) });
            }
        }
    }
}
