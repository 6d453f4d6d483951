//! What is reported, and when: a look at the host goes in, a report to store comes out.
//!
//! A report counts only once it is stored, so that of several that could not be stored the newest wins.

use std::collections::BTreeSet;
use std::time::Duration;

use bellwether_chassis_core::due::{Due, Why};
use bellwether_proto::{BootId, HostReport, NeedReport, NodeName, RebootNeed, TraceParent};
use jiff::{SignedDuration, Timestamp};

use crate::dates::Dates;
use crate::look::{Look, Probed};
use crate::merge::{Need, merge};

/// What stays the same for as long as the process runs.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The node.
    pub node: NodeName,
    /// The boot.
    pub boot_id: BootId,
    /// The kernel of this boot.
    pub kernel_running: String,
    /// Version of this agent.
    pub agent_version: &'static str,
    /// How often a report comes without a change.
    pub refresh_interval: Duration,
}

/// Decides what to report.
#[derive(Debug)]
pub struct Reporter {
    identity: Identity,
    /// By the reports without their times.
    due: Due<HostReport>,
    lasting: Lasting,
    dates: Dates,
    /// The earliest time of the file of the need that lasts.
    first_since: Option<Timestamp>,
}

/// The need that lasts, as far as a trace is concerned.
#[derive(Debug, Clone, Copy)]
enum Lasting {
    /// The host needs no reboot.
    NoNeed,
    /// The host needs a reboot, and the need was not traced.
    Untraced,
    /// The host needs a reboot, and this is the trace of the need.
    Traced(TraceParent),
}

impl Lasting {
    fn trace(self) -> Option<TraceParent> {
        match self {
            Self::Traced(trace) => Some(trace),
            Self::NoNeed | Self::Untraced => None,
        }
    }
}

impl Reporter {
    /// Decides for this host; nothing is reported yet.
    #[must_use]
    pub fn new(identity: Identity) -> Self {
        Self {
            identity,
            due: Due::default(),
            lasting: Lasting::NoNeed,
            dates: Dates::default(),
            first_since: None,
        }
    }

    /// Takes over trace and age of the need from the report that is stored, before the first look, so that a restart of
    /// the sentinel does not split the one and shorten the other. A need of another boot or node does not count.
    pub fn handle_previous(&mut self, previous: HostReport) {
        if previous.node != self.identity.node || previous.boot_id != self.identity.boot_id {
            return;
        }
        self.dates.handle_previous(previous.probes);
        if let NeedReport::Required(need) = previous.need {
            self.first_since = Some(need.first_since);
            // A need without a trace may still get one.
            self.lasting = need.trace.map_or(Lasting::NoNeed, Lasting::Traced);
        }
    }

    /// Takes a look at the host, and hands out the report that is due, if one is.
    ///
    /// `first_seen` is asked for a trace when a need begins; its ids are random, so they come from outside.
    pub fn handle_look(
        &mut self,
        look: Look,
        now: Timestamp,
        first_seen: impl FnOnce(&Need) -> Option<TraceParent>,
    ) -> Option<(HostReport, Why)> {
        let services_to_restart = services(&look.probes);
        let probes = self.dates.date(look.probes, now);
        let need = match merge(&probes) {
            Ok(Some(need)) => {
                let trace = self.trace_of(&need, first_seen);
                let first_since = self
                    .first_since
                    .map_or(need.first_since, |first| first.min(need.first_since));
                self.first_since = Some(first_since);
                NeedReport::Required(RebootNeed {
                    since: need.since,
                    first_since,
                    reasons: need.reasons,
                    trace,
                    undated: need.undated,
                })
            }
            Ok(None) => {
                self.lasting = Lasting::NoNeed;
                self.first_since = None;
                NeedReport::NotRequired
            }
            // Unknown is not "no": the need may well last.
            Err(problem) => NeedReport::Unknown(problem),
        };
        let report = HostReport {
            node: self.identity.node.clone(),
            boot_id: self.identity.boot_id.clone(),
            reported_at: now,
            booted_at: look.booted_at,
            refresh_interval: SignedDuration::try_from(self.identity.refresh_interval).unwrap_or(SignedDuration::MAX),
            need,
            kernel_running: self.identity.kernel_running.clone(),
            kernel_installed: look.kernel_installed,
            os: look.os,
            agent_version: self.identity.agent_version.to_owned(),
            probes,
            services_to_restart,
        };
        let why = self.due.why(&content(&report), now)?;
        Some((report, why))
    }

