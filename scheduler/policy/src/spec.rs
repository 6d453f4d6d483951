//! The fields of a `RebootPolicy` as users write them.
//!
//! A field that this version does not know is an error and not ignored: a newer schema may have added a brake that a
//! scheduler of this version would not apply. The API server prunes what its schema does not know.

mod brakes;

use serde::{Deserialize, Serialize};

use crate::drain::DrainSpec;
use crate::gates::GatesSpec;
use crate::labels::LabelSelector;
use crate::needs::NeedsSpec;
#[cfg(feature = "schema")]
use crate::rules::{self, DURATION};
use crate::service::BackInServiceSpec;

pub(crate) use brakes::REBOOTS_PER_DAY;
pub use brakes::{BrakesSpec, CohortSpec, KERNEL_VERSION};

/// The default zone of windows and blackouts.
const UTC: &str = "UTC";

/// The nodes of a policy, and when they may reboot.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RebootPolicySpec {
    /// The nodes that this policy is for, by their labels. Absent or empty: every node. Of several policies for a node
    /// the one with the highest priority governs the node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_selector: Option<LabelSelector>,

    /// The greater number goes first. Two policies of one priority for one node are a conflict: the node is not rebooted.
    #[serde(default)]
    pub priority: i32,

    /// When nodes may start and be ordered to reboot: while any of these windows is open. Absent or empty: at any time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schemars(length(max = 32)))]
    pub windows: Vec<WindowSpec>,

    /// When no node may start or be ordered to reboot, whatever the windows say.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schemars(length(max = 64)))]
    pub blackouts: Vec<BlackoutSpec>,

    /// The time that a node needs before the end of an opening to start, such as 20m. Absent: twice the time that
    /// its last drain took, or the longest that a drain may take if there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(regex(pattern = DURATION), length(max = 32)))]
    pub start_margin: Option<String>,

    /// Automatic: nodes reboot when gates and budget let them. Manual: only after an operator has approved the node or
    /// the policy.
    #[serde(default, skip_serializing_if = "Approval::is_automatic")]
    pub approval: Approval,

    /// PreferNoSchedule: while a window is open, nodes that wait for their reboot carry the taint
    /// bellwether.dev/waits-for-reboot with this effect, so that pods which one reboot moves are not moved again by the
    /// next. None: no taint.
    #[serde(default, skip_serializing_if = "WaitingTaint::is_preferred")]
    pub waiting_taint: WaitingTaint,

    /// When nodes of the control plane go: after all workers of the cluster, or before them. Always one at a time, and
    /// never while another of them is disrupted.
    #[serde(default, skip_serializing_if = "ControlPlaneTurn::is_last")]
    pub control_plane: ControlPlaneTurn,

    /// How nodes are rebooted. Full: through the firmware. Kexec: the kernel that the host has loaded for kexec starts at once;
    /// a node whose host has none loaded is not drained. Soft: user space alone starts again, the kernel stays; a node whose
    /// host does not count its soft reboots (systemd 256) is not drained. Absent: Full.
    #[serde(default, skip_serializing_if = "RebootMode::is_full")]
    pub reboot_kind: RebootMode,

    /// What shows that a node needs a reboot, beside what its host shows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub needs: Option<NeedsSpec>,

    /// What keeps a node from starting, and its reboot from being ordered, though a window is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gates: Option<GatesSpec>,

    /// How nodes are drained. Absent: as the scheduler's settings say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain: Option<DrainSpec>,

    /// What has to be back before a node is uncordoned after its reboot. Absent: its pods of DaemonSets that were Ready
    /// before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub back_in_service: Option<BackInServiceSpec>,

    /// Limits beyond which the reboots of a node, of similar nodes, or of all nodes of this policy stop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub brakes: Option<BrakesSpec>,

    /// Nodes that reboot before the others of this policy. Absent: no order beyond the age of the needs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canaries: Option<CanariesSpec>,

    /// How many nodes of this policy may be disrupted at once, by us or otherwise. The scheduler's --slots limits all
    /// policies together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<BudgetSpec>,
}

/// Whether an operator has to approve reboots.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Approval {
    /// Nodes reboot when gates and budget let them.
    #[default]
    Automatic,
    /// Only after an operator has approved the node or the policy.
    Manual,
}

impl Approval {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
    fn is_automatic(&self) -> bool {
        *self == Self::Automatic
    }
}

/// The taint of nodes that wait for their reboot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum WaitingTaint {
    /// Pods that have room elsewhere go elsewhere.
    #[default]
    PreferNoSchedule,
    /// No taint.
    None,
}

impl WaitingTaint {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
    fn is_preferred(&self) -> bool {
        *self == Self::PreferNoSchedule
    }
}

