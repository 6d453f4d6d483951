//! The preflight: could this host be rebooted? Tried out before anybody relies on it, and reported.
//!
//! Owned by `run.rs`. When to look and when to report is decided by [`Schedule`], which reads no clock.

use std::time::Duration;

use bellwether_chassis::admin::Health;
use bellwether_chassis::clock::{self, jitter};
use bellwether_chassis::{Bus, Chassis, RecordKeyFile, Retry};
use bellwether_proto::readiness::{Part, ReadinessCode};
use bellwether_proto::{
    BootId, KeyId, KindPreflight, NodeName, Problem, ProblemCode, PublicKeys, RebootKind, RebooterReport,
};
use bellwether_rebooter_core::schedule::{Ability, Schedule};
use jiff::SignedDuration;

use crate::metrics::Metrics;
use crate::reboot::Method;
use crate::systemd::Systemd;
use crate::wire;

/// The problem of a host that was ordered to reboot and still runs.
const SPENT: &str = "its reboot was called in this boot, and it still runs: reboot it by hand, or restart this pod to have it called again";

/// Makes the preflight and keeps its report stored.
#[derive(Debug)]
pub(crate) struct Preflight {
    method: Method,
    systemd: Systemd,
    node: NodeName,
    refresh_interval: Duration,
    /// The same, varied downwards: a fleet does not report in step, and no report comes late.
    own_interval: Duration,
    agent_version: &'static str,
    /// The methods by which this boot's reboot was called: there is no other call, so this host must not be drained again.
    spent: Vec<&'static str>,
    schedule: Schedule,
    /// The keys of records, and those of the report that is stored.
    keys: RecordKeyFile,
    reported_keys: Vec<KeyId>,
    publishing: Retry,
    health: Health,
    metrics: Metrics,
}

impl Preflight {
    pub(crate) fn new(
        method: Method,
        systemd: Systemd,
        node: NodeName,
        refresh_interval: Duration,
        keys: RecordKeyFile,
        chassis: &Chassis,
        metrics: Metrics,
    ) -> Self {
        let health = chassis.health.clone();
        health.not_ready(ReadinessCode::ReportPending, "the preflight is not reported yet");
        Self {
            method,
            systemd,
            node,
            refresh_interval,
            own_interval: jitter(refresh_interval).min(refresh_interval),
            agent_version: chassis.service.version,
            spent: Vec::new(),
            schedule: Schedule::default(),
            keys,
            reported_keys: Vec::new(),
            publishing: Retry::new("store the rebooter's report"),
            health,
            metrics,
        }
    }

    /// Takes note that this boot's reboot was called by this method. Reported soon, unless the host goes down first.
    pub(crate) fn spend(&mut self, method: &'static str) {
        self.spent.push(method);
        self.schedule.forget();
    }

    /// Takes note that the call has not arrived: the host can be rebooted as before.
    pub(crate) fn unspend(&mut self) {
        self.spent.clear();
        self.schedule.forget();
    }

    /// Takes note of a new connection to NATS: a report is due.
    pub(crate) fn handle_connection(&mut self) {
        self.schedule.handle_connection();
    }

    /// Tries out now, for a reboot of this kind. Returns the problem, if there is one.
    pub(crate) async fn check(&mut self, kind: RebootKind) -> Option<Problem> {
        let ability = if !self.spent.is_empty() {
            let message = format!("{SPENT}; called by {}", self.spent.join(", then by "));
            Ability::Unable(Problem::new(ProblemCode::RebootAlreadyCalled, message))
        } else {
            let tried = self.method.preflight().await;
            tried.map_or_else(|error| Ability::Unable(error.problem()), |()| Ability::Able)
        };
        self.metrics.preflight(ability == Ability::Able);
        if self.schedule.found() != Some(&ability) {
            let method = self.method.name();
            match &ability {
                Ability::Able => tracing::info!(method, "Host could be rebooted"),
                Ability::Unable(Problem { code, message }) => {
                    tracing::warn!(method, %code, problem = message, "Host could not be rebooted: it will not be drained");
                }
            }
        }
        let problem = ability.problem().cloned();
        self.schedule.handle_found(ability, clock::now());
        let mut kinds = Vec::new();
        for kind in RebootKind::OTHERS {
            let tried = self.method.preflight_of(kind).await;
            let problem = tried.err().map(|error| error.problem());
            kinds.push(KindPreflight { kind, problem });
        }
        let of_kind = kinds.iter().find(|preflight| preflight.kind == kind);
        let problem = problem.or_else(|| of_kind?.problem.clone());
        let soft_reboots = self.systemd.soft_reboots().await;
        self.schedule.handle_kinds(kinds, soft_reboots);
        problem
    }

    /// Tries out and reports, each if it is due. Returns how long to wait before the next time.
    pub(crate) async fn keep_reported(&mut self, bus: &Bus, boot_id: &BootId) -> Duration {
        if self.schedule.look_in(clock::now(), self.own_interval).is_zero() {
            self.check(RebootKind::Full).await;
        }
        if self
            .schedule
            .boot_look_in(boot_id, clock::now(), self.own_interval)
            .is_zero()
        {
            self.look_at_boot(boot_id).await;
        }
        let keys: Vec<KeyId> = self.keys.read().iter().flat_map(PublicKeys::ids).collect();
        if keys != self.reported_keys {
            self.schedule.forget_stored();
        }
        let now = clock::now();
        if let Some(content) = self.schedule.due(boot_id, now) {
            let report = RebooterReport {
                node: self.node.clone(),
                boot_id: boot_id.clone(),
                reported_at: now,
                refresh_interval: SignedDuration::try_from(self.refresh_interval).unwrap_or(SignedDuration::MAX),
                method: self.method.name().to_owned(),
                problem: content.ability.problem().cloned(),
                agent_version: self.agent_version.to_owned(),
                record_keys: Some(keys.clone()),
                boot: content.boot.clone(),
                kinds: content.kinds.clone(),
                soft_reboots: content.soft_reboots,
            };
            match wire::store_report(bus, &report).await {
                Ok(_) => {
                    self.publishing.worked();
                    self.health.ready(Part::Report);
                }
                Err(error) => return self.publishing.failed(&error),
            }
            self.reported_keys = keys;
            self.schedule.handle_stored(content, now, self.own_interval);
        }
        self.schedule.wake_in(boot_id, clock::now(), self.own_interval)
    }

    /// Looks at the boot that runs. What is new of it goes into the log.
    async fn look_at_boot(&mut self, boot_id: &BootId) {
        let found = self.systemd.boot().await;
        let before = self.schedule.boot(boot_id);
        if let Some(boot) = &found
            && boot.is_finished()
            && before != Some(boot)
        {
            let seconds = |phase: Option<SignedDuration>| phase.map(|phase| phase.as_secs_f64());
            tracing::info!(
                %boot_id,
                firmware = seconds(boot.firmware),
                loader = seconds(boot.loader),
                kernel = seconds(boot.kernel),
                initrd = seconds(boot.initrd),
                userspace = seconds(boot.userspace),
                failed_units = ?boot.failed_units,
                "Boot finished"
            );
        }
        self.schedule.handle_boot(boot_id, found, clock::now());
    }
}
