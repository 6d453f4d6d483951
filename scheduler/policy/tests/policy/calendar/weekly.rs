//! Weekly windows on named days: nights, daylight-saving days, and the day that Samoa skipped.

use super::{at, is_open, open_in, openings, opens_at, until, weekly};

#[test]
fn an_overnight_window_belongs_to_the_day_on_which_it_starts() {
    let calendar = open_in([weekly("Fri", "22:00", "04:00", "UTC")]);
    // 2026-05-08 is a Friday.
    assert!(!is_open(&calendar, "2026-05-08T03:00:00Z"), "early on Friday");
    assert!(!is_open(&calendar, "2026-05-08T21:59:59Z"));
    assert!(is_open(&calendar, "2026-05-08T22:00:00Z"), "late on Friday");
    assert!(is_open(&calendar, "2026-05-09T03:59:59Z"), "early on Saturday");
    assert!(!is_open(&calendar, "2026-05-09T04:00:00Z"), "the end is exclusive");
    assert!(!is_open(&calendar, "2026-05-09T23:00:00Z"), "late on Saturday");
}

#[test]
fn a_window_within_a_day_opens_on_its_days_only() {
    let calendar = open_in([weekly("Mon-Fri", "9:00", "17:00:30", "UTC")]);
    assert_eq!(
        openings(&calendar, "2026-05-07T12:00:00Z", 3),
        [
            "2026-05-07T12:00:00Z 2026-05-07T17:00:30Z",
            "2026-05-08T09:00:00Z 2026-05-08T17:00:30Z",
            "2026-05-11T09:00:00Z 2026-05-11T17:00:30Z",
        ]
    );
}

#[test]
fn equal_times_are_a_day_by_the_clock() {
    let calendar = open_in([weekly("Sat", "20:00", "20:00", "Europe/Berlin")]);
    // The night to 2026-03-29 is an hour shorter, and that to 2026-10-25 an hour longer.
    assert_eq!(
        openings(&calendar, "2026-03-26T00:00:00Z", 1),
        ["2026-03-28T19:00:00Z 2026-03-29T18:00:00Z"]
    );
    assert_eq!(
        openings(&calendar, "2026-10-22T00:00:00Z", 1),
        ["2026-10-24T18:00:00Z 2026-10-25T19:00:00Z"]
    );
}

#[test]
fn a_window_of_all_days_with_equal_times_never_shuts() {
    let calendar = open_in([weekly("Mon-Sun", "00:00", "00:00", "Europe/Berlin")]);
    assert_eq!(until(&calendar, "2026-03-20T12:34:56Z"), None);
}

#[test]
fn midnight_as_the_end_is_that_after_the_day() {
    let calendar = open_in([weekly("Sun", "22:00", "00:00", "UTC")]);
    assert_eq!(
        openings(&calendar, "2026-05-08T00:00:00Z", 1),
        ["2026-05-10T22:00:00Z 2026-05-11T00:00:00Z"]
    );
}

/// The openings around a daylight-saving day, one for each window of this table.
fn around(zone: &str, from: &str, windows: &[(&str, &str, &str)]) {
    for (start, end, expected) in windows {
        let calendar = open_in([weekly("Sun", start, end, zone)]);
        let found = openings(&calendar, from, 1);
        assert_eq!(found, [*expected], "{zone} {start} to {end}");
    }
}

#[test]
fn in_spring_a_window_opens_and_shuts_at_the_end_of_the_gap() {
    // 02:00 becomes 03:00 at 01:00 in universal time.
    around(
        "Europe/Berlin",
        "2026-03-28T12:00:00Z",
        &[
            ("01:00", "04:00", "2026-03-29T00:00:00Z 2026-03-29T02:00:00Z"),
            ("02:30", "04:00", "2026-03-29T01:00:00Z 2026-03-29T02:00:00Z"),
            ("01:30", "02:30", "2026-03-29T00:30:00Z 2026-03-29T01:00:00Z"),
            // Empty on that day: the next is a week later.
            ("02:00", "03:00", "2026-04-05T00:00:00Z 2026-04-05T01:00:00Z"),
            ("02:15", "02:45", "2026-04-05T00:15:00Z 2026-04-05T00:45:00Z"),
        ],
    );
    // 02:00 becomes 03:00 at 07:00 in universal time.
    around(
        "America/New_York",
        "2026-03-08T00:00:00Z",
        &[
            ("02:30", "05:00", "2026-03-08T07:00:00Z 2026-03-08T09:00:00Z"),
            ("01:30", "02:30", "2026-03-08T06:30:00Z 2026-03-08T07:00:00Z"),
        ],
    );
    // 02:00 becomes 02:30 at 15:30 in universal time.
    around(
        "Australia/Lord_Howe",
        "2026-10-03T12:00:00Z",
        &[
            ("02:15", "03:00", "2026-10-03T15:30:00Z 2026-10-03T16:00:00Z"),
            ("02:30", "03:00", "2026-10-03T15:30:00Z 2026-10-03T16:00:00Z"),
            ("01:45", "02:15", "2026-10-03T15:15:00Z 2026-10-03T15:30:00Z"),
        ],
    );
}

