//! A second opinion on calendars: walks the clocks of all zones minute by minute. It shares no code with the
//! calendar, and knows of a zone only the time that its clock shows at an instant.

use std::collections::BTreeSet;

use bellwether_policy::calendar::{Blackout, Calendar, Cron, Weekly, Window};
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

pub(super) const ZONES: [&str; 5] = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "Pacific/Apia",
];
pub(super) const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

/// A window as a user writes it, with times in minutes.
#[derive(Debug, Clone)]
pub(super) enum WindowSpec {
    Weekly {
        days: Vec<usize>,
        start: u16,
        end: u16,
        zone: usize,
    },
    Cron {
        minutes: Vec<u16>,
        hours: Vec<u16>,
        day: CronDay,
        duration: u16,
        zone: usize,
    },
}

#[derive(Debug, Clone)]
pub(super) enum CronDay {
    Any,
    Weekday(usize),
    Nth(usize, u16),
    LastOfMonth,
}

/// A blackout whose ends are dates, or minutes since the start of the walk by the clock of the zone.
#[derive(Debug, Clone)]
pub(super) struct BlackoutSpec {
    pub(super) from: u16,
    pub(super) length: u16,
    pub(super) whole_days: bool,
    pub(super) zone: usize,
}

/// The clocks of all zones for some days, by the minute.
pub(super) struct Walk {
    pub(super) start: Timestamp,
    clocks: Vec<Vec<DateTime>>,
}

impl Walk {
    pub(super) const DAYS: u16 = 16;
    pub(super) const MINUTES: usize = Self::DAYS as usize * 24 * 60;

    /// Half of the days before midnight of a date, half of them after.
    pub(super) fn around(date: &str) -> Self {
        let midnight: Timestamp = format!("{date}T00:00:00Z").parse().unwrap();
        let start = midnight - SignedDuration::from_hours(i64::from(Self::DAYS) * 12);
        let clock = |zone: &str| {
            let zone = TimeZone::get(zone).unwrap();
            (0..Self::MINUTES)
                .map(|minute| zone.to_datetime(Self::at(start, minute)))
                .collect()
        };
        Self {
            start,
            clocks: ZONES.into_iter().map(clock).collect(),
        }
    }

    fn at(start: Timestamp, minute: usize) -> Timestamp {
        start + SignedDuration::from_mins(i64::try_from(minute).unwrap())
    }

    pub(super) fn instant(&self, minute: usize) -> Timestamp {
        Self::at(self.start, minute)
    }

    /// The minute of an instant; none beyond the walk.
    pub(super) fn minute(&self, at: Timestamp) -> Option<usize> {
        let minutes = at.duration_since(self.start).as_mins();
        usize::try_from(minutes).ok().filter(|minute| *minute < Self::MINUTES)
    }

    /// The minutes in which a window is open.
    fn open(&self, window: &WindowSpec) -> Vec<bool> {
        let mut open = vec![false; Self::MINUTES];
        for (from, to) in self.spans(window) {
            open[from.min(Self::MINUTES)..to.min(Self::MINUTES)].fill(true);
        }
        open
    }

    fn spans(&self, window: &WindowSpec) -> Vec<(usize, usize)> {
        let clock = &self.clocks[window.zone()];
        let shown: BTreeSet<Date> = clock.iter().map(|clock| clock.date()).collect();
        let matching = shown.into_iter().filter(|date| window.matches(*date));
        // Where the clock first shows a time or a later one: later times are not found earlier.
        let mut place = 0;
        let mut first = |target: DateTime| {
            while place < clock.len() && clock[place] < target {
                place += 1;
            }
            place
        };
        match window {
            WindowSpec::Weekly { start, end, .. } => matching
                .map(|date| {
                    let end_date = if end <= start { date.tomorrow().unwrap() } else { date };
                    let from = first(date.to_datetime(time(*start)));
                    let to = clock[from..]
                        .iter()
                        .position(|clock| *clock >= end_date.to_datetime(time(*end)));
                    (from, to.map_or(Self::MINUTES, |to| from + to))
                })
                .collect(),
            WindowSpec::Cron {
                minutes,
                hours,
                duration,
                ..
            } => {
                let mut spans = vec![];
                for date in matching {
                    for hour in hours {
                        for minute in minutes {
                            let from = first(date.to_datetime(time(hour * 60 + minute)));
                            spans.push((from, from + usize::from(*duration)));
                        }
                    }
                }
                spans
            }
        }
    }

    /// The minutes that a blackout covers: from the first with its start to the last before its end.
    fn covered(&self, spec: &BlackoutSpec) -> Vec<bool> {
        let clock = &self.clocks[spec.zone];
        let (from, to) = spec.ends(self);
        let first = clock.iter().position(|clock| *clock >= from).unwrap_or(Self::MINUTES);
        let end = clock.iter().rposition(|clock| *clock < to).map_or(0, |last| last + 1);
        (0..Self::MINUTES)
            .map(|minute| (first..end).contains(&minute))
            .collect()
    }
}

