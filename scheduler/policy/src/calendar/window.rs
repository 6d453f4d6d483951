//! The kinds of windows.

use std::fmt;

use jiff::Timestamp;

use super::cron::{Cron, CronSpans};
use super::span::Span;
use super::weekly::{Weekly, WeeklySpans};

/// A maintenance window: when nodes may start. The text is a description for users.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Window {
    /// Weekdays with a start and an end.
    Weekly(Weekly),
    /// A crontab expression with a duration.
    Cron(Cron),
}

impl Window {
    /// The openings that end after an instant and begin before another, in their order. They may overlap, and some
    /// that begin later may follow.
    pub(super) fn spans(&self, from: Timestamp, until: Timestamp) -> Spans<'_> {
        match self {
            Self::Weekly(weekly) => Spans::Weekly(weekly.spans(from)),
            Self::Cron(cron) => Spans::Cron(cron.spans(from, until)),
        }
    }
}

impl From<Weekly> for Window {
    fn from(weekly: Weekly) -> Self {
        Self::Weekly(weekly)
    }
}

impl From<Cron> for Window {
    fn from(cron: Cron) -> Self {
        Self::Cron(cron)
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Weekly(weekly) => weekly.fmt(f),
            Self::Cron(cron) => cron.fmt(f),
        }
    }
}

/// The openings of one window.
#[derive(Debug, Clone)]
pub(super) enum Spans<'a> {
    Weekly(WeeklySpans<'a>),
    Cron(CronSpans<'a>),
}

impl Iterator for Spans<'_> {
    type Item = Span;

    fn next(&mut self) -> Option<Span> {
        match self {
            Self::Weekly(spans) => spans.next(),
            Self::Cron(spans) => spans.next(),
        }
    }
}
