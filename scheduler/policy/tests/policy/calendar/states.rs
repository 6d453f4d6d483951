//! States, margins and openings: unions, blackouts and limits on named days.

use bellwether_policy::calendar::{Calendar, CalendarState, Window};
use jiff::SignedDuration;

use super::{at, blackout, cron, is_open, open_in, openings, opens_at, until, weekly};

fn night() -> Window {
    weekly("Mon-Sun", "22:00", "04:00", "UTC")
}

#[test]
fn without_windows_the_calendar_is_always_open() {
    let state = Calendar::default().state_at(at("2026-05-08T12:00:00Z"));
    assert_eq!(
        state,
        CalendarState::Open {
            until: None,
            valid_until: None
        }
    );
    assert!(state.fits(at("2026-05-08T12:00:00Z"), SignedDuration::from_hours(1000)));
    assert_eq!(
        openings(&Calendar::default(), "2026-05-08T12:00:00Z", 5),
        ["2026-05-08T12:00:00Z -"]
    );
}

#[test]
fn without_windows_a_blackout_is_the_only_shut_time() {
    let calendar = Calendar::new(vec![], vec![blackout("2027-12-20", "2028-01-02", "UTC")]);
    assert_eq!(
        calendar.state_at(at("2026-05-08T12:00:00Z")),
        CalendarState::Open {
            until: Some(at("2027-12-20T00:00:00Z")),
            valid_until: Some(at("2027-12-20T00:00:00Z")),
        }
    );
    assert_eq!(
        calendar.state_at(at("2027-12-20T00:00:00Z")),
        CalendarState::Shut {
            blackout: Some(0),
            opens_at: Some(at("2028-01-03T00:00:00Z")),
            valid_until: Some(at("2028-01-03T00:00:00Z")),
        }
    );
    assert_eq!(
        openings(&calendar, "2027-12-19T00:00:00Z", 5),
        ["2027-12-19T00:00:00Z 2027-12-20T00:00:00Z", "2028-01-03T00:00:00Z -"]
    );
}

#[test]
fn windows_that_overlap_or_touch_are_one_opening() {
    let calendar = open_in([
        weekly("Fri", "22:00", "02:00", "UTC"),
        weekly("Sat", "02:00", "04:00", "UTC"),
        cron("30 3 * * SAT", "90m", "UTC"),
    ]);
    assert_eq!(
        until(&calendar, "2026-05-08T22:00:00Z"),
        Some(at("2026-05-09T05:00:00Z"))
    );
}

#[test]
fn a_blackout_cuts_an_opening_and_the_next_one_begins_after() {
    let calendar = Calendar::new(
        vec![night()],
        vec![
            blackout("2026-05-08T23:00", "2026-05-09T01:00", "UTC"),
            blackout("2026-05-09T02:00", "2026-05-10", "UTC"),
        ],
    );
    assert_eq!(
        openings(&calendar, "2026-05-08T12:00:00Z", 3),
        [
            "2026-05-08T22:00:00Z 2026-05-08T23:00:00Z",
            "2026-05-09T01:00:00Z 2026-05-09T02:00:00Z",
            "2026-05-11T00:00:00Z 2026-05-11T04:00:00Z",
        ]
    );
}

#[test]
fn a_shut_state_changes_with_its_blackout() {
    let calendar = Calendar::new(
        vec![night()],
        vec![blackout("2026-05-08T10:00", "2026-05-08T12:00", "UTC")],
    );
    let opens_at = Some(at("2026-05-08T22:00:00Z"));
    let shut = |blackout, valid_until| CalendarState::Shut {
        blackout,
        opens_at,
        valid_until: Some(at(valid_until)),
    };
    assert_eq!(
        calendar.state_at(at("2026-05-08T09:00:00Z")),
        shut(None, "2026-05-08T10:00:00Z")
    );
    assert_eq!(
        calendar.state_at(at("2026-05-08T10:00:00Z")),
        shut(Some(0), "2026-05-08T12:00:00Z")
    );
    assert_eq!(
        calendar.state_at(at("2026-05-08T12:00:00Z")),
        shut(None, "2026-05-08T22:00:00Z")
    );
}

#[test]
fn of_blackouts_that_overlap_the_first_in_the_list_is_named() {
    let calendar = Calendar::new(
        vec![],
        vec![
            blackout("2026-05-03", "2026-05-04", "UTC"),
            blackout("2026-05-01", "2026-05-09", "UTC"),
        ],
    );
    let named = |now: &str| match calendar.state_at(at(now)) {
        CalendarState::Shut {
            blackout, valid_until, ..
        } => (blackout, valid_until),
        open @ CalendarState::Open { .. } => panic!("{open:?}"),
    };
    assert_eq!(
        named("2026-05-02T00:00:00Z"),
        (Some(1), Some(at("2026-05-03T00:00:00Z")))
    );
    assert_eq!(
        named("2026-05-03T00:00:00Z"),
        (Some(0), Some(at("2026-05-05T00:00:00Z")))
    );
    assert_eq!(
        named("2026-05-05T00:00:00Z"),
        (Some(1), Some(at("2026-05-10T00:00:00Z")))
    );
}

