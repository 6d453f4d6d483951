//! What is true on a host: the reports of its two agents.

use jiff::{SignedDuration, Timestamp};

use crate::boot::BootReport;
use crate::field::{duration_required, instant, instant_required, optional, to_duration, to_timestamp};
use crate::ids::{BootId, NodeName, TraceParent};
use crate::limit::REFRESH_INTERVAL_MAX;
use crate::message::{Message, WireError};
use crate::probe::ProbeReport;
use crate::problem::Problem;
use crate::reboot_kind::{KindPreflight, RebootKind};
use crate::signature::KeyId;
use crate::wire;

/// The sentinel's view of its host. See [`wire::HostReport`].
#[derive(Debug, Clone, PartialEq)]
pub struct HostReport {
    /// The host's node.
    pub node: NodeName,
    /// The boot that runs.
    pub boot_id: BootId,
    /// When the host was looked at, by its own clock.
    pub reported_at: Timestamp,
    /// When the boot began, by the host's clock as it was at `reported_at`, if the sentinel knows.
    pub booted_at: Option<Timestamp>,
    /// How often a report comes without a change: at least each [`REFRESH_INTERVAL_MAX`].
    pub refresh_interval: SignedDuration,
    /// Whether a reboot is required.
    pub need: NeedReport,
    /// The kernel that runs.
    pub kernel_running: String,
    /// The newest installed kernel, if the host shows one.
    pub kernel_installed: Option<String>,
    /// The operating system.
    pub os: String,
    /// Version of the agent.
    pub agent_version: String,
    /// What each probe shows; none if the sentinel does not say.
    pub probes: Vec<ProbeReport>,
    /// Services whose restart would do, without a reboot.
    pub services_to_restart: Vec<String>,
}

/// Whether a host needs a reboot.
#[derive(Debug, Clone, PartialEq)]
pub enum NeedReport {
    /// It does.
    Required(RebootNeed),
    /// It does not.
    NotRequired,
    /// The sentinel could not look at the host. Unknown is neither required nor not required.
    Unknown(Problem),
}

impl NeedReport {
    /// The need, if the host reports one.
    #[must_use]
    pub fn required(&self) -> Option<&RebootNeed> {
        match self {
            Self::Required(need) => Some(need),
            Self::NotRequired | Self::Unknown(_) => None,
        }
    }

    /// Why the need is unknown, if it is.
    #[must_use]
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Unknown(problem) => Some(problem),
            Self::NotRequired | Self::Required(_) => None,
        }
    }
}

/// A host's need for a reboot.
#[derive(Debug, Clone, PartialEq)]
pub struct RebootNeed {
    /// When the sentinel file was last written, by the host's clock.
    pub since: Timestamp,
    /// The earliest such time of this need in this boot: its age, however often the file is written again.
    pub first_since: Timestamp,
    /// What asks for it.
    pub reasons: Vec<String>,
    /// Where the need was first reported, if it was traced.
    pub trace: Option<TraceParent>,
    /// Nothing shows that it began in this boot: `since` says only when it was first reported.
    pub undated: bool,
}

impl Message for HostReport {
    const TYPE: &'static str = "bellwether.v1.HostReport";
    type Wire = wire::HostReport;

    fn from_wire(wire: Self::Wire) -> Result<Self, WireError> {
        let need = match Problem::from_wire(wire.probe_problem, wire.probe_error) {
            Some(problem) => NeedReport::Unknown(problem),
            None => match wire.need {
                Some(need) => NeedReport::Required(need_from_wire(need)?),
                None => NeedReport::NotRequired,
            },
        };
        Ok(Self {
            node: wire.node.parse().map_err(WireError::id(Self::TYPE, "node"))?,
            boot_id: wire.boot_id.parse().map_err(WireError::id(Self::TYPE, "boot_id"))?,
            reported_at: instant_required(Self::TYPE, "reported_at", wire.reported_at)?,
            booted_at: instant(Self::TYPE, "booted_at", wire.booted_at)?,
            refresh_interval: refresh_interval(Self::TYPE, wire.refresh_interval)?,
            need,
            kernel_running: wire.kernel_running,
            kernel_installed: Some(wire.kernel_installed).filter(|kernel| !kernel.is_empty()),
            os: wire.os,
            agent_version: wire.agent_version,
            probes: wire
                .probes
                .into_iter()
                .map(ProbeReport::from_wire)
                .collect::<Result<_, _>>()?,
            services_to_restart: wire.services_to_restart,
        })
    }

