//! Cron windows on named days.

use super::{at, cron, is_open, open_in, openings, opens_at, until};

/// The starts of the next openings in universal time, to the minute.
fn starts(expression: &str, zone: &str, from: &str, count: usize) -> Vec<String> {
    let calendar = open_in([cron(expression, "1m", zone)]);
    let openings = calendar.openings(at(from), count);
    openings
        .iter()
        .map(|opening| opening.start.strftime("%Y-%m-%d %H:%M").to_string())
        .collect()
}

#[test]
fn the_second_saturday_opens_once_a_month() {
    let calendar = open_in([cron("0 2 * * SAT#2", "4h", "UTC")]);
    assert_eq!(
        openings(&calendar, "2026-05-01T00:00:00Z", 3),
        [
            "2026-05-09T02:00:00Z 2026-05-09T06:00:00Z",
            "2026-06-13T02:00:00Z 2026-06-13T06:00:00Z",
            "2026-07-11T02:00:00Z 2026-07-11T06:00:00Z",
        ]
    );
    assert!(is_open(&calendar, "2026-05-09T05:59:59Z"));
    assert!(!is_open(&calendar, "2026-05-09T06:00:00Z"));
    assert!(!is_open(&calendar, "2026-05-16T03:00:00Z"), "the third Saturday");
}

#[test]
fn last_days_exist_in_each_month_also_in_december() {
    assert_eq!(
        starts("0 3 L * *", "UTC", "2027-11-01T00:00:00Z", 4),
        [
            "2027-11-30 03:00",
            "2027-12-31 03:00",
            "2028-01-31 03:00",
            "2028-02-29 03:00"
        ]
    );
    assert_eq!(
        starts("0 3 * * FRIL", "UTC", "2026-11-01T00:00:00Z", 3),
        ["2026-11-27 03:00", "2026-12-25 03:00", "2027-01-29 03:00"]
    );
    assert_eq!(
        starts("0 3 L 12 *", "UTC", "2026-01-01T00:00:00Z", 1),
        ["2026-12-31 03:00"]
    );
}

#[test]
fn the_leap_day_is_found_eight_years_ahead() {
    assert_eq!(
        starts("0 0 29 2 *", "UTC", "2096-03-01T00:00:00Z", 1),
        ["2104-02-29 00:00"],
        "2100 is no leap year"
    );
}

#[test]
fn a_window_more_than_ten_years_ahead_is_none() {
    // Sunday, 29 February: 2032 and 2060.
    let calendar = open_in([cron("0 0 29 2 */7", "1h", "UTC")]);
    assert_eq!(
        opens_at(&calendar, "2026-01-01T00:00:00Z"),
        Some(at("2032-02-29T00:00:00Z"))
    );
    assert_eq!(opens_at(&calendar, "2033-01-01T00:00:00Z"), None);
}

#[test]
fn values_ranges_steps_and_names_match() {
    let of = |expression| starts(expression, "UTC", "2026-05-08T00:00:00Z", 4);
    assert_eq!(
        of("15,45 3-4 * * *"),
        [
            "2026-05-08 03:15",
            "2026-05-08 03:45",
            "2026-05-08 04:15",
            "2026-05-08 04:45"
        ]
    );
    assert_eq!(
        of("*/20 9-17/8 * * *"),
        [
            "2026-05-08 09:00",
            "2026-05-08 09:20",
            "2026-05-08 09:40",
            "2026-05-08 17:00"
        ]
    );
    assert_eq!(
        of("50/5 0 1 jan-MAR *"),
        [
            "2027-01-01 00:50",
            "2027-01-01 00:55",
            "2027-02-01 00:50",
            "2027-02-01 00:55"
        ]
    );
    let sundays = [
        "2026-05-10 00:00",
        "2026-05-17 00:00",
        "2026-05-24 00:00",
        "2026-05-31 00:00",
    ];
    for sunday in [
        "0 0 * * 0",
        "0 0 * * 7",
        "0 0 * * sun",
        "0 0 * * */7",
        "  0\t0 *  * SUN-SUN ",
    ] {
        assert_eq!(of(sunday), sundays, "{sunday}");
    }
    let weekend = starts("0 0 * * FRI-SUN", "UTC", "2026-05-07T12:00:00Z", 4);
    assert_eq!(
        weekend,
        [
            "2026-05-08 00:00",
            "2026-05-09 00:00",
            "2026-05-10 00:00",
            "2026-05-15 00:00"
        ]
    );
}

