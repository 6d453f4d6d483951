//! When the preflight is due, and when its result is reported.
//!
//! A node whose rebooter has a problem is not drained, so a problem is looked at again soon.

use std::time::Duration;

use bellwether_chassis_core::due::{Due, left};
use bellwether_proto::{BootId, BootReport, KindPreflight, Problem};
use jiff::Timestamp;

/// How soon to look again while there is a problem: a bus that starts late must not cost a whole refresh.
const PROBLEM_INTERVAL: Duration = Duration::from_secs(30);

/// How soon to look again at a boot that has not ended: its end and what failed in it are reported while it is news.
const BOOT_INTERVAL: Duration = Duration::from_secs(10);

/// How often a boot that has not ended is looked at so soon: for ten minutes. A service that waits for something that never
/// comes keeps some boots from their end for days.
const BOOT_LOOKS_MAX: u32 = 60;

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
    kinds: Vec<KindPreflight>,
    soft_reboots: Option<u32>,
    boot: Option<LookedAt>,
    stored: Due<Content>,
}

/// What a report says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// The boot that it is of.
    pub boot_id: BootId,
    /// Whether the host could be rebooted.
    pub ability: Ability,
    /// What the host shows of the boot.
    pub boot: Option<BootReport>,
    /// Whether the host could be rebooted by other kinds of reboot.
    pub kinds: Vec<KindPreflight>,
    /// How many soft reboots the boot has had.
    pub soft_reboots: Option<u32>,
}

/// A boot, as it was looked at last.
#[derive(Debug)]
struct LookedAt {
    boot_id: BootId,
    /// The last that was shown.
    report: Option<BootReport>,
    at: Timestamp,
    /// The last look showed the end of the boot.
    is_finished: bool,
    /// Looks that did not show the end of the boot.
    unfinished: u32,
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

    /// Takes in the result of the same preflight for the other kinds of reboot, and how many soft reboots the boot has had.
    pub fn handle_kinds(&mut self, kinds: Vec<KindPreflight>, soft_reboots: Option<u32>) {
        (self.kinds, self.soft_reboots) = (kinds, soft_reboots);
    }

    /// Takes in what the host shows of this boot; none: nothing. A host that does not answer once, as one whose system bus
    /// starts again, loses nothing of what it has shown.
    pub fn handle_boot(&mut self, boot_id: &BootId, report: Option<BootReport>, now: Timestamp) {
        let before = self.boot.take().filter(|boot| boot.boot_id == *boot_id);
        let (known, unfinished) = before.map_or((None, 0), |boot| (boot.report, boot.unfinished));
        let is_finished = report.as_ref().is_some_and(BootReport::is_finished);
        self.boot = Some(LookedAt {
            boot_id: boot_id.clone(),
            report: report.or(known),
            at: now,
            is_finished,
            unfinished: unfinished.saturating_add(u32::from(!is_finished)),
        });
    }

    /// What the host showed of this boot last.
    #[must_use]
    pub fn boot(&self, boot_id: &BootId) -> Option<&BootReport> {
        self.boot_of(boot_id)?.report.as_ref()
    }

    fn boot_of(&self, boot_id: &BootId) -> Option<&LookedAt> {
        self.boot.as_ref().filter(|boot| boot.boot_id == *boot_id)
    }

