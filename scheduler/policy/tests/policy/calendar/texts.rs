//! Descriptions of windows and blackouts, and the forms of days and times.

use bellwether_policy::calendar::{Blackout, Weekdays, parse_zone};
use jiff::civil::Weekday;

use super::{cron, weekly};

#[test]
fn a_window_describes_itself() {
    for (window, text) in [
        (
            weekly("Mon-Fri", "22:00", "4:00", "europe/berlin"),
            "Mon-Fri 22:00 to 04:00 of the next day, Europe/Berlin",
        ),
        (
            weekly("Sat,Sun", "08:00", "12:30:15", "UTC"),
            "Sat,Sun 08:00 to 12:30:15, UTC",
        ),
        (
            weekly("mon-sun", "00:00", "00:00", "utc"),
            "every day 00:00 to 00:00 of the next day, UTC",
        ),
        (
            cron("0 2 * * SAT#2", "4h", "UTC"),
            "at cron `0 2 * * SAT#2` for 4h, UTC",
        ),
        (
            cron("0 2 L * *", "90m", "Australia/Lord_Howe"),
            "at cron `0 2 L * *` for 1h 30m, Australia/Lord_Howe",
        ),
    ] {
        assert_eq!(window.to_string(), text);
    }
}

#[test]
fn a_blackout_describes_itself() {
    let text = |from, to, reason| Blackout::parse(from, to, "Europe/Berlin", reason).unwrap().to_string();
    assert_eq!(
        text("2026-12-20", "2027-01-06", "end of year"),
        "2026-12-20 to 2027-01-06 inclusive, Europe/Berlin: end of year"
    );
    assert_eq!(
        text("2026-12-20T18:00", "2026-12-20 20:00:30", ""),
        "2026-12-20 18:00 to 2026-12-20 20:00:30, Europe/Berlin"
    );
}

#[test]
fn days_are_written_in_many_forms_and_described_in_one() {
    for (days, text) in [
        ("Mon", "Mon"),
        ("monday", "Mon"),
        ("SUN", "Sun"),
        ("Mon-Fri", "Mon-Fri"),
        ("Fri-Mon", "Fri-Mon"),
        ("Friday - Monday", "Fri-Mon"),
        ("Tue-Tue", "Tue"),
        ("Tue-Mon", "every day"),
        ("Mon, Wed,Thu ,Sat-Sun", "Wed,Thu,Sat-Mon"),
        ("Tue,Sun", "Tue,Sun"),
    ] {
        assert_eq!(days.parse::<Weekdays>().unwrap().to_string(), text, "{days}");
    }
    let listed = Weekdays::parse(&["Mon-Wed", "Sat"]).unwrap();
    let days = [Weekday::Monday, Weekday::Tuesday, Weekday::Wednesday, Weekday::Saturday];
    assert_eq!(listed, days.into_iter().collect());
    assert!(listed.contains(Weekday::Tuesday) && !listed.contains(Weekday::Sunday));
}

#[test]
fn a_zone_has_one_spelling() {
    assert_eq!(
        parse_zone("america/new_york").unwrap().iana_name(),
        Some("America/New_York")
    );
    assert_eq!(parse_zone("UTC").unwrap().iana_name(), Some("UTC"));
}
