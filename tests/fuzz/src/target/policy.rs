//! A file of policies in YAML or JSON: its meaning, and the openings of its calendar.

use bellwether_policy::RebootPolicy;
use bellwether_policy::calendar::Opening;
use jiff::{SignedDuration, Timestamp};

use crate::foreign::document;
use crate::judge;

/// How many openings a status and `kubectl reboots policy` ask for.
const OPENINGS: usize = 10;

pub(crate) fn run(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return false;
    };
    let Ok(policies) = document::policies(text) else {
        return false;
    };
    let mut taken = false;
    for policy in policies {
        taken |= terms(&policy);
    }
    taken
}

fn terms(policy: &RebootPolicy) -> bool {
    let terms = match &policy.terms {
        Ok(terms) => terms,
        Err(faults) => {
            assert!(!faults.is_empty(), "refused without a mistake");
            judge::plain(&policy.faults());
            return false;
        }
    };
    let now: Timestamp = "2026-11-27T14:00:00Z".parse().expect("a time");
    for now in [now, Timestamp::MIN, Timestamp::MAX] {
        let calendar = &terms.calendar;
        let openings = calendar.openings(now, OPENINGS);
        let ordered = openings.is_sorted_by(|one, next| one.end.is_some_and(|end| end < next.start));
        assert!(ordered, "openings that overlap, touch or go back: {openings:?}");
        let is_open = openings.first().is_some_and(|opening| opening.start <= now);
        assert_eq!(calendar.state_at(now).is_open(), is_open, "{openings:?}");
        assert!(
            is_open || !calendar.fits(now, SignedDuration::ZERO),
            "work starts while no window is open"
        );
    }
    let longest = terms
        .calendar
        .longest_opening(now)
        .and_then(|opening| opening.duration());
    let first = terms.calendar.openings(now, 1).first().and_then(Opening::duration);
    assert!(
        longest.is_none() || first.is_none() || longest >= first,
        "{longest:?} {first:?}"
    );
    true
}