#[test]
fn a_blackout_ends_at_the_second_of_both_times() {
    let calendar = Calendar::new(
        vec![],
        vec![blackout("2026-10-25T02:15", "2026-10-25T02:30", "Europe/Berlin")],
    );
    assert!(is_open(&calendar, "2026-10-25T00:14:59Z"));
    assert_eq!(
        opens_at(&calendar, "2026-10-25T00:15:00Z"),
        Some(at("2026-10-25T01:30:00Z"))
    );
}

#[test]
fn a_blackout_in_a_gap_covers_nothing() {
    let gap = blackout("2026-03-29T02:15", "2026-03-29T02:45", "Europe/Berlin");
    assert_eq!(gap.start(), gap.end());
    let calendar = Calendar::new(vec![], vec![gap]);
    assert_eq!(until(&calendar, "2026-03-29T00:59:00Z"), None);
}

#[test]
fn a_drain_fits_if_it_can_end_with_the_opening() {
    let calendar = open_in([night()]);
    let fits = |now, minutes| calendar.fits(at(now), SignedDuration::from_mins(minutes));
    assert!(fits("2026-05-08T22:00:00Z", 360));
    assert!(!fits("2026-05-08T22:00:00Z", 361));
    assert!(!fits("2026-05-08T22:00:01Z", 360));
    assert!(fits("2026-05-09T03:59:59Z", 0));
    assert!(fits("2026-05-09T03:59:59Z", -5), "a margin below zero is none");
    assert!(!fits("2026-05-09T04:00:00Z", 0), "shut");
    assert!(!calendar.fits(at("2026-05-08T22:00:00Z"), SignedDuration::MAX));
}

#[test]
fn an_opening_of_more_than_60_days_has_no_end() {
    let all_days = || weekly("Mon-Sun", "00:00", "00:00", "UTC");
    let to = |end: &str| Calendar::new(vec![all_days()], vec![blackout(end, "2030-12-31", "UTC")]);
    let now = "2026-01-01T00:00:00Z";
    assert_eq!(
        until(&to("2026-03-02"), now),
        Some(at("2026-03-02T00:00:00Z")),
        "60 days"
    );
    assert_eq!(until(&to("2026-03-03"), now), None);
    assert_eq!(
        to("2026-03-03").state_at(at(now)).valid_until(),
        Some(at("2026-01-31T00:00:00Z")),
        "an answer that rests on a limit is valid for 30 days"
    );
}

#[test]
fn no_opening_within_ten_years_is_none() {
    let until = |end: &str| Calendar::new(vec![night()], vec![blackout("2026-01-01", end, "UTC")]);
    let now = "2026-05-08T00:00:00Z";
    assert_eq!(opens_at(&until("2036-05-01"), now), Some(at("2036-05-02T00:00:00Z")));
    assert_eq!(
        until("2036-05-31").state_at(at(now)),
        CalendarState::Shut {
            blackout: Some(0),
            opens_at: None,
            valid_until: Some(at("2026-06-07T00:00:00Z")),
        }
    );
    assert!(openings(&until("2036-05-31"), now, 5).is_empty());
}

#[test]
fn the_longest_opening_of_the_year_is_found() {
    let calendar = Calendar::new(
        vec![
            weekly("Mon-Sun", "02:00", "04:00", "UTC"),
            cron("0 1 L 2 *", "5h", "UTC"),
        ],
        vec![blackout("2027-02-28", "2027-02-28", "UTC")],
    );
    let longest = |from: &str| calendar.longest_opening(at(from)).unwrap();
    let of_leap_day = longest("2028-02-01T00:00:00Z");
    assert_eq!(of_leap_day.start, at("2028-02-29T01:00:00Z"));
    assert_eq!(of_leap_day.duration(), Some(SignedDuration::from_hours(5)));
    let without = longest("2026-05-08T03:00:00Z");
    assert_eq!(without.start, at("2026-05-09T02:00:00Z"), "the first of several");
    assert_eq!(without.duration(), Some(SignedDuration::from_hours(2)));
}

#[test]
fn the_longest_opening_may_have_no_end_or_not_exist() {
    let from = at("2026-05-08T00:00:00Z");
    assert_eq!(
        Calendar::default().longest_opening(from).map(|longest| longest.end),
        Some(None)
    );
    let never = Calendar::new(vec![night()], vec![blackout("2026-01-01", "2029-12-31", "UTC")]);
    assert_eq!(never.longest_opening(from), None);
}

#[test]
fn the_ends_of_time_are_no_fault() {
    let calendar = Calendar::new(
        vec![night(), cron("0 2 * * *", "168h", "Pacific/Apia")],
        vec![blackout("9999-12-30", "9999-12-31", "Pacific/Apia")],
    );
    for now in [jiff::Timestamp::MIN, jiff::Timestamp::MAX] {
        let state = calendar.state_at(now);
        assert!(state.valid_until().is_none_or(|until| until >= now), "{state:?}");
        assert!(calendar.openings(now, 3).len() <= 3);
        assert!(calendar.longest_opening(now).is_none_or(|longest| longest.start >= now));
    }
}
