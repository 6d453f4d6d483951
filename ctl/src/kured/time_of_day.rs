//! Times of day as kured reads them: `15:04`, `15:04:05`, `03:04pm`, `15`, `03pm` or `3pm`, in Go's layouts.

use jiff::civil::Time;

/// Reads a time of day; none if kured would refuse it too.
pub(crate) fn parse(text: &str) -> Option<Time> {
    let half = [("am", 0), ("pm", 12)]
        .into_iter()
        .find_map(|(suffix, hours)| Some((text.strip_suffix(suffix)?, hours)));
    let Some((clock, offset)) = half else {
        return of_24_hours(text);
    };
    let (hour, minute) = match clock.split_once(':') {
        // With minutes the layout has two digits for the hour.
        Some((hour, minute)) => (number(hour, 2..=2)?, number(minute, 2..=2)?),
        None => (number(clock, 1..=2)?, 0),
    };
    match hour {
        12 => Time::new(offset, minute, 0, 0).ok(),
        0..12 => Time::new(hour + offset, minute, 0, 0).ok(),
        _ => None,
    }
}

fn of_24_hours(text: &str) -> Option<Time> {
    let mut parts = text.split(':');
    let hour = number(parts.next()?, 1..=2)?;
    let minute = parts.next().map_or(Some(0), |minute| number(minute, 2..=2))?;
    let second = parts.next().map_or(Some(0), |second| number(second, 2..=2))?;
    if parts.next().is_some() {
        return None;
    }
    Time::new(hour, minute, second, 0).ok()
}

/// Digits only, and as many as the layout takes.
fn number(text: &str, digits: std::ops::RangeInclusive<usize>) -> Option<i8> {
    let is_number = digits.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_the_layouts_of_kured_and_in_no_other() {
        for (text, expected) in [
            ("0:00", "00:00:00"),
            ("7:30", "07:30:00"),
            ("23:59:59", "23:59:59"),
            ("9", "09:00:00"),
            ("17", "17:00:00"),
            ("9pm", "21:00:00"),
            ("09pm", "21:00:00"),
            ("12am", "00:00:00"),
            ("12pm", "12:00:00"),
            ("05:30pm", "17:30:00"),
            ("12:15am", "00:15:00"),
        ] {
            assert_eq!(
                parse(text).map(|time| time.to_string()),
                Some(expected.to_owned()),
                "{text}"
            );
        }
        // kured's own documentation has `5:00pm`, which its layouts refuse.
        for text in [
            "", "5:00pm", "24:00", "13pm", "9PM", "9:5", "noon", "1:2:3:4", "-1", "+9",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