/// How nodes are rebooted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum RebootMode {
    /// Through the firmware.
    #[default]
    Full,
    /// By the kernel that the host has loaded for kexec.
    Kexec,
    /// User space alone; the kernel stays.
    Soft,
}

impl RebootMode {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
    fn is_full(&self) -> bool {
        *self == Self::Full
    }
}

/// When nodes of the control plane go.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum ControlPlaneTurn {
    /// After the workers of all policies.
    #[default]
    Last,
    /// Before the workers of all policies.
    First,
}

impl ControlPlaneTurn {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
    fn is_last(&self) -> bool {
        *self == Self::Last
    }
}

/// How a rollout begins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum RampUp {
    /// With one node: the others start once a node of the policy is back from its reboot.
    #[default]
    FirstAlone,
    /// With as many nodes as may be disrupted at once.
    None,
}

/// How many nodes of a policy may be disrupted at once.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(extend("x-kubernetes-validations" = rules::RULES_OF_BUDGET))
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BudgetSpec {
    /// How many nodes, such as 2, or which share of the policy's nodes, such as 10%. A share is rounded down, and
    /// is at least one node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_unavailable: Option<IntOrString>,

    /// Limits by the values of labels, such as topology.kubernetes.io/zone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schemars(length(max = 4)))]
    pub topology: Vec<TopologySpec>,

    /// FirstAlone: a rollout begins with one node, and the others start once a node of this policy has come back from a
    /// reboot within the last 24 hours. None: it begins with as many nodes as may be disrupted at once. Absent: FirstAlone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "RampUp"))]
    pub ramp_up: Option<RampUp>,
}

/// Limits by the values of one label: nodes of the policy with the same value are one domain, and so are those
/// without the label.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(extend("x-kubernetes-validations" = rules::RULES_OF_TOPOLOGY))
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TopologySpec {
    /// The label.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 317)))]
    pub key: String,

    /// How many nodes of one domain may be disrupted at once: a number, or a share of the nodes in the domain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_unavailable: Option<IntOrString>,

    /// How many domains may have disrupted nodes at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(min = 1)))]
    pub max_domains: Option<i32>,
}

/// A number, or a text such as 10%.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum IntOrString {
    /// A number.
    Int(i64),
    /// A text.
    String(String),
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for IntOrString {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "IntOrString".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "x-kubernetes-int-or-string": true,
            "x-kubernetes-validations": [rules::AMOUNT],
        })
    }
}

/// Nodes that reboot before the others: these start only once no canary needs a reboot any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CanariesSpec {
    /// The canaries, by their labels, among the nodes of the policy.
    pub node_selector: LabelSelector,

    /// The time from the last canary's reboot to the start of the first other node, such as 12h.
    #[serde(default = "one_hour")]
    #[cfg_attr(feature = "schema", schemars(regex(pattern = DURATION), length(max = 32)))]
    pub soak: String,
}

fn one_hour() -> String {
    "1h".to_owned()
}

/// A maintenance window: either days with start and end, or cron with duration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(extend("x-kubernetes-validations" = rules::RULES_OF_WINDOW))
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WindowSpec {
    /// The weekdays on which the window opens, such as Mon, Friday or Mon-Fri.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schemars(length(max = 7), inner(length(min = 1, max = 64))))]
    pub days: Vec<String>,

    /// The time of day at which the window opens, such as 22:00.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(length(max = 16)))]
    pub start: Option<String>,

    /// The time of day at which the window shuts. Not after start: on the day after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(length(max = 16)))]
    pub end: Option<String>,

    /// The times at which the window opens, as in a crontab: minute, hour, day of month, month, day of week. The third
    /// Saturday of each month at 2 o'clock is "0 2 * * SAT#3".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 256)))]
    pub cron: Option<String>,

    /// How long a window with cron is open, such as 4h.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(regex(pattern = DURATION), length(max = 32)))]
    pub duration: Option<String>,

    /// The time zone of the window: an IANA name such as Europe/Berlin, or UTC.
    #[serde(default = "utc")]
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 64)))]
    pub time_zone: String,
}

/// A time in which nothing starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BlackoutSpec {
    /// The first date, such as 2026-12-20, or a date and time such as 2026-12-20T18:00.
    #[cfg_attr(feature = "schema", schemars(length(max = 32)))]
    pub from: String,

    /// The last date, which is part of the blackout; or the date and time at which the blackout ends.
    #[cfg_attr(feature = "schema", schemars(length(max = 32)))]
    pub to: String,

    /// The time zone of both: an IANA name such as Europe/Berlin, or UTC.
    #[serde(default = "utc")]
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 64)))]
    pub time_zone: String,

    /// The reason, which operators read beside each node that waits.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[cfg_attr(feature = "schema", schemars(length(max = 256)))]
    pub reason: String,
}

fn utc() -> String {
    UTC.to_owned()
}
