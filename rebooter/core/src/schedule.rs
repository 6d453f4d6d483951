//! When the preflight is due, and when its result is reported.
//!
//! A node whose rebooter has a problem is not drained, so a problem is looked at again soon.

use std::time::Duration;

use bellwether_chassis_core::due::{Due, left};
use bellwether_proto::{BootId, Problem};
use jiff::Timestamp;

/// How soon to look again while there is a problem: a bus that starts late must not cost a whole refresh.
const PROBLEM_INTERVAL: Duration = Duration::from_secs(30);

/// Whether the host could be rebooted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ability {
    /// It could.
    Able,
    /// It could not.
    Unable(Problem),
}

impl Ability {
    /// Why the host could not be rebooted; none if it could.
    #[must_use]
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Able => None,
            Self::Unable(problem) => Some(problem),
        }
    }
}

/// The result of the last preflight with its time, and the part of it that is stored.
#[derive(Debug, Default)]
pub struct Schedule {
    found: Option<(Ability, Timestamp)>,
    stored: Due<(BootId, Ability)>,
}

impl Schedule {
    /// The result of the last preflight.
    #[must_use]
    pub fn found(&self) -> Option<&Ability> {
        self.found.as_ref().map(|(ability, _)| ability)
    }

    /// Takes in the result of a preflight.
    pub fn handle_found(&mut self, ability: Ability, now: Timestamp) {
        self.found = Some((ability, now));
    }

    /// The result of the last preflight is void: the next one is due at once.
    pub fn forget(&mut self) {
        self.found = None;
    }

    /// What is stored is not the content of today: a report is due at once.
    pub fn forget_stored(&mut self) {
        self.stored = Due::default();
    }

    /// Takes note of a new connection to NATS: a report is due, since the server may have lost the one before.
    pub fn handle_connection(&mut self) {
        self.stored.handle_connection();
    }

    /// Takes note that a report is stored; the next one is due this much later.
    pub fn handle_stored(&mut self, boot_id: BootId, ability: Ability, now: Timestamp, refresh_after: Duration) {
        self.stored.handle_stored((boot_id, ability), now, refresh_after);
    }

    /// How long until a preflight or a report is due. `interval` holds while all is well.
    #[must_use]
    pub fn wake_in(&self, now: Timestamp, interval: Duration) -> Duration {
        self.stored.refresh_in(now).min(self.look_in(now, interval))
    }

    /// How long until the next preflight. `interval` holds while all is well.
    #[must_use]
    pub fn look_in(&self, now: Timestamp, interval: Duration) -> Duration {
        match &self.found {
            None => Duration::ZERO,
            Some((Ability::Able, at)) => left(*at, interval, now),
            Some((Ability::Unable(_), at)) => left(*at, interval.min(PROBLEM_INTERVAL), now),
        }
    }

    /// The ability to report, if a report is due.
    #[must_use]
    pub fn due(&self, boot_id: &BootId, now: Timestamp) -> Option<Ability> {
        let (ability, _) = self.found.as_ref()?;
        let content = (boot_id.clone(), ability.clone());
        self.stored.why(&content, now)?;
        Some(content.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(300);

    #[test]
    fn a_report_is_due_at_the_start_on_a_change_in_another_boot_and_as_a_refresh() {
        let unable = || Ability::Unable(Problem::unclassified("no D-Bus"));
        let mut schedule = Schedule::default();
        assert_eq!(schedule.due(&boot("a"), at(0)), None, "nothing is known yet");
        schedule.handle_found(Ability::Able, at(0));
        assert_eq!(schedule.due(&boot("a"), at(0)), Some(Ability::Able));
        schedule.handle_stored(boot("a"), Ability::Able, at(0), INTERVAL);
        assert_eq!(schedule.due(&boot("a"), at(299)), None);
        assert_eq!(schedule.due(&boot("b"), at(1)), Some(Ability::Able));
        assert_eq!(schedule.due(&boot("a"), at(300)), Some(Ability::Able));
        schedule.handle_stored(boot("a"), Ability::Able, at(300), INTERVAL);
        schedule.handle_connection();
        assert_eq!(schedule.due(&boot("a"), at(301)), Some(Ability::Able));
        assert_eq!(schedule.wake_in(at(301), INTERVAL), Duration::ZERO);
        schedule.handle_stored(boot("a"), Ability::Able, at(301), INTERVAL);
        schedule.forget_stored();
        assert_eq!(schedule.due(&boot("a"), at(302)), Some(Ability::Able));
        schedule.handle_found(unable(), at(1));
        assert_eq!(schedule.due(&boot("a"), at(1)), Some(unable()));
    }

    #[test]
    fn a_problem_is_looked_at_again_soon_and_a_clock_set_back_delays_nothing() {
        let mut schedule = Schedule::default();
        assert_eq!(schedule.look_in(at(0), INTERVAL), Duration::ZERO);
        schedule.handle_found(Ability::Able, at(100));
        assert_eq!(schedule.look_in(at(110), INTERVAL), Duration::from_secs(290));
        assert_eq!(schedule.look_in(at(50), INTERVAL), Duration::ZERO);
        schedule.handle_found(Ability::Unable(Problem::unclassified("")), at(100));
        assert_eq!(schedule.look_in(at(110), INTERVAL), Duration::from_secs(20));
        schedule.forget();
        assert_eq!(schedule.look_in(at(110), INTERVAL), Duration::ZERO);
    }

    fn boot(id: &str) -> BootId {
        id.parse().unwrap()
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }
}
