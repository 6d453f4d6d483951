//! The preflight: could this host be rebooted? Tried out before anybody relies on it, and reported.
//!
//! Owned by `run.rs`. A node whose rebooter has a problem is not drained, so a problem is looked
//! at again soon. When to look and when to report is decided by [`Schedule`], which reads no clock.

use std::time::Duration;

use bellwether_chassis::admin::Health;
use bellwether_chassis::clock::{self, jitter};
use bellwether_chassis::due::{Due, left};
use bellwether_chassis::{Bus, Retry};
use bellwether_proto::readiness::{Part, ReadinessCode};
use bellwether_proto::{BootId, NodeName, Problem, ProblemCode, RebooterReport};
use jiff::{SignedDuration, Timestamp};

use crate::metrics::Metrics;
use crate::reboot::Method;
use crate::wire;

/// How soon to look again while there is a problem: a bus that starts late must not cost a whole refresh.
const PROBLEM_INTERVAL: Duration = Duration::from_secs(30);

/// The problem of a host that was ordered to reboot and still runs.
const SPENT: &str =
    "it was told to reboot in this boot and still runs: reboot it by hand, or restart this pod to let it be told again";

/// Makes the preflight and keeps its report stored.
#[derive(Debug)]
pub(crate) struct Preflight {
    method: Method,
    node: NodeName,
    refresh_interval: Duration,
    /// The same, varied downwards: a fleet does not report in step, and no report comes late.
    own_interval: Duration,
    agent_version: &'static str,
    /// Set once this boot's reboot was called: there is no second call, so this host must not be drained again.
    spent: bool,
    schedule: Schedule,
    publishing: Retry,
    health: Health,
    metrics: Metrics,
}

/// Whether the host could be rebooted.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Ability {
    /// It could.
    Able,
    /// It could not.
    Unable(Problem),
}

impl Ability {
    fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Able => None,
            Self::Unable(problem) => Some(problem),
        }
    }
}

/// What was found last, with its time, and what of it is stored.
#[derive(Debug, Default)]
struct Schedule {
    found: Option<(Ability, Timestamp)>,
    stored: Due<(BootId, Ability)>,
}

impl Schedule {
    /// How long until something is due.
    fn wake_in(&self, now: Timestamp, interval: Duration) -> Duration {
        self.stored.refresh_in(now).min(self.look_in(now, interval))
    }

    /// How long until the next look. `interval` holds while all is well.
    fn look_in(&self, now: Timestamp, interval: Duration) -> Duration {
        match &self.found {
            None => Duration::ZERO,
            Some((Ability::Able, at)) => left(*at, interval, now),
            Some((Ability::Unable(_), at)) => left(*at, interval.min(PROBLEM_INTERVAL), now),
        }
    }

    /// The ability to report, if a report is due.
    fn due(&self, boot_id: &BootId, now: Timestamp) -> Option<Ability> {
        let (ability, _) = self.found.as_ref()?;
        let content = (boot_id.clone(), ability.clone());
        self.stored.why(&content, now)?;
        Some(content.1)
    }
}

impl Preflight {
    pub(crate) fn new(
        method: Method,
        node: NodeName,
        refresh_interval: Duration,
        agent_version: &'static str,
        health: Health,
        metrics: Metrics,
    ) -> Self {
        health.not_ready(ReadinessCode::ReportPending, "the preflight is not reported yet");
        Self {
            method,
            node,
            refresh_interval,
            own_interval: jitter(refresh_interval).min(refresh_interval),
            agent_version,
            spent: false,
            schedule: Schedule::default(),
            publishing: Retry::new("store the rebooter's report"),
            health,
            metrics,
        }
    }

    /// Takes note that this boot's reboot was called. Reported soon, unless the host goes down first.
    pub(crate) fn spend(&mut self) {
        self.spent = true;
        self.schedule.found = None;
    }

    /// Tries out now. Returns the problem, if there is one.
    pub(crate) async fn check(&mut self) -> Option<Problem> {
        let ability = if self.spent {
            Ability::Unable(Problem::new(ProblemCode::RebootAlreadyCalled, SPENT))
        } else {
            let tried = self.method.preflight().await;
            tried.map_or_else(|error| Ability::Unable(error.problem()), |()| Ability::Able)
        };
        self.metrics.preflight(ability == Ability::Able);
        let before = self.schedule.found.as_ref().map(|(ability, _)| ability);
        if before != Some(&ability) {
            let method = self.method.name();
            match &ability {
                Ability::Able => tracing::info!(method, "Host could be rebooted"),
                Ability::Unable(Problem { code, message }) => {
                    tracing::warn!(method, %code, problem = message, "Host could not be rebooted: it will not be drained");
                }
            }
        }
        let problem = ability.problem().cloned();
        self.schedule.found = Some((ability, clock::now()));
        problem
    }

    /// Tries out and reports, each if it is due. Returns how long to wait before the next time.
    pub(crate) async fn keep_reported(&mut self, bus: &Bus, boot_id: &BootId) -> Duration {
        if self.schedule.look_in(clock::now(), self.own_interval).is_zero() {
            self.check().await;
        }
        let now = clock::now();
        if let Some(ability) = self.schedule.due(boot_id, now) {
            let report = RebooterReport {
                node: self.node.clone(),
                boot_id: boot_id.clone(),
                reported_at: now,
                refresh_interval: SignedDuration::try_from(self.refresh_interval).unwrap_or(SignedDuration::MAX),
                method: self.method.name().to_owned(),
                problem: ability.problem().cloned(),
                agent_version: self.agent_version.to_owned(),
            };
            match wire::store_report(bus, &report).await {
                Ok(_) => {
                    self.publishing.worked();
                    self.health.ready(Part::Report);
                }
                Err(error) => return self.publishing.failed(&error),
            }
            self.schedule
                .stored
                .handle_stored((boot_id.clone(), ability), now, self.own_interval);
        }
        self.schedule.wake_in(clock::now(), self.own_interval)
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
        schedule.found = Some((Ability::Able, at(0)));
        assert_eq!(schedule.due(&boot("a"), at(0)), Some(Ability::Able));
        schedule
            .stored
            .handle_stored((boot("a"), Ability::Able), at(0), INTERVAL);
        assert_eq!(schedule.due(&boot("a"), at(299)), None);
        assert_eq!(schedule.due(&boot("b"), at(1)), Some(Ability::Able));
        assert_eq!(schedule.due(&boot("a"), at(300)), Some(Ability::Able));
        schedule.found = Some((unable(), at(1)));
        assert_eq!(schedule.due(&boot("a"), at(1)), Some(unable()));
    }

    #[test]
    fn a_problem_is_looked_at_again_soon_and_a_clock_set_back_delays_nothing() {
        let mut schedule = Schedule::default();
        assert_eq!(schedule.look_in(at(0), INTERVAL), Duration::ZERO);
        schedule.found = Some((Ability::Able, at(100)));
        assert_eq!(schedule.look_in(at(110), INTERVAL), Duration::from_secs(290));
        assert_eq!(schedule.look_in(at(50), INTERVAL), Duration::ZERO);
        schedule.found = Some((Ability::Unable(Problem::unclassified("")), at(100)));
        assert_eq!(schedule.look_in(at(110), INTERVAL), Duration::from_secs(20));
    }

    fn boot(id: &str) -> BootId {
        id.parse().unwrap()
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }
}
