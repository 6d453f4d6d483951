//! The calendar of a reboot policy: maintenance windows and blackouts, which say when a node may start.
//!
//! The module is pure: time is an argument, and time zones come from the database that is compiled into the
//! program, so that all replicas agree. The module starts nothing; gates ask a [`Calendar`] for its state.
//!
//! # Rules
//!
//! * A calendar has zero or more windows and zero or more blackouts. Without a window, the calendar is always open
//!   except in a blackout. With windows, the calendar is open while at least one window is open and no blackout
//!   covers the instant.
//! * Windows that overlap or touch form one opening. A blackout cuts an opening.
//! * An opening includes its start and excludes its end. So does a blackout.
//!
//! **A weekly window** has weekdays, a start and an end by the clock, and a time zone. The window opens once for
//! each local date whose weekday is listed: at the first instant at which the zone's clock shows `start` of that
//! date or later. The window closes at the first instant at which the clock shows `end` or later: on the same
//! date, or on the next date if `end` is not after `start`. An overnight window so belongs to the day on which the
//! window starts, and equal times are 24 hours by the clock.
//!
//! **A cron window** has a crontab expression, a duration and a time zone ([`CronExpression`] lists the syntax).
//! The window opens at the first instant at which the clock shows a time of the expression or later, and closes
//! after the duration, which is elapsed time.
//!
//! **On daylight-saving days** both rules give the same answer:
//!
//! * A time that the clock skips takes effect at the end of the gap, so no night is lost. Where the gap reaches
//!   midnight, the clock may already show the next date.
//! * A time that the clock shows twice takes effect at the first of both, and not again at the second: no window
//!   opens twice for one date and time. A cron window that opens every few minutes hence pauses for the repeated
//!   hour.
//! * A weekly opening whose ends lie in one gap would be empty, and does not exist.
//! * A date that the zone skips as a whole (Samoa, 2011-12-30) has no opening.
//!
//! **A blackout** has two ends, each a local date (inclusive) or a date and time by the clock (the end is
//! exclusive), a time zone and a reason. An end that the clock shows twice takes effect at the second of both: in
//! doubt, no node starts.
//!
//! # Limits
//!
//! An opening that lasts longer than 60 days counts as one without end. No opening is searched for more than ten
//! years ahead. An answer that rests on such a limit is valid for 30 days.

mod blackout;
mod clock;
mod cron;
mod error;
mod search;
mod span;
mod state;
mod union;
mod weekdays;
mod weekly;
mod window;

use jiff::{SignedDuration, Timestamp};

pub use self::blackout::{Blackout, Bound};
pub use self::clock::parse_zone;
pub use self::cron::{Cron, CronExpression};
pub use self::error::{CalendarError, Field};
pub use self::search::Opening;
pub use self::state::CalendarState;
pub use self::weekdays::Weekdays;
pub use self::weekly::Weekly;
pub use self::window::Window;

use self::search::Openings;
use self::span::Coverage;

/// The windows and blackouts of one policy. The empty calendar is always open.
#[derive(Debug, Clone, Default)]
pub struct Calendar {
    windows: Vec<Window>,
    blackouts: Vec<Blackout>,
    coverage: Coverage,
}

impl Calendar {
    /// Time ahead in which [`Self::longest_opening`] searches: each yearly blackout and daylight-saving day once.
    const YEAR: SignedDuration = SignedDuration::from_hours(366 * 24);

    /// Makes a calendar. The order of the windows has no meaning; the order of the blackouts decides which of
    /// several a state names.
    #[must_use]
    pub fn new(windows: Vec<Window>, blackouts: Vec<Blackout>) -> Self {
        let coverage = Coverage::new(blackouts.iter().map(Blackout::span));
        Self {
            windows,
            blackouts,
            coverage,
        }
    }

    /// The windows, as given.
    #[must_use]
    pub fn windows(&self) -> &[Window] {
        &self.windows
    }

    /// The blackouts, as given. [`CalendarState::Shut`] has an index into this list.
    #[must_use]
    pub fn blackouts(&self) -> &[Blackout] {
        &self.blackouts
    }

    /// Whether the calendar is open at an instant, until when, and how long the answer can be cached.
    ///
    /// Takes 1 to 6 µs, and some 20 to 60 µs if the windows never shut. A cron window that opens each minute takes
    /// up to 0.3 ms within 60 days of a change of the clock.
    #[must_use]
    pub fn state_at(&self, now: Timestamp) -> CalendarState {
        let blackout = self.blackouts.iter().position(|blackout| blackout.covers(now));
        let edge = self
            .blackouts
            .iter()
            .filter_map(|blackout| blackout.edge_after(now))
            .min();
        let next = self.all_openings(now).next();
        CalendarState::new(now, next, blackout, edge, self.windows.is_empty())
    }

    /// The blackout that a state of this calendar names.
    #[must_use]
    pub fn blackout_of(&self, state: CalendarState) -> Option<&Blackout> {
        match state {
            CalendarState::Shut { blackout, .. } => self.blackouts.get(blackout?),
            CalendarState::Open { .. } => None,
        }
    }

    /// Whether work that needs this much time can start now and end inside the opening: see
    /// [`CalendarState::fits`].
    #[must_use]
    pub fn fits(&self, now: Timestamp, margin: SignedDuration) -> bool {
        self.state_at(now).fits(now, margin)
    }

    /// The next openings, at most `count`, in their order. An opening that is under way starts at `from`. There are
    /// fewer if one has no end, or if none follows within ten years.
    #[must_use]
    pub fn openings(&self, from: Timestamp, count: usize) -> Vec<Opening> {
        self.all_openings(from).take(count).collect()
    }

    /// The longest opening that starts within a year of an instant, and the first of several; none if none starts.
    /// An opening that is under way starts at `from`.
    ///
    /// A drain that needs longer than this opening can never end inside a window. The search visits each opening
    /// of the year, so it is meant for checks and not for the deciding loop.
    #[must_use]
    pub fn longest_opening(&self, from: Timestamp) -> Option<Opening> {
        let end = crate::later(from, Self::YEAR);
        let mut longest: Option<Opening> = None;
        for opening in self.all_openings(from).take_while(|opening| opening.start < end) {
            let Some(duration) = opening.duration() else {
                return Some(opening);
            };
            if longest
                .and_then(|longest| longest.duration())
                .is_none_or(|before| duration > before)
            {
                longest = Some(opening);
            }
        }
        longest
    }

    fn all_openings(&self, from: Timestamp) -> Openings<'_> {
        Openings::new(&self.windows, &self.coverage, from)
    }
}
