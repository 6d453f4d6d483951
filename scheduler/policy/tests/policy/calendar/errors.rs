//! The text of each error: the field, the fault and the remedy.

use bellwether_policy::calendar::{Blackout, CalendarError, Cron, Field, Weekly};

fn days(text: &str) -> CalendarError {
    Weekly::parse(&[text], "1:00", "2:00", "UTC").unwrap_err()
}

fn start(text: &str) -> CalendarError {
    Weekly::parse(&["Mon"], text, "2:00", "UTC").unwrap_err()
}

fn end(text: &str) -> CalendarError {
    Weekly::parse(&["Mon"], "1:00", text, "UTC").unwrap_err()
}

fn zone(text: &str) -> CalendarError {
    Weekly::parse(&["Mon"], "1:00", "2:00", text).unwrap_err()
}

fn cron(text: &str) -> CalendarError {
    Cron::parse(text, "1h", "UTC").unwrap_err()
}

fn duration(text: &str) -> CalendarError {
    Cron::parse("0 2 * * *", text, "UTC").unwrap_err()
}

fn blackout(from: &str, to: &str) -> CalendarError {
    Blackout::parse(from, to, "UTC", "").unwrap_err()
}

fn reads(error: &CalendarError, field: Field, text: &str) {
    assert_eq!(error.to_string(), text);
    assert_eq!(error.field(), field);
    assert!(text.starts_with(&format!("{field}: ")), "{text}");
}

#[test]
fn an_unknown_zone() {
    for name in ["Europe/Atlantis", "", "+02:00", "Etc/Unknown"] {
        let text =
            format!("timeZone: no time zone is called `{name}`: write an IANA name such as Europe/Berlin, or UTC");
        reads(&zone(name), Field::TimeZone, &text);
    }
    let text = "timeZone: no time zone is called `x`: write an IANA name such as Europe/Berlin, or UTC";
    reads(&Cron::parse("0 2 * * *", "1h", "x").unwrap_err(), Field::TimeZone, text);
    reads(
        &Blackout::parse("2026-01-01", "2026-01-01", "x", "").unwrap_err(),
        Field::TimeZone,
        text,
    );
}

#[test]
fn the_zone_of_the_host() {
    for name in ["Local", "local", "system"] {
        let text = format!(
            "timeZone: `{name}` is the zone of a host, and each replica of the scheduler may have another: write an \
             IANA name such as Europe/Berlin, or UTC"
        );
        reads(&zone(name), Field::TimeZone, &text);
    }
}

#[test]
fn a_bad_time() {
    reads(
        &end("24:00"),
        Field::End,
        "end: `24:00` is no time of day: write 00:00; an end that is not after the start is on the next day",
    );
    for text in [
        "5pm",
        "17",
        "17:0",
        "017:00",
        "25:00",
        "12:60",
        "+1:00",
        " 1:00",
        "1:00:00:00",
        "12:00:60",
        "",
    ] {
        let expected =
            format!("start: `{text}` is no time of day: write hours and minutes of a 24-hour clock, such as 17:00");
        reads(&start(text), Field::Start, &expected);
    }
}

#[test]
fn a_bad_weekday() {
    for (text, part) in [
        ("Mo", "Mo"),
        ("Mon,Someday", "Someday"),
        ("Mon-", "Mon-"),
        ("1-5", "1-5"),
        ("Mon,", ""),
    ] {
        let expected = format!("days: `{part}` is no weekday: write Mon or Monday, or a range such as Mon-Fri");
        reads(&days(text), Field::Days, &expected);
    }
}

#[test]
fn no_day() {
    let none: [&str; 0] = [];
    reads(
        &Weekly::parse(&none, "1:00", "2:00", "UTC").unwrap_err(),
        Field::Days,
        "days: no weekday is listed, so the window would never open: list at least one, such as Sat",
    );
}