#[test]
fn a_day_matches_either_day_field_unless_one_begins_with_a_star() {
    assert_eq!(
        starts("0 2 8-9 * SAT", "UTC", "2026-05-02T12:00:00Z", 4),
        [
            "2026-05-08 02:00",
            "2026-05-09 02:00",
            "2026-05-16 02:00",
            "2026-05-23 02:00"
        ]
    );
    assert_eq!(
        starts("0 2 */2 * SAT", "UTC", "2026-05-02T12:00:00Z", 2),
        ["2026-05-09 02:00", "2026-05-23 02:00"]
    );
}

#[test]
fn in_spring_a_window_opens_at_the_end_of_the_gap() {
    let calendar = open_in([cron("30 2 * * *", "4h", "Europe/Berlin")]);
    assert_eq!(
        openings(&calendar, "2026-03-28T12:00:00Z", 2),
        [
            "2026-03-29T01:00:00Z 2026-03-29T05:00:00Z",
            "2026-03-30T00:30:00Z 2026-03-30T04:30:00Z",
        ]
    );
    let lord_howe = starts("15 2 * * *", "Australia/Lord_Howe", "2026-10-03T12:00:00Z", 2);
    assert_eq!(lord_howe, ["2026-10-03 15:30", "2026-10-04 15:15"]);
}

#[test]
fn in_autumn_a_window_opens_at_the_first_of_both_times_only() {
    let calendar = open_in([cron("30 2 * * *", "1h", "Europe/Berlin")]);
    assert_eq!(
        openings(&calendar, "2026-10-24T12:00:00Z", 2),
        [
            "2026-10-25T00:30:00Z 2026-10-25T01:30:00Z",
            "2026-10-26T01:30:00Z 2026-10-26T02:30:00Z",
        ]
    );
    let lord_howe = starts("0 3 * * *", "Australia/Lord_Howe", "2026-04-03T17:00:00Z", 2);
    assert_eq!(lord_howe, ["2026-04-04 16:30", "2026-04-05 16:30"]);
}

#[test]
fn a_window_that_opens_each_minute_pauses_for_the_repeated_hour() {
    let calendar = open_in([cron("* * * * *", "1m", "Europe/Berlin")]);
    assert_eq!(
        until(&calendar, "2026-10-24T12:00:00Z"),
        Some(at("2026-10-25T01:00:00Z"))
    );
    assert_eq!(
        opens_at(&calendar, "2026-10-25T01:00:00Z"),
        Some(at("2026-10-25T02:00:00Z"))
    );
    assert_eq!(
        until(&calendar, "2026-10-25T02:00:00Z"),
        None,
        "no change within 60 days"
    );
}

#[test]
fn the_day_that_samoa_skipped_has_no_opening() {
    assert_eq!(
        starts("0 22 * * *", "Pacific/Apia", "2011-12-29T12:00:00Z", 2),
        ["2011-12-30 08:00", "2011-12-31 08:00"],
        "22:00 on Thursday, and on Saturday"
    );
    assert_eq!(
        starts("0 12 30 12 *", "Pacific/Apia", "2011-12-29T12:00:00Z", 1),
        ["2012-12-29 22:00"]
    );
}

#[test]
fn openings_of_a_week_are_found_from_their_last_day() {
    let calendar = open_in([cron("0 0 1 * *", "168h", "UTC")]);
    assert_eq!(
        until(&calendar, "2026-05-07T23:59:59Z"),
        Some(at("2026-05-08T00:00:00Z"))
    );
    assert_eq!(
        opens_at(&calendar, "2026-05-08T00:00:00Z"),
        Some(at("2026-06-01T00:00:00Z"))
    );
}
