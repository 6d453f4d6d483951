//! Random calendars around the days on which clocks change, against the walk of the clocks.

use std::sync::LazyLock;

use bellwether_policy::calendar::{Calendar, CalendarState};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use super::oracle::{BlackoutSpec, CronDay, Opinion, Walk, WindowSpec, ZONES, calendar};

/// Days on which a clock of [`ZONES`] changes, a leap day, and a day without any change.
const DATES: [&str; 9] = [
    "2026-03-29",
    "2026-10-25",
    "2026-03-08",
    "2026-11-01",
    "2026-04-05",
    "2026-10-04",
    "2011-12-30",
    "2024-02-29",
    "2025-12-31",
];

static WALKS: LazyLock<Vec<Walk>> = LazyLock::new(|| DATES.into_iter().map(Walk::around).collect());

/// Minutes whose windows the walk knows in full: a window lasts three days at most.
const KNOWN: std::ops::Range<usize> = 4 * 1440..Walk::MINUTES - 2 * 1440;

fn window() -> impl Strategy<Value = WindowSpec> {
    // Mostly the hours in which clocks change, and mostly full quarters, so that ends meet.
    let time = || prop_oneof![3 => (0_u16..20).prop_map(|quarter| quarter * 15), 2 => 0_u16..1440];
    let weekly = (
        prop::sample::subsequence((0..7).collect::<Vec<_>>(), 1..=7),
        time(),
        time(),
        0..ZONES.len(),
    )
        .prop_map(|(days, start, end, zone)| WindowSpec::Weekly { days, start, end, zone });
    let day = prop_oneof![
        3 => Just(CronDay::Any),
        2 => (0_usize..7).prop_map(CronDay::Weekday),
        2 => (0_usize..7, 1_u16..=5).prop_map(|(day, nth)| CronDay::Nth(day, nth)),
        1 => Just(CronDay::LastOfMonth),
    ];
    let minutes = prop::sample::subsequence((0..60).step_by(5).collect::<Vec<_>>(), 1..=12);
    let hours = prop::sample::subsequence((0..24).collect::<Vec<_>>(), 1..=24);
    let duration = prop_oneof![1_u16..120, 1_u16..3 * 1440];
    let cron = (minutes, hours, day, duration, 0..ZONES.len()).prop_map(|(minutes, hours, day, duration, zone)| {
        WindowSpec::Cron {
            minutes,
            hours,
            day,
            duration,
            zone,
        }
    });
    prop_oneof![2 => weekly, 1 => cron]
}

fn blackout() -> impl Strategy<Value = BlackoutSpec> {
    let span = Walk::DAYS * 1440;
    let length = prop_oneof![1_u16..180, 1_u16..3 * 1440];
    (0..span, length, any::<bool>(), 0..ZONES.len()).prop_map(|(from, length, whole_days, zone)| BlackoutSpec {
        from,
        length,
        whole_days,
        zone,
    })
}

/// The minutes at which a case is looked at: some at random, and those around each change.
fn minutes(opinion: &Opinion, random: &[usize]) -> Vec<usize> {
    let edge = |minute: &usize| opinion.open[*minute] != opinion.open[minute - 1];
    let edges = KNOWN.filter(edge).flat_map(|minute| [minute - 1, minute]);
    edges
        .chain(random.iter().copied())
        .filter(|minute| KNOWN.contains(minute))
        .collect()
}

/// Whether the module and the walk agree on the next change. Beyond the walk, both have none.
fn agree(walk: &Walk, answer: Option<Timestamp>, opinion: Option<usize>) -> bool {
    answer.and_then(|answer| walk.minute(answer)) == opinion
}

fn check_state(
    walk: &Walk,
    opinion: &Opinion,
    minute: usize,
    now: Timestamp,
    state: CalendarState,
) -> Result<(), TestCaseError> {
    match state {
        CalendarState::Open { until, .. } => {
            prop_assert!(opinion.open[minute], "open at {now}");
            prop_assert!(agree(walk, until, opinion.changes[minute]), "{now}: {state:?}");
        }
        CalendarState::Shut { blackout, opens_at, .. } => {
            prop_assert!(!opinion.open[minute], "shut at {now}");
            prop_assert_eq!(blackout, opinion.blackout[minute], "{}", now);
            prop_assert!(agree(walk, opens_at, opinion.changes[minute]), "{now}: {state:?}");
        }
    }
    // As long as the state is valid, nothing changes.
    let valid = state
        .valid_until()
        .and_then(|until| walk.minute(until))
        .unwrap_or(KNOWN.end);
    prop_assert!(state.valid_until().is_none_or(|until| until > now), "{now}: {state:?}");
    for later in minute..valid.min(KNOWN.end) {
        prop_assert_eq!(
            opinion.open[later],
            opinion.open[minute],
            "{} after {}",
            later - minute,
            now
        );
        prop_assert_eq!(
            opinion.blackout[later],
            opinion.blackout[minute],
            "{} after {}",
            later - minute,
            now
        );
    }
    Ok(())
}

fn check_openings(walk: &Walk, opinion: &Opinion, minute: usize, calendar: &Calendar) -> Result<(), TestCaseError> {
    let mut place = minute;
    for opening in calendar.openings(walk.instant(minute), 5) {
        if !opinion.open[place] {
            prop_assert!(agree(walk, Some(opening.start), opinion.changes[place]), "{opening:?}");
        } else {
            prop_assert_eq!(opening.start, walk.instant(place));
        }
        let Some(start) = walk.minute(opening.start).filter(|start| KNOWN.contains(start)) else {
            return Ok(());
        };
        prop_assert!(agree(walk, opening.end, opinion.changes[start]), "{opening:?}");
        match opening.end.and_then(|end| walk.minute(end)) {
            Some(end) => place = end,
            None => return Ok(()),
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_calendar_agrees_with_a_walk_of_the_clocks(
        date in 0..DATES.len(),
        windows in prop::collection::vec(window(), 0..4),
        blackouts in prop::collection::vec(blackout(), 0..4),
        random in prop::collection::vec((KNOWN, 0_i64..60), 20),
        margin in 0_i64..600,
    ) {
        let walk = &WALKS[date];
        let opinion = Opinion::new(walk, &windows, &blackouts);
        let calendar = calendar(walk, &windows, &blackouts);
        for minute in minutes(&opinion, &[]) {
            let now = walk.instant(minute);
            check_state(walk, &opinion, minute, now, calendar.state_at(now))?;
        }
        for (minute, seconds) in random {
            let now = walk.instant(minute) + SignedDuration::from_secs(seconds);
            check_state(walk, &opinion, minute, now, calendar.state_at(now))?;
            check_openings(walk, &opinion, minute, &calendar)?;
            let start = walk.instant(minute);
            let end = minute + usize::try_from(margin).unwrap();
            let fits = opinion.open[minute..=minute.max(end.saturating_sub(1))].iter().all(|open| *open);
            prop_assert_eq!(calendar.fits(start, SignedDuration::from_mins(margin)), fits, "{} minutes at {}", margin, start);
        }
    }
}
