//! Texts that findings and `kubectl reboots` have in common: spans of time, phases, one line.

use bellwether_proto::{Phase, wire};
use jiff::Timestamp;

/// Stands where there is nothing to show.
pub const NOTHING: &str = "-";

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// A text that another program wrote, made fit for one line of a terminal: control characters become
/// spaces, so that no text can steer the terminal.
#[must_use]
pub fn one_line(text: &str) -> String {
    text.trim()
        .chars()
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .collect()
}

/// The time from one instant to a later one, as kubectl writes ages: two units while they matter.
/// Clocks differ, so a span below zero is zero.
#[must_use]
pub fn between(from: Timestamp, to: Timestamp) -> String {
    let seconds = to.duration_since(from).as_secs().max(0);
    let two = |big: i64, big_name: char, small: i64, small_name: char| match seconds % big / small {
        0 => format!("{}{big_name}", seconds / big),
        rest => format!("{}{big_name}{rest}{small_name}", seconds / big),
    };
    match seconds {
        0..120 => format!("{seconds}s"),
        120..600 => two(MINUTE, 'm', 1, 's'),
        600..10_800 => format!("{}m", seconds / MINUTE),
        10_800..28_800 => two(HOUR, 'h', MINUTE, 'm'),
        28_800..172_800 => format!("{}h", seconds / HOUR),
        172_800..691_200 => two(DAY, 'd', HOUR, 'h'),
        _ => format!("{}d", seconds / DAY),
    }
}

/// An instant of the wire; `None` if it is absent or out of range.
#[must_use]
pub fn instant(at: Option<prost_types::Timestamp>) -> Option<Timestamp> {
    at.and_then(|at| Timestamp::new(at.seconds, at.nanos).ok())
}

/// The order that pauses the fleet. A scheduler of a version before the list of orders states the pause by itself.
#[must_use]
pub fn pause(control: &wire::FleetControl) -> wire::FleetOrder {
    let blocks = |order: &&wire::FleetOrder| {
        let kind = wire::OrderKind::try_from(order.kind);
        order.subject.is_empty()
            && !matches!(
                kind,
                Ok(wire::OrderKind::Approve | wire::OrderKind::Now | wire::OrderKind::Skip)
            )
    };
    let order = control.orders.iter().find(blocks).cloned();
    order.unwrap_or_else(|| wire::FleetOrder {
        by: control.by.clone(),
        reason: control.reason.clone(),
        since: control.since,
        ..Default::default()
    })
}

/// Which operator paused the fleet, when and why.
#[must_use]
pub fn paused(control: &wire::FleetControl, now: Timestamp) -> String {
    let pause = pause(control);
    let (by, reason, since, until) = (&pause.by, &pause.reason, pause.since, pause.until);
    let since = instant(since).map_or_else(String::new, |since| format!(" {} ago", between(since, now)));
    let until = instant(until).map_or_else(String::new, |until| format!(", until {until:.0}"));
    let reason = match reason.as_str() {
        "" => String::new(),
        reason => format!(": {reason}"),
    };
    let by = if by.is_empty() { NOTHING } else { by };
    one_line(&format!("Paused by {by}{since}{until}{reason}"))
}

/// A phase by its name, or by its number if it is newer than this version.
#[must_use]
pub fn phase(value: i32) -> String {
    Phase::from_wire(value).map_or_else(|| format!("Phase{value}"), |phase| phase.as_str().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_cannot_steer_the_terminal() {
        assert_eq!(one_line("two\nlines\x1b[2J "), "two lines [2J");
    }

    #[test]
    fn spans_read_as_in_kubectl() {
        let zero = Timestamp::UNIX_EPOCH;
        let spans = [
            (-5, "0s"),
            (119, "119s"),
            (120, "2m"),
            (250, "4m10s"),
            (3_000, "50m"),
            (10_860, "3h1m"),
            (100_000, "27h"),
            (180_000, "2d2h"),
            (8_640_000, "100d"),
        ];
        for (seconds, words) in spans {
            assert_eq!(between(zero, Timestamp::from_second(seconds).unwrap()), words);
        }
    }
}