    fn to_wire(&self) -> Self::Wire {
        wire::HostReport {
            node: self.node.to_string(),
            boot_id: self.boot_id.to_string(),
            reported_at: Some(to_timestamp(self.reported_at)),
            refresh_interval: Some(to_duration(self.refresh_interval.min(REFRESH_INTERVAL_MAX))),
            need: self.need.required().map(|need| wire::RebootNeed {
                since: Some(to_timestamp(need.since)),
                first_since: Some(to_timestamp(need.first_since)),
                reasons: need.reasons.clone(),
                traceparent: need.trace.map(|trace| trace.to_string()).unwrap_or_default(),
                undated: need.undated,
            }),
            probe_error: self.need.problem().map(Problem::text).unwrap_or_default(),
            kernel_running: self.kernel_running.clone(),
            kernel_installed: self.kernel_installed.clone().unwrap_or_default(),
            os: self.os.clone(),
            agent_version: self.agent_version.clone(),
            probe_problem: self.need.problem().map(Problem::to_wire),
            booted_at: self.booted_at.map(to_timestamp),
            probes: self.probes.iter().map(ProbeReport::to_wire).collect(),
            services_to_restart: self.services_to_restart.clone(),
        }
    }
}

fn refresh_interval(message: &'static str, value: Option<prost_types::Duration>) -> Result<SignedDuration, WireError> {
    duration_required(message, "refresh_interval", value, REFRESH_INTERVAL_MAX)
}

fn need_from_wire(wire: wire::RebootNeed) -> Result<RebootNeed, WireError> {
    const TYPE: &str = "bellwether.v1.RebootNeed";
    let since = instant_required(TYPE, "since", wire.since)?;
    Ok(RebootNeed {
        since,
        first_since: instant(TYPE, "first_since", wire.first_since)?.unwrap_or(since),
        reasons: wire.reasons,
        trace: optional(TYPE, "traceparent", &wire.traceparent)?,
        undated: wire.undated,
    })
}

/// The rebooter's view of its own ability. See [`wire::RebooterReport`].
#[derive(Debug, Clone, PartialEq)]
pub struct RebooterReport {
    /// The host's node.
    pub node: NodeName,
    /// The boot in which the preflight was made.
    pub boot_id: BootId,
    /// When the preflight was made, by the host's clock.
    pub reported_at: Timestamp,
    /// How often a report comes without a change: at least each [`REFRESH_INTERVAL_MAX`].
    pub refresh_interval: SignedDuration,
    /// How it would reboot.
    pub method: String,
    /// Why it could not, if so.
    pub problem: Option<Problem>,
    /// Version of the agent.
    pub agent_version: String,
    /// The keys by which it verifies records; none: it is of a version before signatures, and verifies nothing.
    pub record_keys: Option<Vec<KeyId>>,
    /// The boot that runs, if the host shows it.
    pub boot: Option<BootReport>,
    /// The kinds of reboot beside the full one that it knows.
    pub kinds: Vec<KindPreflight>,
    /// How many soft reboots the boot has had, if the host shows it.
    pub soft_reboots: Option<u32>,
}

impl RebooterReport {
    /// Whether it knows this kind of reboot, and what it reports of it.
    #[must_use]
    pub fn preflight_of(&self, kind: RebootKind) -> Option<&KindPreflight> {
        self.kinds.iter().find(|preflight| preflight.kind == kind)
    }
}

impl Message for RebooterReport {
    const TYPE: &'static str = "bellwether.v1.RebooterReport";
    type Wire = wire::RebooterReport;

    fn from_wire(wire: Self::Wire) -> Result<Self, WireError> {
        Ok(Self {
            node: wire.node.parse().map_err(WireError::id(Self::TYPE, "node"))?,
            boot_id: wire.boot_id.parse().map_err(WireError::id(Self::TYPE, "boot_id"))?,
            reported_at: instant_required(Self::TYPE, "reported_at", wire.reported_at)?,
            refresh_interval: refresh_interval(Self::TYPE, wire.refresh_interval)?,
            method: wire.method,
            problem: Problem::from_wire(wire.preflight_problem, wire.problem),
            agent_version: wire.agent_version,
            record_keys: wire.record_keys.map(record_keys).transpose()?,
            boot: wire.boot.map(BootReport::from_wire).transpose()?,
            kinds: wire.kinds.into_iter().map(KindPreflight::from_wire).collect(),
            soft_reboots: wire.soft_reboots,
        })
    }

    fn to_wire(&self) -> Self::Wire {
        wire::RebooterReport {
            node: self.node.to_string(),
            boot_id: self.boot_id.to_string(),
            reported_at: Some(to_timestamp(self.reported_at)),
            refresh_interval: Some(to_duration(self.refresh_interval.min(REFRESH_INTERVAL_MAX))),
            method: self.method.clone(),
            problem: self.problem.as_ref().map(Problem::text).unwrap_or_default(),
            agent_version: self.agent_version.clone(),
            preflight_problem: self.problem.as_ref().map(Problem::to_wire),
            record_keys: self.record_keys.as_ref().map(|keys| wire::RecordKeys {
                ids: keys.iter().map(KeyId::to_string).collect(),
            }),
            boot: self.boot.as_ref().map(BootReport::to_wire),
            kinds: self.kinds.iter().map(KindPreflight::to_wire).collect(),
            soft_reboots: self.soft_reboots,
        }
    }
}

fn record_keys(wire: wire::RecordKeys) -> Result<Vec<KeyId>, WireError> {
    let ids = wire.ids.iter().map(|id| id.parse());
    ids.collect::<Result<_, _>>()
        .map_err(WireError::id("bellwether.v1.RecordKeys", "ids"))
}
