//! The sentinel of each host, and the reports of its rebooter, as in `sentinel/src/run.rs` and
//! `rebooter/src/preflight.rs`.

use std::time::Duration;

use bellwether_proto::{HostReport, Problem, ProblemCode, RebooterReport};
use bellwether_rebooter_core::schedule::{Ability, Content};
use bellwether_scheduler_core::{Input, StoredReport};
use bellwether_sentinel_core::{Finding, Identity, Look, Probed, Reporter, Shown};
use jiff::SignedDuration;

use crate::happening::Happening;
use crate::host::{Power, Process, Rebooter};
use crate::moment::{Ms, SECOND, instant};
use crate::setup::Way;
use crate::world::{World, tell};

/// A sentinel looks at its host this often even without a hint.
const RESCAN: Ms = 30 * SECOND;

impl World {
    pub(super) fn agents_end(&mut self, node: usize) {
        self.sentinel_ends(node);
        self.rebooter_ends(node);
    }

    pub(super) fn sentinel_ends(&mut self, node: usize) {
        let host = &mut self.hosts[node];
        host.reporter = None;
        host.sentinel = Process {
            run: host.sentinel.run + 1,
            ..Process::default()
        };
    }

    pub(super) fn rebooter_ends(&mut self, node: usize) {
        let host = &mut self.hosts[node];
        let process = Process {
            run: host.rebooter.process.run + 1,
            ..Process::default()
        };
        host.rebooter = Rebooter {
            process,
            ..Rebooter::default()
        };
    }

    pub(crate) fn sentinel_starts(&mut self, node: usize, life: u32) {
        let refresh_interval = self.refresh();
        let stored = self.bus.sentinels[node].clone();
        let host = &mut self.hosts[node];
        if host.life != life || host.power == Power::Down || host.sentinel.is_up {
            return;
        }
        let mut reporter = Reporter::new(Identity {
            node: self.names[node].clone(),
            boot_id: host.boot.clone(),
            kernel_running: String::new(),
            agent_version: "sim",
            refresh_interval,
        });
        if let Some(stored) = stored {
            reporter.handle_previous(stored.report);
        }
        host.reporter = Some(reporter);
        host.sentinel.is_up = true;
        self.wake_sentinel_in(node, 1);
    }

    fn refresh(&self) -> Duration {
        Duration::from_millis(self.setup.refresh.unsigned_abs())
    }

    /// The host has changed: the file system tells the sentinel, or its next look shows it.
    pub(super) fn sentinel_hinted(&mut self, node: usize) {
        let delay = if self.random.chance(100) {
            self.random.between(1, RESCAN)
        } else {
            self.random.between(1, 500)
        };
        self.wake_sentinel_in(node, delay);
    }

    fn wake_sentinel_in(&mut self, node: usize, delay: Ms) {
        let at = self.now + delay;
        let process = &mut self.hosts[node].sentinel;
        if !process.is_up || (process.wakes_at > self.now && process.wakes_at <= at) {
            return;
        }
        process.wakes_at = at;
        process.token = process.token.wrapping_add(1);
        let token = process.token;
        self.enter(delay, Happening::SentinelWakes(node, token));
    }

    pub(crate) fn sentinel_wakes(&mut self, node: usize, token: u32) {
        let now = self.at(self.hosts[node].skew);
        let host = &mut self.hosts[node];
        if host.sentinel.token != token || host.sentinel.is_storing {
            return;
        }
        let Some(reporter) = &mut host.reporter else {
            return;
        };
        let finding = match host.need {
            _ if host.probe_fails => {
                Finding::Unknown(Problem::new(ProblemCode::SentinelFileUnreadable, "permission denied"))
            }
            None => Finding::NotRequired,
            Some(need) => Finding::Required(Shown {
                since: Some(need.since),
                reasons: Vec::new(),
                kernel_change: None,
            }),
        };
        let look = Look {
            probes: vec![Probed {
                name: "file".to_owned(),
                kind: "file",
                sight: finding.into(),
            }],
            booted_at: Some(instant(host.booted + host.skew)),
            kernel_installed: None,
            os: String::new(),
        };
        if let Some((report, _)) = reporter.handle_look(look, now, |_| None) {
            host.sentinel.is_storing = true;
            let run = host.sentinel.run;
            let wait = if self.nats_is_away() {
                self.until_back(self.bus.away_until)
            } else {
                0
            };
            let delay = wait + self.delay(Way::Nats);
            self.enter(delay, Happening::SentinelReports(node, run, Box::new(report)));
        } else {
            let wait = reporter.poll_timeout(now);
            let delay = Ms::try_from(wait.as_millis()).unwrap_or(Ms::MAX / 4).max(1);
            self.wake_sentinel_in(node, delay);
        }
    }

    pub(crate) fn sentinel_reports(&mut self, node: usize, run: u32, report: HostReport) {
        let is_alive = self.hosts[node].sentinel.run == run;
        if self.nats_is_away() {
            if is_alive {
                let delay = self.until_back(self.bus.away_until);
                self.enter(delay, Happening::SentinelReports(node, run, Box::new(report)));
            }
            return;
        }
        if !is_alive && self.random.chance(500) {
            return;
        }
        let refresh = self.jittered();
        let host = &mut self.hosts[node];
        if is_alive {
            host.sentinel.is_storing = false;
            if let Some(reporter) = &mut host.reporter {
                reporter.handle_stored(&report, refresh);
            }
        }
        let need = report.need.required().is_some();
        tell!(
            self,
            "{}: sentinel reports need {need} in {}",
            self.names[node],
            report.boot_id
        );
        let stored = StoredReport {
            report,
            stored_at: self.at(0),
        };
        self.bus.sentinels[node] = Some(stored.clone());
        self.broadcast(Way::ReportsToLeader, &Input::Sentinel(stored));
        if is_alive {
            self.wake_sentinel_in(node, 1);
        }
    }

