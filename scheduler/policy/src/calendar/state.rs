//! The state of a calendar at an instant, for gates.

use jiff::{SignedDuration, Timestamp};

use crate::later;

use super::search::Opening;

/// How long an answer that rests on a search limit is valid: half of the 60 days for which the calendar is known to
/// stay open, so that a cached answer allows drains of up to 30 days.
const LIMITED_ANSWER: SignedDuration = SignedDuration::from_hours(30 * 24);

/// Whether a calendar is open at an instant.
///
/// A caller can keep the state until `valid_until` (exclusive): each instant before has the same state, except that
/// a search limit may hide a far end or a far opening. None: the state never changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CalendarState {
    /// Nodes may start.
    Open {
        /// The first instant at which the calendar is shut: the end of all windows that follow each other, or the
        /// start of a blackout. None if that is more than 60 days ahead, or never.
        until: Option<Timestamp>,
        /// The instant until which this state can be cached.
        valid_until: Option<Timestamp>,
    },
    /// No node may start.
    Shut {
        /// The blackout that covers the instant, as an index into [`Calendar::blackouts`](super::Calendar::blackouts):
        /// of several, the first in the list. None: no window is open.
        blackout: Option<usize>,
        /// The first instant at which nodes may start again, after all blackouts. None if there is none within ten
        /// years.
        opens_at: Option<Timestamp>,
        /// The instant until which this state can be cached.
        valid_until: Option<Timestamp>,
    },
}

impl CalendarState {
    /// `next` is the opening that is under way or follows, `edge` the next start or end of any blackout.
    pub(super) fn new(
        now: Timestamp,
        next: Option<Opening>,
        blackout: Option<usize>,
        edge: Option<Timestamp>,
        always_open: bool,
    ) -> Self {
        let limited = later(now, LIMITED_ANSWER);
        match next {
            Some(Opening { start, end }) if start <= now => Self::Open {
                until: end,
                valid_until: end.or_else(|| (!always_open).then_some(limited)),
            },
            Some(Opening { start, .. }) => Self::Shut {
                blackout,
                opens_at: Some(start),
                valid_until: Some(edge.map_or(start, |edge| edge.min(start))),
            },
            None => Self::Shut {
                blackout,
                opens_at: None,
                valid_until: Some(edge.map_or(limited, |edge| edge.min(limited))),
            },
        }
    }

    /// Whether nodes may start.
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(self, Self::Open { .. })
    }

    /// The instant until which this state can be cached; none if the state never changes.
    #[must_use]
    pub fn valid_until(&self) -> Option<Timestamp> {
        match self {
            Self::Open { valid_until, .. } | Self::Shut { valid_until, .. } => *valid_until,
        }
    }

    /// Whether work that needs this much time can start at `now`, an instant at which the state is valid, and end
    /// inside the opening. Work may end at the very instant at which the opening ends. A margin below zero counts
    /// as zero.
    #[must_use]
    pub fn fits(&self, now: Timestamp, margin: SignedDuration) -> bool {
        match self {
            Self::Open { until: None, .. } => true,
            Self::Open { until: Some(until), .. } => until.duration_since(now) >= margin.max(SignedDuration::ZERO),
            Self::Shut { .. } => false,
        }
    }
}
