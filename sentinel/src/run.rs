//! The sentinel's loop: look, report what is due, wait for a hint or for the time.
//!
//! Owner of the connection and of all state. It never ends by itself: what fails is tried
//! again, and each look starts from what is true then.

use std::time::Duration;

use bellwether_chassis::admin::Health;
use bellwether_chassis::clock::{self, jitter};
use bellwether_chassis::{Bus, Chassis, HostArgs, Retry, nats};
use bellwether_proto::readiness::{Part, ReadinessCode};
use bellwether_proto::{HostReport, NeedReport, NodeName, TraceParent, attribute};
use bellwether_sentinel_core::setting;
use bellwether_sentinel_core::{Finding, Identity, Look, Need, Probed, Reporter, Sight, Why};
use tokio::time::Instant;

use crate::args::Args;
use crate::host::Facts;
use crate::job::{Job, Schedule, Wake};
use crate::metrics::Metrics;
use crate::probe::{self, Place, Probe};
use crate::{watch, wire};

/// What is true beside the need is looked at as the sentinel file is.
const FACTS: Schedule = Schedule {
    interval: None,
    on_hint: true,
    limit: Duration::from_secs(5),
};

struct Sentinel {
    bus: Bus,
    probes: Vec<Named>,
    facts: Job<HostArgs>,
    facts_known: Facts,
    reporter: Reporter,
    health: Health,
    metrics: Metrics,
    node: NodeName,
    refresh_interval: Duration,
    rescan_interval: Duration,
    /// The stored report of a sentinel before us was looked for.
    looked_back: bool,
    publishing: Retry,
}

/// A probe with what it showed last.
struct Named {
    name: String,
    kind: &'static str,
    job: Job<Probe>,
    sight: Sight,
    /// Its problem in the log, so that it stands there once.
    logged: Option<String>,
}

pub(crate) async fn run(chassis: Chassis, args: Args) -> anyhow::Result<()> {
    let metrics = chassis.metrics(Metrics::register);
    let agent = args.agent;
    // Neither can change while we run: another boot is another process.
    let identity = Identity {
        node: agent.node_name.clone(),
        boot_id: agent.host.boot_id()?,
        kernel_running: agent.host.kernel()?,
        agent_version: chassis.service.version,
        refresh_interval: agent.refresh_interval,
    };
    tracing::info!(node = %identity.node, boot_id = %identity.boot_id, kernel = identity.kernel_running, "Host found");
    chassis
        .health
        .not_ready(ReadinessCode::ReportPending, "the host is not reported yet");
    let (hint_sender, mut hints) = watch::hints();
    let place = Place {
        host: agent.host.clone(),
        sentinel_file: args.sentinel_file,
        kernel_running: identity.kernel_running.clone(),
        hints: hint_sender,
    };
    let host = agent.host;
    let mut sentinel = Sentinel {
        bus: nats::connect(&chassis, &args.chassis, Some(&agent.node_name)).await?,
        probes: args
            .probes
            .0
            .iter()
            .map(|setting| Named::new(setting, &place))
            .collect(),
        facts: Job::new(FACTS, move || host.clone()),
        facts_known: Facts::default(),
        reporter: Reporter::new(identity),
        health: chassis.health.clone(),
        metrics,
        node: agent.node_name,
        refresh_interval: agent.refresh_interval,
        rescan_interval: args.rescan_interval,
        looked_back: false,
        publishing: Retry::new("store the host's report"),
    };
    let mut connections = sentinel.bus.connections();
    let mut wake = Wake::Time;
    loop {
        let retry = tokio::select! {
            retry = sentinel.look_and_report(wake) => retry,
            () = chassis.stop.cancelled() => return Ok(()),
        };
        let refresh = sentinel.refresh_in();
        wake = tokio::select! {
            () = hints.next() => Wake::Hint,
            () = tokio::time::sleep(retry.unwrap_or(refresh)) => Wake::Again,
            () = tokio::time::sleep_until(sentinel.due()), if retry.is_none() => Wake::Time,
            Ok(()) = connections.changed() => {
                sentinel.reporter.handle_connection();
                Wake::Again
            }
            () = chassis.stop.cancelled() => return Ok(()),
        };
    }
}