    /// Takes note that a report is stored; the next one is due this much later.
    pub fn handle_stored(&mut self, report: &HostReport, refresh_after: Duration) {
        self.due
            .handle_stored(content(report), report.reported_at, refresh_after);
    }

    /// Takes note of a new connection to NATS: a report is due, since the server may have lost the one before.
    pub fn handle_connection(&mut self) {
        self.due.handle_connection();
    }

    /// How long until a report is due even if nothing changes; zero: now.
    #[must_use]
    pub fn poll_timeout(&self, now: Timestamp) -> Duration {
        self.due.refresh_in(now)
    }

    fn trace_of(&mut self, need: &Need, first_seen: impl FnOnce(&Need) -> Option<TraceParent>) -> Option<TraceParent> {
        if matches!(self.lasting, Lasting::NoNeed) {
            self.lasting = first_seen(need).map_or(Lasting::Untraced, Lasting::Traced);
        }
        self.lasting.trace()
    }
}

/// The services that any probe names, each once and in order.
fn services(probes: &[Probed]) -> Vec<String> {
    let named = probes.iter().flat_map(|probed| probed.sight.services.iter().cloned());
    named.collect::<BTreeSet<_>>().into_iter().collect()
}

/// The content of a report, without what moves with the host's clock.
fn content(report: &HostReport) -> HostReport {
    HostReport {
        reported_at: Timestamp::UNIX_EPOCH,
        booted_at: None,
        ..report.clone()
    }
}

#[cfg(test)]
mod tests {
    use bellwether_proto::{Problem, ProblemCode};
    use proptest::prelude::*;

    use super::*;
    use crate::look::{Finding, Shown, Sight};

    const REFRESH: Duration = Duration::from_secs(300);

    #[test]
    fn the_first_look_is_reported_whatever_it_shows() {
        let (report, why) = reporter().handle_look(look(Ok(None)), at(0), no_trace).unwrap();
        assert_eq!((why, report.need), (Why::Start, NeedReport::NotRequired));
    }

    #[test]
    fn without_a_change_nothing_is_sent_until_it_is_time() {
        let mut reporter = stored(Ok(None), 0);
        assert_eq!(reporter.handle_look(look(Ok(None)), at(299), no_trace), None);
        let (_, why) = reporter.handle_look(look(Ok(None)), at(300), no_trace).unwrap();
        assert_eq!(why, Why::Refresh);
    }

    #[test]
    fn a_change_is_sent_at_once_and_again_until_it_is_stored() {
        let mut reporter = stored(Ok(None), 0);
        for second in 1..4 {
            let (report, why) = reporter
                .handle_look(look(Ok(Some(need(1)))), at(second), no_trace)
                .unwrap();
            assert_eq!((why, report.reported_at), (Why::Change, at(second)));
        }
    }

    #[test]
    fn services_to_restart_are_named_once_and_are_no_need() {
        let mut reporter = stored(Ok(None), 0);
        let mut look = look(Ok(None));
        for services in [&["ssh", "cron"][..], &["cron", "dbus"]] {
            let services = services.iter().map(|&service| service.to_owned()).collect();
            let finding = Finding::NotRequired;
            look.probes.push(Probed {
                name: "needrestart".to_owned(),
                kind: "command",
                sight: Sight { finding, services },
            });
        }
        let (report, why) = reporter.handle_look(look, at(1), no_trace).unwrap();
        assert_eq!((why, report.need), (Why::Change, NeedReport::NotRequired));
        assert_eq!(report.services_to_restart, ["cron", "dbus", "ssh"]);
    }

