//! The translated windows are open when kured's window is: second by second around every edge of two weeks.

use bellwether_policy::{RebootPolicy, RebootPolicySpec};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};

use super::*;
use crate::kured::source::Arg;

fn source(args: &[&str]) -> Source {
    Source {
        args: args.iter().map(|arg| Arg::from(*arg)).collect(),
        ..Source::default()
    }
}

fn windows(args: &[&str]) -> Windows {
    let source = source(args);
    translate(&Settings::read(&source).unwrap(), &source).unwrap()
}

fn faults(args: &[&str]) -> Vec<String> {
    let source = source(args);
    let faults = translate(&Settings::read(&source).unwrap(), &source).unwrap_err();
    faults.iter().map(ToString::to_string).collect()
}

fn shown(windows: &[WindowSpec]) -> Vec<String> {
    let shown = |window: &WindowSpec| {
        let (start, end) = (window.start.as_deref().unwrap(), window.end.as_deref().unwrap());
        format!("{} {start}-{end} {}", window.days.join(","), window.time_zone)
    };
    windows.iter().map(shown).collect()
}

/// kured's own judgement of a moment, by its documentation: the weekday of the moment, and both ends inclusive to the
/// second; a window whose start is after its end wraps around midnight.
fn is_open_in_kured(days: &[Weekday], start: Time, last: Time, zone: &TimeZone, at: Timestamp) -> bool {
    let local = at.to_zoned(zone.clone());
    let time = local.time();
    let is_inside = if start <= last {
        start <= time && time <= last
    } else {
        start <= time || time <= last
    };
    days.contains(&local.weekday()) && is_inside
}

#[test]
fn the_policy_is_open_exactly_when_kured_is() {
    for (days, start, end, zone) in [
        ("mo,tu,we,th,fr", "9:00", "17:00", "UTC"),
        ("fr", "22:00", "04:00", "UTC"),
        ("mo,tu,we,th,fr", "21:00", "05:59:59", "Europe/Berlin"),
        ("su,mo,tu,we,th,fr,sa", "22:30", "04:15", "America/New_York"),
        ("sa,su", "0:00", "23:59:59", "Asia/Kolkata"),
        ("sa", "22:00", "0:00", "UTC"),
        ("tu", "12am", "12pm", "Australia/Sydney"),
        ("mo", "23:59:59", "23:59:58", "UTC"),
        ("su,mo,tu,we,th,fr,sa", "5:00", "04:59:59", "UTC"),
        ("su,mo,tu,we,th,fr,sa", "0:00", "23:59:59", "UTC"),
    ] {
        let args = [
            format!("--reboot-days={days}"),
            format!("--start-time={start}"),
            format!("--end-time={end}"),
            format!("--time-zone={zone}"),
        ];
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let found = windows(&args);
        let spec = RebootPolicySpec {
            windows: found.windows.clone(),
            blackouts: found.blackouts.clone(),
            ..RebootPolicySpec::default()
        };
        let policy = RebootPolicy::new("kured".into(), &spec);
        let calendar = policy.terms.unwrap().calendar;
        let weekdays: Vec<Weekday> = days.split(',').map(|day| weekday(day).unwrap()).collect();
        let (start, last) = (time_of_day::parse(start).unwrap(), time_of_day::parse(end).unwrap());
        let zone = TimeZone::get(zone).unwrap();
        // Two weeks without a daylight-saving day in these zones.
        let from: Timestamp = "2026-06-01T00:00:00Z".parse().unwrap();
        let edges = [
            Time::midnight(),
            Time::midnight() - 1.second(),
            start,
            last,
            Time::constant(12, 0, 0, 0),
        ];
        for day in 0..14 {
            let date = (from + (day * 24).hours()).to_zoned(zone.clone()).date();
            for (edge, second) in edges.iter().flat_map(|edge| (-2..=2).map(move |second| (edge, second))) {
                let at = date.to_datetime(*edge).to_zoned(zone.clone()).unwrap().timestamp() + second.seconds();
                let expected = is_open_in_kured(&weekdays, start, last, &zone, at);
                // The second of an end that is not a minute's last one.
                let is_last = at.to_zoned(zone.clone()).time() == last && last.second() != 59;
                let is_open = calendar.state_at(at).is_open();
                assert!(
                    is_open == expected || (is_last && !is_open),
                    "{args:?} at {at}: {is_open}"
                );
            }
        }
    }
}

#[test]
fn an_overnight_window_of_some_days_becomes_two_and_the_meant_one_is_kept() {
    let found = windows(&["--reboot-days=fr", "--start-time=22:00", "--end-time=04:00"]);
    assert_eq!(shown(&found.windows), ["Fri 00:00-04:00 UTC", "Fri 22:00-00:00 UTC"]);
    assert_eq!(shown(found.meant.as_slice()), ["Fri 22:00-04:00 UTC"]);
    assert!(
        found.notes[0].contains("by the weekday of the moment"),
        "{:?}",
        found.notes
    );
    let found = windows(&["--start-time=22:00", "--end-time=04:00"]);
    assert_eq!(shown(&found.windows), ["Mon-Sun 22:00-04:00 UTC"]);
    assert_eq!((found.meant, found.notes), (None, Vec::new()));
}

#[test]
fn without_limits_there_is_no_window_and_an_empty_list_of_days_never_opens() {
    assert_eq!(windows(&[]), Windows::default());
    for args in [&["--reboot-days="][..], &["--start-time=5:00", "--end-time=5:00"]] {
        let found = windows(args);
        assert_eq!((found.windows.len(), found.blackouts.len()), (0, 1), "{args:?}");
        assert!(found.notes[0].contains("never reboots a node"), "{:?}", found.notes);
    }
}

#[test]
fn the_zone_of_the_host_is_asked_for_and_that_of_the_image_is_utc() {
    let mut source = source(&["--time-zone=Local", "--reboot-days=mo"]);
    let settings = Settings::read(&source).unwrap();
    assert_eq!(
        shown(&translate(&settings, &source).unwrap().windows),
        ["Mon 00:00-00:00 UTC"]
    );
    source.mounts = vec![(LOCALTIME.to_owned(), LOCALTIME.to_owned())];
    let fault = translate(&settings, &source).unwrap_err().remove(0);
    assert!(
        fault
            .to_string()
            .starts_with("--time-zone: kured's zone is that of its host"),
        "{fault}"
    );
    source.env = vec![("TZ".to_owned(), Arg::from("Europe/Paris"))];
    assert_eq!(
        shown(&translate(&settings, &source).unwrap().windows),
        ["Mon 00:00-00:00 Europe/Paris"]
    );
}

#[test]
fn what_kured_refuses_is_named_with_its_flag() {
    let found = faults(&["--reboot-days=mo,funday,7", "--start-time=5:00pm", "--end-time=24:00"]);
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(found[0].starts_with("--reboot-days: kured takes `funday`"), "{found:?}");
    assert!(
        found[1].starts_with("--start-time: kured cannot read `5:00pm`"),
        "{found:?}"
    );
    assert!(found[2].starts_with("--end-time: "), "{found:?}");
}