impl Named {
    fn new(setting: &setting::Probe, place: &Place) -> Self {
        Self {
            name: setting.name.clone(),
            kind: setting.kind.as_str(),
            job: probe::job(setting, place.clone()),
            // Replaced by the first look, which is waited for.
            sight: Finding::NotRequired.into(),
            logged: None,
        }
    }

    async fn end(&mut self) {
        let Some(ended) = self.job.end().await else { return };
        self.sight = ended.unwrap_or_else(|error| error.finding().into());
        let problem = match &self.sight.finding {
            Finding::Unknown(problem) => Some(problem.message.clone()),
            Finding::Required(_) | Finding::NotRequired => None,
        };
        if problem != self.logged {
            match &problem {
                Some(error) => tracing::warn!(probe = self.name, error, "Host cannot be looked at"),
                None => tracing::info!(probe = self.name, "Host can be looked at again"),
            }
            self.logged = problem;
        }
    }
}

impl Sentinel {
    /// Looks once and stores what is due. Returns how long to wait if that did not work.
    async fn look_and_report(&mut self, wake: Wake) -> Option<Duration> {
        let look = self.look(wake).await;
        self.look_back().await;
        let node = &self.node;
        let due = self
            .reporter
            .handle_look(look, clock::now(), |need| Some(first_seen(node, need)));
        let (report, why) = due?;
        match wire::store(&self.bus, &report).await {
            Ok(sequence) => {
                self.publishing.worked();
                self.stored(report, why, sequence);
                None
            }
            Err(error) => Some(self.publishing.failed(&error)),
        }
    }

    /// Begins the looks that are due, and waits for each as long as it may take: all at once, so no longer than for the
    /// slowest. What does not look now shows what it showed last.
    async fn look(&mut self, wake: Wake) -> Look {
        let rescan = Instant::now() + jitter(self.rescan_interval);
        self.facts.begin(wake, rescan);
        for probe in &mut self.probes {
            probe.job.begin(wake, rescan);
        }
        if let Some(Ok(facts)) = self.facts.end().await {
            self.facts_known = facts;
        }
        for probe in &mut self.probes {
            probe.end().await;
        }
        let probes = self.probes.iter().map(|probe| Probed {
            name: probe.name.clone(),
            kind: probe.kind,
            sight: probe.sight.clone(),
        });
        let facts = self.facts_known.clone();
        let look = Look {
            probes: probes.collect(),
            booted_at: facts.booted_at,
            kernel_installed: facts.kernel_installed,
            os: facts.os,
        };
        self.metrics.looked(&look);
        look
    }

    /// When the next look is due.
    fn due(&self) -> Instant {
        let dues = self.probes.iter().map(|probe| probe.job.due());
        dues.fold(self.facts.due(), Instant::min)
    }

    /// Reads once what a sentinel before us reported. Tried again only until our own first report is stored.
    async fn look_back(&mut self) {
        if self.looked_back {
            return;
        }
        match wire::read_previous(&self.bus, &self.node).await {
            Ok(previous) => {
                self.looked_back = true;
                if let Some(previous) = previous {
                    self.reporter.handle_previous(previous);
                }
            }
            Err(error) => tracing::debug!(
                error = bellwether_chassis::chain(&error),
                "Own report of before is not known"
            ),
        }
    }

    fn stored(&mut self, report: HostReport, why: Why, sequence: u64) {
        self.looked_back = true;
        self.health.ready(Part::Report);
        self.metrics.reported(why);
        let reboot_required = match &report.need {
            NeedReport::Required(_) => Some(true),
            NeedReport::NotRequired => Some(false),
            NeedReport::Unknown(_) => None,
        };
        if why == Why::Refresh {
            tracing::debug!(sequence, "Report refreshed");
        } else {
            tracing::info!(why = why.as_str(), reboot_required, sequence, "Report stored");
        }
        // Varied downwards only: a fleet does not report in step, and no report comes late.
        let refresh_after = jitter(self.refresh_interval).min(self.refresh_interval);
        self.reporter.handle_stored(&report, refresh_after);
    }

    fn refresh_in(&self) -> Duration {
        self.reporter.poll_timeout(clock::now())
    }
}

/// The beginning of a trace: all that follows from this need is part of it. The scheduler writes its first span.
fn first_seen(node: &NodeName, need: &Need) -> TraceParent {
    let (since, reasons) = (need.since, &need.reasons);
    tracing::info!({ attribute::NODE } = %node, %since, ?reasons, "Reboot required");
    TraceParent::random()
}
