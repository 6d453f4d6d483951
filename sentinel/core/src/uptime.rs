//! How long the host runs, by the text of `/proc/uptime`: no clock that is set moves it.

use std::time::Duration;

use bellwether_proto::{Problem, ProblemCode};
use jiff::SignedDuration;

use crate::look::{Finding, Shown};

/// Whether the host runs for longer than this.
#[must_use]
pub fn finding(text: &str, older_than: Duration) -> Finding {
    let seconds = text.split(['.', ' ']).next().and_then(|number| number.parse().ok());
    match seconds.map(Duration::from_secs) {
        Some(up) if up > older_than => Finding::Required(Shown {
            since: None,
            // Always the same text, so that the report does not change with each look.
            reasons: vec![format!(
                "up for more than {:#}",
                SignedDuration::try_from(older_than).unwrap_or(SignedDuration::MAX)
            )],
            kernel_change: None,
        }),
        Some(_) => Finding::NotRequired,
        None => Finding::Unknown(Problem::new(
            ProblemCode::ProbeFailed,
            "/proc/uptime shows no seconds: does --proc-root say where the host's /proc is?",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 3600);

    #[test]
    fn only_a_host_that_runs_for_longer_needs_a_reboot() {
        for text in ["86400.99 12.0\n", "0.00 0.00\n"] {
            assert_eq!(finding(text, DAY), Finding::NotRequired, "{text}");
        }
        let Finding::Required(shown) = finding("86401.00 9.9\n", DAY) else {
            panic!("no need")
        };
        assert_eq!((shown.since, &*shown.reasons.concat()), (None, "up for more than 24h"));
    }

    #[test]
    fn a_text_without_seconds_is_a_problem_and_no_need() {
        for text in ["", "soon", "-5.0 1", "99999999999999999999999 1"] {
            assert!(matches!(finding(text, DAY), Finding::Unknown(_)), "{text}");
        }
    }
}
