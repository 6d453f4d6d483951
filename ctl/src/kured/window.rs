//! kured's one window as windows of a policy that are open at the same times.

use bellwether_policy::calendar::Weekdays;
use bellwether_policy::{BlackoutSpec, WindowSpec};
use jiff::civil::{Time, Weekday};
use jiff::{SignedDuration, ToSpan as _};

use super::fault::Fault;
use super::flag::Flag;
use super::settings::Settings;
use super::source::Source;
use super::time_of_day;

/// The zone of a container whose image sets none.
const UTC: &str = "UTC";

/// The file by which a container gets the zone of its host.
const LOCALTIME: &str = "/etc/localtime";

/// When kured reboots.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Windows {
    /// Open when kured's window is; none: at any time.
    pub(crate) windows: Vec<WindowSpec>,
    /// One without an end if kured's window never opens.
    pub(crate) blackouts: Vec<BlackoutSpec>,
    /// The window that an operator of kured most likely meant, if kured's opens at other times.
    pub(crate) meant: Option<WindowSpec>,
    /// How long the shortest window is; none: without an end.
    pub(crate) shortest: Option<SignedDuration>,
    /// What an operator would not expect.
    pub(crate) notes: Vec<String>,
}

/// The windows of these settings.
///
/// # Errors
/// The flags that kured refuses too, and the zone of the host, which is not known here.
pub(crate) fn translate(settings: &Settings, source: &Source) -> Result<Windows, Vec<Fault>> {
    let mut faults = Vec::new();
    let mut windows = Windows::default();
    let days = or_note(days(settings), &mut faults);
    let start = or_note(time(settings, Flag::StartTime), &mut faults);
    let last = or_note(time(settings, Flag::EndTime), &mut faults);
    let zone = or_note(zone(settings, source, &mut windows.notes), &mut faults);
    let (Some(days), Some(start), Some(last), Some(zone)) = (days, start, last, zone) else {
        return Err(faults);
    };
    if days.is_empty() {
        windows.never("kured's --reboot-days is empty");
    } else if start == last {
        windows.never("kured's --start-time and --end-time are equal, which is a window of one second");
    } else {
        windows.open(days, start, last, &zone);
    }
    Ok(windows)
}

impl Windows {
    /// No node reboots; a policy without windows would let them at any time.
    fn never(&mut self, cause: &str) {
        self.notes.push(format!(
            "{cause}: it never reboots a node, and neither does the policy, by a blackout without an end"
        ));
        self.blackouts.push(BlackoutSpec {
            from: "2000-01-01".to_owned(),
            to: "9999-12-30".to_owned(),
            time_zone: UTC.to_owned(),
            reason: format!("{cause}: remove this blackout, and write windows"),
        });
    }

    /// kured judges by the weekday of the moment, and not by the one on which the window opened.
    fn open(&mut self, days: Weekdays, start: Time, last: Time, zone: &str) {
        let end = end_after(last);
        let midnight = Time::midnight();
        let window = |start: Time, end: Time| WindowSpec {
            days: entries(days),
            start: Some(clock(start)),
            end: Some(clock(end)),
            cron: None,
            duration: None,
            time_zone: zone.to_owned(),
        };
        let is_every_day = days == Weekdays::ALL;
        // An end at midnight cuts nothing off: the window ends with its day.
        let is_overnight = start > last && end != midnight;
        if is_every_day && start == end {
            return;
        }
        self.windows = if is_overnight && !is_every_day {
            let (early, late) = (window(midnight, end), window(start, midnight));
            self.meant = Some(window(start, end));
            self.notes.push(overnight(days, start, end));
            vec![early, late]
        } else {
            vec![window(start, end)]
        };
        self.shortest = Some(length(start, end));
    }
}

fn overnight(days: Weekdays, start: Time, end: Time) -> String {
    format!(
        "kured's overnight window goes by the weekday of the moment: on {days} it is open from 00:00 to {end} and from \
         {start} to 24:00, so the night before the first day counts, and the night after the last day ends at \
         midnight. The policy does the same by two windows; windows of Bellwether belong to the day on which they \
         start, so the one that was most likely meant is in the policy's comment",
        start = clock(start),
        end = clock(end),
    )
}