/// The opinion: for each minute of a walk, whether the calendar is open, and which blackout covers the minute.
pub(super) struct Opinion {
    pub(super) open: Vec<bool>,
    pub(super) blackout: Vec<Option<usize>>,
    /// The next minute that is shut or open, from each minute on; none beyond the walk.
    pub(super) changes: Vec<Option<usize>>,
}

impl Opinion {
    pub(super) fn new(walk: &Walk, windows: &[WindowSpec], blackouts: &[BlackoutSpec]) -> Self {
        let opened: Vec<_> = windows.iter().map(|window| walk.open(window)).collect();
        let covered: Vec<_> = blackouts.iter().map(|blackout| walk.covered(blackout)).collect();
        let blackout: Vec<_> = (0..Walk::MINUTES)
            .map(|minute| covered.iter().position(|covered| covered[minute]))
            .collect();
        let open: Vec<_> = (0..Walk::MINUTES)
            .map(|minute| {
                let in_window = opened.is_empty() || opened.iter().any(|open| open[minute]);
                in_window && blackout[minute].is_none()
            })
            .collect();
        let mut changes = vec![None; Walk::MINUTES];
        for minute in (0..Walk::MINUTES - 1).rev() {
            changes[minute] = if open[minute] == open[minute + 1] {
                changes[minute + 1]
            } else {
                Some(minute + 1)
            };
        }
        Self {
            open,
            blackout,
            changes,
        }
    }
}

impl WindowSpec {
    fn zone(&self) -> usize {
        match self {
            Self::Weekly { zone, .. } | Self::Cron { zone, .. } => *zone,
        }
    }

    fn matches(&self, date: Date) -> bool {
        let weekday = usize::try_from(date.weekday().to_monday_zero_offset()).unwrap();
        match self {
            Self::Weekly { days, .. } => days.contains(&weekday),
            Self::Cron { day, .. } => match day {
                CronDay::Any => true,
                CronDay::Weekday(day) => *day == weekday,
                CronDay::LastOfMonth => date.tomorrow().unwrap().month() != date.month(),
                CronDay::Nth(day, nth) => {
                    let mut same = date
                        .series(jiff::Span::new().days(-7))
                        .take_while(|other| other.month() == date.month());
                    *day == weekday && same.by_ref().count() == usize::from(*nth)
                }
            },
        }
    }

    pub(super) fn window(&self) -> Window {
        let zone = ZONES[self.zone()];
        match self {
            Self::Weekly { days, start, end, .. } => {
                let days: Vec<_> = days.iter().map(|day| DAYS[*day]).collect();
                Weekly::parse(&days, &clock(*start), &clock(*end), zone).unwrap().into()
            }
            Self::Cron {
                minutes,
                hours,
                day,
                duration,
                ..
            } => {
                let list = |values: &[u16]| values.iter().map(u16::to_string).collect::<Vec<_>>().join(",");
                let days = match day {
                    CronDay::Any => "* * *".to_owned(),
                    CronDay::Weekday(day) => format!("* * {}", DAYS[*day]),
                    CronDay::Nth(day, nth) => format!("* * {}#{nth}", DAYS[*day]),
                    CronDay::LastOfMonth => "L * *".to_owned(),
                };
                let expression = format!("{} {} {days}", list(minutes), list(hours));
                Cron::parse(&expression, &format!("{duration}m"), zone).unwrap().into()
            }
        }
    }
}

impl BlackoutSpec {
    fn ends(&self, walk: &Walk) -> (DateTime, DateTime) {
        let clock = walk.clocks[self.zone][0];
        let after = |minutes: u16| clock + SignedDuration::from_mins(i64::from(minutes));
        let (from, to) = (after(self.from), after(self.from.saturating_add(self.length)));
        if self.whole_days {
            let end = to.date().tomorrow().unwrap().to_datetime(Time::midnight());
            (from.date().to_datetime(Time::midnight()), end)
        } else {
            (from, to)
        }
    }

    fn blackout(&self, walk: &Walk) -> Blackout {
        let (from, to) = self.ends(walk);
        let zone = ZONES[self.zone];
        if self.whole_days {
            let last = to.date().yesterday().unwrap();
            return Blackout::parse(&from.date().to_string(), &last.to_string(), zone, "").unwrap();
        }
        Blackout::parse(&from.to_string(), &to.to_string(), zone, "").unwrap()
    }
}

pub(super) fn calendar(walk: &Walk, windows: &[WindowSpec], blackouts: &[BlackoutSpec]) -> Calendar {
    let windows = windows.iter().map(WindowSpec::window).collect();
    Calendar::new(
        windows,
        blackouts.iter().map(|blackout| blackout.blackout(walk)).collect(),
    )
}

fn time(minutes: u16) -> Time {
    let (hour, minute) = (minutes / 60, minutes % 60);
    Time::new(i8::try_from(hour).unwrap(), i8::try_from(minute).unwrap(), 0, 0).unwrap()
}

fn clock(minutes: u16) -> String {
    time(minutes).strftime("%H:%M").to_string()
}
