//! The sentinel's loop: look, report what is due, wait for a hint or for the time.
//!
//! Owner of the connection and of all state. It never ends by itself: what fails is tried
//! again, and each look starts from what is true then.

use std::time::Duration;

use bellwether_chassis::admin::Health;
use bellwether_chassis::clock::{self, jitter};
use bellwether_chassis::{Bus, Chassis, Retry, nats, propagate};
use bellwether_proto::readiness::{Part, ReadinessCode};
use bellwether_proto::{HostReport, NeedReport, NodeName, TraceParent, attribute};
use bellwether_sentinel_core::{Identity, Look, Need, Reporter, Why};

use crate::args::Args;
use crate::error::ProbeError;
use crate::metrics::Metrics;
use crate::probe::Probe;
use crate::watch::Watch;
use crate::wire;

struct Sentinel {
    bus: Bus,
    probe: Probe,
    reporter: Reporter,
    health: Health,
    metrics: Metrics,
    node: NodeName,
    refresh_interval: Duration,
    /// The stored report of a sentinel before us was looked for.
    looked_back: bool,
    publishing: Retry,
    /// The last probe error in the log, so that it stands there once.
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
    let mut sentinel = Sentinel {
        bus: nats::connect(&chassis, &args.chassis, Some(&agent.node_name)).await?,
        probe: Probe::new(agent.host, args.sentinel_file),
        reporter: Reporter::new(identity),
        health: chassis.health.clone(),
        metrics,
        node: agent.node_name,
        refresh_interval: agent.refresh_interval,
        looked_back: false,
        publishing: Retry::new("store the host's report"),
        logged: None,
    };
    let mut watch = Watch::new();
    let mut connections = sentinel.bus.connections();
    loop {
        // Watched first, then looked at: what happens in between is a hint.
        if let Ok(file) = sentinel.probe.file() {
            watch.ensure(&file);
        }
        let wait = match sentinel.look_and_report().await {
            Some(delay) => delay,
            None => sentinel.refresh_in().min(jitter(args.rescan_interval)),
        };
        tokio::select! {
            () = watch.hint() => (),
            () = tokio::time::sleep(wait) => (),
            Ok(()) = connections.changed() => (),
            () = chassis.stop.cancelled() => return Ok(()),
        }
    }
}

impl Sentinel {
    /// Looks once and stores what is due. Returns how long to wait if that did not work.
    async fn look_and_report(&mut self) -> Option<Duration> {
        let look = self.look().await;
        self.look_back().await;
        let node = &self.node;
        let due = self
            .reporter
            .handle_look(look, clock::now(), |need| first_seen(node, need));
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

    async fn look(&mut self) -> Look {
        let probe = self.probe.clone();
        let look = match tokio::task::spawn_blocking(move || probe.look()).await {
            Ok(look) => look,
            Err(error) => Look {
                need: Err(ProbeError::BrokenOff(error).problem()),
                booted_at: None,
                kernel_installed: None,
                os: String::new(),
            },
        };
        self.metrics.looked(&look);
        let error = look.need.as_ref().err().map(|problem| problem.message.clone());
        if error != self.logged {
            match &error {
                Some(error) => tracing::warn!(error, "Host cannot be looked at"),
                None => tracing::info!("Host can be looked at again"),
            }
            self.logged = error;
        }
        look
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

/// The beginning of a trace: all that follows from this need is part of it.
fn first_seen(node: &NodeName, need: &Need) -> Option<TraceParent> {
    let span = tracing::info_span!("reboot required", { attribute::NODE } = %node, reasons = need.reasons.len());
    span.in_scope(|| tracing::info!(since = %need.since, reasons = ?need.reasons, "Reboot required"));
    propagate::context_of(&span)
}