#[test]
fn a_cron_fault_has_its_position() {
    for (expression, fault) in [
        ("60 2 * * *", "position 1: `60` is no minute: write 0 to 59"),
        ("0 24 * * *", "position 3: `24` is no hour: write 0 to 23"),
        ("0 2 0 * *", "position 5: `0` is no day of month: write 1 to 31"),
        ("0 2 1,32 * *", "position 7: `32` is no day of month: write 1 to 31"),
        (
            "0 2 * 13 *",
            "position 7: `13` is no month: write 1 to 12, or JAN to DEC",
        ),
        (
            "0  2 * JAN-FOO *",
            "position 12: `FOO` is no month: write 1 to 12, or JAN to DEC",
        ),
        (
            "0 2 * * 8",
            "position 9: `8` is no weekday: write 0 to 7, or SUN to SAT",
        ),
        (
            "0 2 * * SATURDAY",
            "position 9: `SATURDAY` is no weekday: write 0 to 7, or SUN to SAT",
        ),
        ("0 2 * * SAT#6", "position 13: `6` is no number after #: write 1 to 5"),
        (
            "0 2 * * L",
            "position 9: name the weekday of which the last is meant, such as `FRIL`",
        ),
        ("0 2 ? * *", "position 5: write `*` instead of `?`"),
        ("0 2 15W * *", "position 5: `15W` is no day of month: write 1 to 31"),
        ("H 2 * * *", "position 1: `H` is no minute: write 0 to 59"),
        (
            "0 5-2 * * *",
            "position 3: the range `5-2` runs backwards: write two ranges with a comma",
        ),
        ("*/0 2 * * *", "position 3: the step `0` has to be 1 to 59"),
        ("*/60 2 * * *", "position 3: the step `60` has to be 1 to 59"),
        ("0, 2 * * *", "position 3: `` is no minute: write 0 to 59"),
        (
            "0 2 * *",
            "position 8: 4 of five fields: write minute, hour, day of month, month, weekday",
        ),
        (
            "",
            "position 1: 0 of five fields: write minute, hour, day of month, month, weekday",
        ),
        (
            "@daily",
            "position 1: `@daily` is a shorthand: write five fields, such as `0 2 * * *`",
        ),
        ("0 2 * * ö", "position 9: write letters, digits and `* , - / #` only"),
    ] {
        let text = format!("cron: `{expression}`, {fault}");
        reads(&cron(expression), Field::Cron, &text);
    }
}

#[test]
fn seconds_and_zones_in_a_cron() {
    for (expression, fault) in [
        (
            "0 0 2 * * SAT",
            "position 11: more than five fields: leave out seconds and years, and write minute, hour, day of month, \
             month, weekday",
        ),
        (
            "CRON_TZ=Europe/Berlin 0 2 * * *",
            "position 1: an expression has no time zone: write the zone into timeZone",
        ),
        (
            "0 2 * * * Europe/Atlantis",
            "position 11: an expression has no time zone: write the zone into timeZone",
        ),
        (
            "0 2 * * * UTC",
            "position 11: an expression has no time zone: write the zone into timeZone",
        ),
        (
            "0 2 * * * Local",
            "position 11: an expression has no time zone: write the zone into timeZone",
        ),
    ] {
        reads(
            &cron(expression),
            Field::Cron,
            &format!("cron: `{expression}`, {fault}"),
        );
    }
}

#[test]
fn a_cron_that_is_too_long() {
    let expression = format!("{}0 2 * * *", "0,".repeat(300));
    let text = format!("cron: `{expression}`, position 500: longer than 500 characters: use ranges and steps");
    reads(&cron(&expression), Field::Cron, &text);
}

#[test]
fn a_cron_that_never_fires() {
    for expression in ["0 2 30 2 *", "0 2 31 4,6,9,11 *"] {
        let text = format!("cron: `{expression}` never fires: choose a day of month that the months have");
        reads(&cron(expression), Field::Cron, &text);
    }
}

#[test]
fn a_bad_duration() {
    for text in ["4 apples", "4", ""] {
        let expected = format!("duration: `{text}` is no duration: write hours and minutes such as 4h or 1h30m");
        reads(&duration(text), Field::Duration, &expected);
    }
    for text in ["0s", "-4h"] {
        reads(
            &duration(text),
            Field::Duration,
            "duration: not above zero, so the window would never open: write a duration such as 4h",
        );
    }
    reads(
        &duration("168h1s"),
        Field::Duration,
        "duration: 168h 1s is longer than 168h: write a shorter one, or leave the windows out",
    );
}

#[test]
fn a_bad_date() {
    for text in [
        "20.12.2026",
        "2026-02-29",
        "2026-12-20T24:00",
        "2026-12-20T18:00Z",
        "2026-12-20T18:00+01:00",
        "26-12-20",
    ] {
        let remedy = "write a date such as 2026-12-20, or a date and time such as 2026-12-20T18:00, without a zone";
        reads(
            &blackout(text, "2027-01-01"),
            Field::From,
            &format!("from: `{text}` is no date: {remedy}"),
        );
        reads(
            &blackout("2026-01-01", text),
            Field::To,
            &format!("to: `{text}` is no date: {remedy}"),
        );
    }
}

#[test]
fn a_reversed_blackout() {
    for (from, to, text) in [
        (
            "2027-01-06",
            "2026-12-20",
            "to: 2026-12-20 is not after from, 2027-01-06: exchange the two, or correct the year",
        ),
        (
            "2026-12-20T18:00",
            "2026-12-20T18:00",
            "to: 2026-12-20 18:00 is not after from, 2026-12-20 18:00: exchange the two, or correct the year",
        ),
    ] {
        reads(&blackout(from, to), Field::To, text);
    }
    assert!(
        Blackout::parse("2026-12-20", "2026-12-20", "UTC", "").is_ok(),
        "one day"
    );
}
