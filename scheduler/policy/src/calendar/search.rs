//! The search for openings: unions of windows, cut by blackouts.

use jiff::{SignedDuration, Timestamp};

use crate::later;

use super::span::Coverage;
use super::union::{OPENING_MAX, Union, Unions};
use super::window::Window;

/// How far ahead an opening is searched: a window on each 29 February that is a Sunday opens every 28 years, and
/// no operator waits for that.
const SEARCH_MAX: SignedDuration = SignedDuration::from_hours(3653 * 24);

/// A piece of time in which nodes may start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opening {
    /// The first instant; the begin of the search if the opening was under way.
    pub start: Timestamp,
    /// The first instant after the opening; none if the calendar stays open for more than 60 days.
    pub end: Option<Timestamp>,
}

impl Opening {
    /// The elapsed time from start to end; none without an end.
    #[must_use]
    pub fn duration(&self) -> Option<SignedDuration> {
        self.end.map(|end| end.duration_since(self.start))
    }
}

/// The openings from an instant on, in their order, up to ten years ahead. One without end is the last.
#[derive(Debug)]
pub(super) struct Openings<'a> {
    windows: &'a [Window],
    blackouts: &'a Coverage,
    /// The end of the search.
    until: Timestamp,
    /// The end of the opening before; none after the last.
    at: Option<Timestamp>,
    unions: Unions<'a>,
    union: Option<Union>,
}

impl<'a> Openings<'a> {
    pub(super) fn new(windows: &'a [Window], blackouts: &'a Coverage, from: Timestamp) -> Self {
        let until = later(from, SEARCH_MAX);
        Self {
            windows,
            blackouts,
            until,
            at: Some(from),
            unions: Unions::new(windows, from, until),
            union: None,
        }
    }

    /// Continues at the end of a blackout. The windows begin again there, since a blackout may last for years.
    fn leave_blackout(&mut self, end: Timestamp) {
        self.unions = Unions::new(self.windows, end, self.until);
        self.union = None;
    }

    /// The first union that ends after an instant.
    fn union_after(&mut self, at: Timestamp) -> Option<Union> {
        while self.union.is_none_or(|union| union.end.is_some_and(|end| end <= at)) {
            self.union = Some(self.unions.next()?);
        }
        self.union
    }

    /// The end of an opening: that of its union or the start of the next blackout.
    fn end(&self, start: Timestamp, union: Union) -> Option<Timestamp> {
        let blackout = self.blackouts.start_after(start);
        match (union.end, blackout) {
            (Some(end), Some(blackout)) => Some(end.min(blackout)),
            (Some(end), None) => Some(end),
            // How long the windows stay open is known up to the limit only.
            (None, blackout) => blackout.filter(|at| self.windows.is_empty() || *at <= later(start, OPENING_MAX)),
        }
    }
}

impl Iterator for Openings<'_> {
    type Item = Opening;

    fn next(&mut self) -> Option<Opening> {
        let mut at = self.at.take()?;
        loop {
            if let Some(end) = self.blackouts.end_at(at) {
                self.leave_blackout(end);
                at = end;
            }
            let union = self.union_after(at)?;
            let start = union.start.max(at);
            if start >= self.until {
                return None;
            }
            if self.blackouts.end_at(start).is_some() {
                at = start;
                continue;
            }
            let end = self.end(start, union);
            self.at = end;
            return Some(Opening { start, end });
        }
    }
}