    fn jittered(&mut self) -> Duration {
        let refresh = self.setup.refresh;
        let varied = self.random.between(refresh * 9 / 10, refresh);
        Duration::from_millis(varied.unsigned_abs())
    }

    pub(crate) fn rebooter_starts(&mut self, node: usize, life: u32) {
        let host = &mut self.hosts[node];
        if host.life != life || host.power == Power::Down || host.rebooter.process.is_up {
            return;
        }
        host.rebooter.process.is_up = true;
        self.wake_rebooter_in(node, 1);
        self.rebooter_looks_in(node, 1);
    }

    pub(super) fn wake_rebooter_in(&mut self, node: usize, delay: Ms) {
        let at = self.now + delay;
        let process = &mut self.hosts[node].rebooter.process;
        if !process.is_up || (process.wakes_at > self.now && process.wakes_at <= at) {
            return;
        }
        process.wakes_at = at;
        process.token = process.token.wrapping_add(1);
        let token = process.token;
        self.enter(delay, Happening::RebooterWakes(node, token));
    }

    /// Tries out and reports, each if it is due.
    pub(crate) fn rebooter_wakes(&mut self, node: usize, token: u32) {
        let now = self.at(self.hosts[node].skew);
        let interval = self.refresh();
        if self.hosts[node].rebooter.process.token != token {
            return;
        }
        if self.hosts[node].rebooter.schedule.look_in(now, interval).is_zero() {
            self.preflight(node);
        }
        let host = &mut self.hosts[node];
        if host.rebooter.process.is_storing || !host.rebooter.process.is_up {
            return;
        }
        // Nothing here depends on what a host shows of its boot.
        if host.rebooter.schedule.boot_look_in(&host.boot, now, interval).is_zero() {
            host.rebooter.schedule.handle_boot(&host.boot, None, now);
        }
        let Some(content) = host.rebooter.schedule.due(&host.boot, now) else {
            let wait = host.rebooter.schedule.wake_in(&host.boot, now, interval);
            let delay = Ms::try_from(wait.as_millis()).unwrap_or(Ms::MAX / 4).max(1);
            self.wake_rebooter_in(node, delay);
            return;
        };
        host.rebooter.process.is_storing = true;
        let run = host.rebooter.process.run;
        let report = RebooterReport {
            node: self.names[node].clone(),
            boot_id: host.boot.clone(),
            reported_at: now,
            refresh_interval: SignedDuration::from_millis(self.setup.refresh),
            method: "logind".to_owned(),
            problem: content.ability.problem().cloned(),
            agent_version: "sim".to_owned(),
            record_keys: None,
            boot: None,
            kinds: Vec::new(),
            soft_reboots: None,
        };
        let wait = if self.nats_is_away() {
            self.until_back(self.bus.away_until)
        } else {
            0
        };
        let delay = wait + self.delay(Way::Nats);
        self.enter(delay, Happening::RebooterReports(node, run, Box::new(report)));
    }

    /// The result of a preflight now.
    pub(super) fn preflight(&mut self, node: usize) -> Option<Problem> {
        let now = self.at(self.hosts[node].skew);
        let host = &mut self.hosts[node];
        let problem = if host.rebooter.spent {
            Some(Problem::new(ProblemCode::RebootAlreadyCalled, "called already"))
        } else {
            host.preflight_fails
                .then(|| Problem::new(ProblemCode::ShutdownInhibited, "a package upgrade is under way"))
        };
        let ability = problem.clone().map_or(Ability::Able, Ability::Unable);
        host.rebooter.schedule.handle_found(ability, now);
        problem
    }

    pub(crate) fn rebooter_reports(&mut self, node: usize, run: u32, report: RebooterReport) {
        let is_alive = self.hosts[node].rebooter.process.run == run;
        if self.nats_is_away() {
            if is_alive {
                let delay = self.until_back(self.bus.away_until);
                self.enter(delay, Happening::RebooterReports(node, run, Box::new(report)));
            }
            return;
        }
        if !is_alive && self.random.chance(500) {
            return;
        }
        let (refresh, now) = (self.jittered(), self.at(self.hosts[node].skew));
        let host = &mut self.hosts[node];
        if is_alive {
            host.rebooter.process.is_storing = false;
            let content = Content {
                boot_id: report.boot_id.clone(),
                ability: report.problem.clone().map_or(Ability::Able, Ability::Unable),
                boot: report.boot.clone(),
                kinds: report.kinds.clone(),
                soft_reboots: report.soft_reboots,
            };
            host.rebooter.schedule.handle_stored(content, now, refresh);
        }
        let stored = StoredReport {
            report,
            stored_at: self.at(0),
        };
        self.bus.rebooters[node] = Some(stored.clone());
        self.broadcast(Way::ReportsToLeader, &Input::Rebooter(stored));
        if is_alive {
            self.wake_rebooter_in(node, 1);
        }
    }
}