    /// How long until the next look at this boot. `interval` holds once it has ended.
    #[must_use]
    pub fn boot_look_in(&self, boot_id: &BootId, now: Timestamp, interval: Duration) -> Duration {
        let Some(boot) = self.boot_of(boot_id) else {
            return Duration::ZERO;
        };
        let soon = !boot.is_finished && boot.unfinished < BOOT_LOOKS_MAX;
        left(boot.at, if soon { interval.min(BOOT_INTERVAL) } else { interval }, now)
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
    pub fn handle_stored(&mut self, content: Content, now: Timestamp, refresh_after: Duration) {
        self.stored.handle_stored(content, now, refresh_after);
    }

    /// How long until a look or a report is due. `interval` holds while all is well.
    #[must_use]
    pub fn wake_in(&self, boot_id: &BootId, now: Timestamp, interval: Duration) -> Duration {
        let look = self
            .look_in(now, interval)
            .min(self.boot_look_in(boot_id, now, interval));
        self.stored.refresh_in(now).min(look)
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

    /// What to report, if a report is due.
    #[must_use]
    pub fn due(&self, boot_id: &BootId, now: Timestamp) -> Option<Content> {
        let (ability, _) = self.found.as_ref()?;
        let content = Content {
            boot_id: boot_id.clone(),
            ability: ability.clone(),
            boot: self.boot(boot_id).cloned(),
            kinds: self.kinds.clone(),
            soft_reboots: self.soft_reboots,
        };
        self.stored.why(&content, now)?;
        Some(content)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(300);

    #[test]
    fn a_report_is_due_at_the_start_on_a_change_in_another_boot_over_a_new_connection_and_as_a_refresh() {
        let unable = || Ability::Unable(Problem::unclassified("no D-Bus"));
        let mut schedule = Schedule::default();
        let due = |schedule: &Schedule, id: &str, second| schedule.due(&boot(id), at(second)).map(|due| due.ability);
        assert_eq!(due(&schedule, "a", 0), None, "nothing is known yet");
        schedule.handle_found(Ability::Able, at(0));
        assert_eq!(due(&schedule, "a", 0), Some(Ability::Able));
        stored(&mut schedule, 0);
        assert_eq!(due(&schedule, "a", 299), None);
        assert_eq!(due(&schedule, "b", 1), Some(Ability::Able));
        assert_eq!(due(&schedule, "a", 300), Some(Ability::Able));
        stored(&mut schedule, 300);
        schedule.handle_connection();
        assert_eq!(due(&schedule, "a", 301), Some(Ability::Able));
        assert_eq!(schedule.wake_in(&boot("a"), at(301), INTERVAL), Duration::ZERO);
        stored(&mut schedule, 301);
        schedule.forget_stored();
        assert_eq!(due(&schedule, "a", 302), Some(Ability::Able));
        schedule.handle_found(unable(), at(1));
        assert_eq!(due(&schedule, "a", 1), Some(unable()));
        stored(&mut schedule, 302);
        assert_eq!(due(&schedule, "a", 303), None);
        let kexec = vec![KindPreflight {
            kind: bellwether_proto::RebootKind::Kexec,
            problem: None,
        }];
        schedule.handle_kinds(kexec.clone(), None);
        assert_eq!(due(&schedule, "a", 303), Some(unable()), "another kind is possible now");
        stored(&mut schedule, 303);
        schedule.handle_kinds(kexec, Some(1));
        assert_eq!(due(&schedule, "a", 304), Some(unable()), "a soft reboot is over");
    }

    #[test]
    fn a_boot_is_looked_at_until_its_end_which_is_reported_and_a_boot_without_an_end_seldom() {
        let mut schedule = Schedule::default();
        let (this, unfinished) = (boot("a"), BootReport::default());
        assert_eq!(schedule.boot_look_in(&this, at(0), INTERVAL), Duration::ZERO);
        schedule.handle_found(Ability::Able, at(0));
        schedule.handle_boot(&this, Some(unfinished.clone()), at(0));
        assert_eq!(schedule.due(&this, at(0)).unwrap().boot, Some(unfinished.clone()));
        stored(&mut schedule, 0);
        assert_eq!(
            schedule.wake_in(&this, at(1), INTERVAL),
            BOOT_INTERVAL - Duration::from_secs(1)
        );
        let finished = BootReport {
            userspace: Some(jiff::SignedDuration::from_secs(20)),
            ..unfinished.clone()
        };
        schedule.handle_boot(&this, Some(finished.clone()), at(10));
        assert_eq!(schedule.boot_look_in(&this, at(10), INTERVAL), INTERVAL);
        assert_eq!(schedule.due(&this, at(10)).unwrap().boot, Some(finished.clone()));
        stored(&mut schedule, 10);
        let failed = BootReport {
            failed_units: vec!["smartd.service".into()],
            ..finished
        };
        schedule.handle_boot(&this, Some(failed.clone()), at(310));
        assert_eq!(schedule.due(&this, at(11)).unwrap().boot, Some(failed.clone()));
        // No answer, once: what is known stays, and the next look comes soon.
        schedule.handle_boot(&this, None, at(310));
        assert_eq!(schedule.boot(&this), Some(&failed));
        assert_eq!(schedule.boot_look_in(&this, at(310), INTERVAL), BOOT_INTERVAL);
        // What the host showed of one boot is not true of the next one.
        assert_eq!(schedule.boot(&boot("b")), None);
        assert_eq!(schedule.boot_look_in(&boot("b"), at(311), INTERVAL), Duration::ZERO);
        for look in 0..BOOT_LOOKS_MAX {
            assert_eq!(look == 0, schedule.boot(&boot("b")).is_none());
            schedule.handle_boot(&boot("b"), Some(unfinished.clone()), at(400));
        }
        assert_eq!(schedule.boot_look_in(&boot("b"), at(400), INTERVAL), INTERVAL);
        for _ in 0..BOOT_LOOKS_MAX {
            schedule.handle_boot(&boot("c"), None, at(400));
        }
        assert_eq!(schedule.boot_look_in(&boot("c"), at(400), INTERVAL), INTERVAL);
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

    /// What is due for the boot `a` is stored.
    fn stored(schedule: &mut Schedule, second: i64) {
        let content = schedule.due(&boot("a"), at(second)).unwrap();
        schedule.handle_stored(content, at(second), INTERVAL);
    }

    fn boot(id: &str) -> BootId {
        id.parse().unwrap()
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }
}