/// kured's window includes the second of its end; one of a policy excludes its end. A minute's last second makes the
/// next minute; any other end loses that one second.
fn end_after(last: Time) -> Time {
    if last.second() == 59 {
        last.wrapping_add(1.second())
    } else {
        last
    }
}

/// From one time of day to the next such end.
fn length(start: Time, end: Time) -> SignedDuration {
    let length = start.duration_until(end);
    if length.is_positive() {
        length
    } else {
        length + SignedDuration::from_hours(24)
    }
}

/// Without seconds unless there are some.
fn clock(time: Time) -> String {
    let form = if time.second() == 0 { "%H:%M" } else { "%H:%M:%S" };
    time.strftime(form).to_string()
}

/// As a policy has them: days, and ranges of three and more.
fn entries(days: Weekdays) -> Vec<String> {
    if days == Weekdays::ALL {
        return vec!["Mon-Sun".to_owned()];
    }
    days.to_string().split(',').map(str::to_owned).collect()
}

fn or_note<T>(result: Result<T, Fault>, faults: &mut Vec<Fault>) -> Option<T> {
    result.map_err(|fault| faults.push(fault)).ok()
}

fn days(settings: &Settings) -> Result<Weekdays, Fault> {
    let read = |text: &String| {
        weekday(text).ok_or_else(|| {
            let message = format!("kured takes `{text}` for no weekday and would not start: write mo to su, or 0 to 6");
            Fault::new("--reboot-days", message)
        })
    };
    settings.list(Flag::RebootDays).iter().map(read).collect()
}

fn weekday(text: &str) -> Option<Weekday> {
    if let Ok(number) = text.parse::<i8>() {
        return Weekday::from_sunday_zero_offset(number).ok();
    }
    let name = text.to_lowercase();
    let all = Weekday::Sunday.cycle_forward().take(7);
    let names = [
        "sunday",
        "monday",
        "tuesday",
        "wednesday",
        "thursday",
        "friday",
        "saturday",
    ];
    let is_name = |full: &str| full == name || full.get(..3) == Some(&name) || full.get(..2) == Some(&name);
    all.zip(names).find(|(_, full)| is_name(full)).map(|(day, _)| day)
}

fn time(settings: &Settings, flag: Flag) -> Result<Time, Fault> {
    let text = settings.text(flag);
    time_of_day::parse(&text).ok_or_else(|| {
        let message = format!(
            "kured cannot read `{text}` and would not start: write 17:00, 17:00:30, 17, 05:00pm or 5pm (with minutes \
             and pm the hour has two digits)"
        );
        Fault::new(format!("--{}", flag.name()), message)
    })
}

/// The IANA name of the zone.
fn zone(settings: &Settings, source: &Source, notes: &mut Vec<String>) -> Result<String, Fault> {
    let zone = settings.text(Flag::TimeZone);
    if zone.is_empty() {
        return Ok(UTC.to_owned());
    }
    if zone != "Local" {
        return Ok(zone);
    }
    match source.variable("TZ") {
        Some(set) if !set.is_hidden && !set.text.is_empty() => {
            notes.push(format!(
                "--time-zone=Local is {} in kured, by its variable TZ",
                set.text
            ));
            Ok(set.text.clone())
        }
        Some(set) if set.is_hidden => Err(local(
            "its variable TZ is in a Secret, a ConfigMap or a field of the pod",
        )),
        _ if source.mounts.iter().any(|(inside, _)| inside == LOCALTIME) => {
            Err(local("it mounts the file of its host's zone"))
        }
        Some(_) | None => {
            notes.push("--time-zone=Local is UTC in kured: its image sets no zone, and it mounts none".to_owned());
            Ok(UTC.to_owned())
        }
    }
}

fn local(cause: &str) -> Fault {
    let message = format!(
        "kured's zone is that of its host, since {cause}: write the zone's name, such as Europe/Berlin, into a copy of \
         the manifest, and give the copy by --file"
    );
    Fault::new("--time-zone", message)
}

#[cfg(test)]
#[path = "window_tests.rs"]
mod tests;