    #[test]
    fn a_probe_error_is_neither_yes_nor_no() {
        let mut reporter = stored(Ok(Some(need(1))), 0);
        let (report, why) = reporter.handle_look(look(Err(())), at(1), no_trace).unwrap();
        assert_eq!(why, Why::Change);
        let problem = report.need.problem().unwrap();
        assert_eq!(problem.code, ProblemCode::SentinelFileUnreadable);
        assert!(problem.message.contains("denied"), "{problem:?}");
    }

    #[test]
    fn a_clock_that_is_set_back_does_not_silence_the_sentinel() {
        let mut reporter = stored(Ok(None), 1_000_000);
        let (_, why) = reporter.handle_look(look(Ok(None)), at(5), no_trace).unwrap();
        assert_eq!(why, Why::Refresh);
    }

    #[test]
    fn a_clock_that_jumps_by_a_year_costs_a_report_and_neither_makes_nor_ends_a_need() {
        const YEAR: i64 = 31_536_000;
        for jump in [YEAR, -YEAR] {
            // Written before the jump, as the file shows afterwards too.
            let written = 2 * YEAR;
            let mut reporter = stored(Ok(Some(need(written))), written + 10);
            let now = written + 10 + jump;
            let (report, why) = reporter
                .handle_look(look(Ok(Some(need(written)))), at(now), no_trace)
                .unwrap();
            let shown = report.need.required().unwrap();
            assert_eq!(
                (why, shown.since, shown.first_since),
                (Why::Refresh, at(written), at(written))
            );
            reporter.handle_stored(&report, REFRESH);
            assert_eq!(reporter.poll_timeout(at(now)), REFRESH, "the next one is due as ever");
            let (report, why) = reporter.handle_look(look(Ok(None)), at(now), no_trace).unwrap();
            assert_eq!((why, report.need), (Why::Change, NeedReport::NotRequired));
        }
    }

    #[test]
    fn a_need_keeps_its_trace_through_changes_and_probe_errors_and_loses_it_when_it_ends() {
        let mut reporter = reporter();
        let trace = |report: Option<(HostReport, Why)>| report.unwrap().0.need.required().unwrap().trace;
        assert_eq!(
            trace(reporter.handle_look(look(Ok(Some(need(1)))), at(1), |_| Some(span(1)))),
            Some(span(1))
        );
        reporter.handle_look(look(Err(())), at(2), |_| Some(span(2)));
        assert_eq!(
            trace(reporter.handle_look(look(Ok(Some(need(3)))), at(3), |_| Some(span(3)))),
            Some(span(1))
        );
        reporter.handle_look(look(Ok(None)), at(4), |_| Some(span(4)));
        assert_eq!(
            trace(reporter.handle_look(look(Ok(Some(need(5)))), at(5), |_| Some(span(5)))),
            Some(span(5))
        );
    }

    #[test]
    fn a_need_keeps_its_age_when_the_file_is_written_again_and_loses_it_when_it_ends() {
        let mut reporter = reporter();
        let mut age = |shown, second| {
            let report = reporter.handle_look(look(shown), at(second), no_trace).unwrap().0;
            report.need.required().map(|need| (need.since, need.first_since))
        };
        assert_eq!(age(Ok(Some(need(10))), 11), Some((at(10), at(10))));
        assert_eq!(age(Ok(Some(need(20))), 21), Some((at(20), at(10))));
        assert_eq!(age(Err(()), 22), None, "unknown is not the end");
        assert_eq!(age(Ok(Some(need(30))), 31), Some((at(30), at(10))));
        assert_eq!(
            age(Ok(Some(need(5))), 32),
            Some((at(5), at(5))),
            "the clock was set back"
        );
        assert_eq!(age(Ok(None), 33), None);
        assert_eq!(age(Ok(Some(need(40))), 41), Some((at(40), at(40))));
    }