#[test]
fn in_autumn_a_window_opens_and_shuts_at_the_first_of_both_times() {
    // 03:00 becomes 02:00 at 01:00 in universal time.
    around(
        "Europe/Berlin",
        "2026-10-24T12:00:00Z",
        &[
            ("01:00", "04:00", "2026-10-24T23:00:00Z 2026-10-25T03:00:00Z"),
            ("02:30", "04:00", "2026-10-25T00:30:00Z 2026-10-25T03:00:00Z"),
            ("01:30", "02:30", "2026-10-24T23:30:00Z 2026-10-25T00:30:00Z"),
            ("02:15", "02:45", "2026-10-25T00:15:00Z 2026-10-25T00:45:00Z"),
            ("02:00", "03:00", "2026-10-25T00:00:00Z 2026-10-25T02:00:00Z"),
        ],
    );
    // 02:00 becomes 01:00 at 06:00 in universal time.
    around(
        "America/New_York",
        "2026-11-01T00:00:00Z",
        &[
            ("01:30", "05:00", "2026-11-01T05:30:00Z 2026-11-01T10:00:00Z"),
            ("00:30", "01:30", "2026-11-01T04:30:00Z 2026-11-01T05:30:00Z"),
        ],
    );
    // 02:00 becomes 01:30 at 15:00 in universal time.
    around(
        "Australia/Lord_Howe",
        "2026-04-04T12:00:00Z",
        &[
            ("01:45", "03:00", "2026-04-04T14:45:00Z 2026-04-04T16:30:00Z"),
            ("01:00", "01:45", "2026-04-04T14:00:00Z 2026-04-04T14:45:00Z"),
            ("01:30", "02:00", "2026-04-04T14:30:00Z 2026-04-04T15:30:00Z"),
        ],
    );
}

#[test]
fn a_window_does_not_open_twice_in_one_night() {
    let calendar = open_in([weekly("Sun", "02:15", "02:45", "Europe/Berlin")]);
    assert_eq!(
        openings(&calendar, "2026-10-24T12:00:00Z", 2),
        [
            "2026-10-25T00:15:00Z 2026-10-25T00:45:00Z",
            "2026-11-01T01:15:00Z 2026-11-01T01:45:00Z",
        ]
    );
}

#[test]
fn a_gap_up_to_midnight_opens_the_window_on_the_next_date() {
    // In Nuuk, Saturday 23:00 becomes Sunday 00:00.
    let calendar = open_in([weekly("Sat", "23:30", "04:00", "America/Nuuk")]);
    assert_eq!(
        openings(&calendar, "2026-03-28T00:00:00Z", 1),
        ["2026-03-29T01:00:00Z 2026-03-29T05:00:00Z"]
    );
}

#[test]
fn the_friday_that_samoa_skipped_has_no_opening() {
    // After Thursday, 2011-12-29, came Saturday at 10:00 in universal time.
    let night = open_in([weekly("Fri", "22:00", "04:00", "Pacific/Apia")]);
    assert_eq!(
        opens_at(&night, "2011-12-29T12:00:00Z"),
        Some(at("2012-01-06T08:00:00Z"))
    );
    let before = open_in([weekly("Thu", "22:00", "04:00", "Pacific/Apia")]);
    assert_eq!(
        openings(&before, "2011-12-29T12:00:00Z", 1),
        ["2011-12-30T08:00:00Z 2011-12-30T10:00:00Z"],
        "the night of Thursday ends with the date"
    );
    let after = open_in([weekly("Sat", "00:00", "04:00", "Pacific/Apia")]);
    assert_eq!(
        opens_at(&after, "2011-12-29T12:00:00Z"),
        Some(at("2011-12-30T10:00:00Z"))
    );
}

#[test]
fn the_leap_day_is_a_day() {
    let calendar = open_in([weekly("Thu", "01:00", "02:00", "UTC")]);
    assert!(is_open(&calendar, "2024-02-29T01:30:00Z"));
    let night = open_in([weekly("Wed", "23:00", "01:00", "UTC")]);
    assert!(is_open(&night, "2024-02-29T00:30:00Z"));
}
