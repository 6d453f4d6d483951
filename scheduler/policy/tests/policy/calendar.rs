//! The calendar: properties against a walk of the clock minute by minute, named days, and texts for users.

mod cron;
mod errors;
mod oracle;
mod properties;
mod states;
mod texts;
mod weekly;

use bellwether_policy::calendar::{Blackout, Calendar, CalendarState, Cron, Weekly, Window};
use jiff::Timestamp;

/// A weekly window.
fn weekly(days: &str, start: &str, end: &str, zone: &str) -> Window {
    Weekly::parse(&[days], start, end, zone).unwrap().into()
}

/// A cron window.
fn cron(expression: &str, duration: &str, zone: &str) -> Window {
    Cron::parse(expression, duration, zone).unwrap().into()
}

fn blackout(from: &str, to: &str, zone: &str) -> Blackout {
    Blackout::parse(from, to, zone, "freeze").unwrap()
}

fn open_in(windows: impl Into<Vec<Window>>) -> Calendar {
    Calendar::new(windows.into(), vec![])
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn is_open(calendar: &Calendar, at: &str) -> bool {
    calendar.state_at(at.parse().unwrap()).is_open()
}

/// The next openings in universal time, as `start end`, or `start -` without an end.
fn openings(calendar: &Calendar, from: &str, count: usize) -> Vec<String> {
    let openings = calendar.openings(at(from), count);
    let end = |end: Option<Timestamp>| end.map_or_else(|| "-".to_owned(), |end| end.to_string());
    openings
        .iter()
        .map(|opening| format!("{} {}", opening.start, end(opening.end)))
        .collect()
}

/// The end of the opening that is under way.
fn until(calendar: &Calendar, now: &str) -> Option<Timestamp> {
    let state = calendar.state_at(at(now));
    assert!(state.is_open(), "{state:?}");
    match state {
        CalendarState::Open { until, .. } => until,
        CalendarState::Shut { .. } => None,
    }
}

/// The start of the next opening.
fn opens_at(calendar: &Calendar, now: &str) -> Option<Timestamp> {
    let state = calendar.state_at(at(now));
    assert!(!state.is_open(), "{state:?}");
    match state {
        CalendarState::Shut { opens_at, .. } => opens_at,
        CalendarState::Open { .. } => None,
    }
}