    #[test]
    fn a_restart_keeps_the_age_of_a_need_of_the_same_boot_only() {
        let before = |change: fn(&mut HostReport), shown| {
            let (mut report, _) = reporter().handle_look(look(shown), at(1), no_trace).unwrap();
            change(&mut report);
            let mut restarted = reporter();
            restarted.handle_previous(report);
            let (report, _) = restarted.handle_look(look(Ok(Some(need(9)))), at(9), no_trace).unwrap();
            report.need.required().unwrap().first_since
        };
        assert_eq!(before(|_| (), Ok(Some(need(1)))), at(1));
        assert_eq!(
            before(|report| report.boot_id = "other".parse().unwrap(), Ok(Some(need(1)))),
            at(9)
        );
        assert_eq!(
            before(|report| report.node = "other".parse().unwrap(), Ok(Some(need(1)))),
            at(9)
        );
        assert_eq!(before(|_| (), Ok(None)), at(9));
    }

    #[test]
    fn a_restart_goes_on_with_the_trace_of_a_need_that_lasts_in_the_same_boot_only() {
        let before = |change: fn(&mut HostReport)| {
            let look = look(Ok(Some(need(1))));
            let (mut report, _) = reporter().handle_look(look, at(1), |_| Some(span(1))).unwrap();
            change(&mut report);
            let mut restarted = reporter();
            restarted.handle_previous(report);
            let look = self::look(Ok(Some(need(1))));
            let (report, _) = restarted.handle_look(look, at(9), |_| Some(span(9))).unwrap();
            report.need.required().unwrap().trace.unwrap()
        };
        assert_eq!(before(|_| ()), span(1));
        assert_eq!(before(|report| report.boot_id = "other".parse().unwrap()), span(9));
        let written_again = |report: &mut HostReport| {
            let NeedReport::Required(need) = &mut report.need else {
                panic!("no need")
            };
            need.since = at(7);
        };
        assert_eq!(before(written_again), span(1), "no report in between had no need");
        assert_eq!(before(|report| report.need = NeedReport::NotRequired), span(9));
    }

    proptest! {
        #[test]
        fn what_is_stored_is_never_older_than_the_refresh_nor_other_than_the_host(
            steps in proptest::collection::vec((0..200_i64, 0..3_u8, any::<bool>()), 1..60),
        ) {
            let mut reporter = reporter();
            let (mut now, mut told) = (0, None::<(i64, u8)>);
            for (wait, state, bus_works) in steps {
                now += wait;
                let seen = match state {
                    0 => Ok(None),
                    1 => Ok(Some(need(1))),
                    _ => Err(()),
                };
                if let Some((report, _)) = reporter.handle_look(look(seen), at(now), no_trace) {
                    if bus_works {
                        reporter.handle_stored(&report, REFRESH);
                        told = Some((now, state));
                    }
                } else {
                    let (when, what) = told.unwrap();
                    prop_assert_eq!(what, state);
                    prop_assert!(now - when < 300);
                }
            }
        }
    }

    fn reporter() -> Reporter {
        Reporter::new(Identity {
            node: "n1".parse().unwrap(),
            boot_id: "b1".parse().unwrap(),
            kernel_running: "6.12.41".to_owned(),
            agent_version: "0.1.0",
            refresh_interval: REFRESH,
        })
    }

    fn stored(seen: Result<Option<Shown>, ()>, second: i64) -> Reporter {
        let mut reporter = reporter();
        let (report, _) = reporter.handle_look(look(seen), at(second), no_trace).unwrap();
        reporter.handle_stored(&report, REFRESH);
        reporter
    }

    fn look(seen: Result<Option<Shown>, ()>) -> Look {
        let finding = match seen {
            Ok(Some(shown)) => Finding::Required(shown),
            Ok(None) => Finding::NotRequired,
            Err(()) => Finding::Unknown(Problem::new(ProblemCode::SentinelFileUnreadable, "denied")),
        };
        Look {
            probes: vec![Probed {
                name: "file".to_owned(),
                kind: "file",
                sight: finding.into(),
            }],
            booted_at: Some(at(0)),
            kernel_installed: None,
            os: String::new(),
        }
    }

    fn need(since: i64) -> Shown {
        Shown {
            since: Some(at(since)),
            reasons: vec!["linux-base".to_owned()],
            kernel_change: None,
        }
    }

    fn no_trace(_: &Need) -> Option<TraceParent> {
        None
    }

    fn span(id: u8) -> TraceParent {
        TraceParent {
            trace_id: [id; 16],
            span_id: [id; 8],
            sampled: true,
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }
}
