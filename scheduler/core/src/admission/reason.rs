//! The reasons why a node that may need a reboot is not rebooting: a code for programs and a
//! message for operators.

use std::sync::Arc;

use bellwether_proto::{Attempt, Cause, FleetOrder, KeyId, NodeName, Obstacle, OrderScope};
use jiff::{SignedDuration, Timestamp};

use crate::admission::budget::Holder;
use crate::admission::canaries::Canary;
use crate::admission::failures::{Cohort, Stop};
use crate::admission::policy_budget::Scope;
use crate::observed::{AnnotatedOrder, Claim};
use crate::reading::Found;
use crate::rival::Rival;
use crate::wait::Wait;

/// Why a node that may need a reboot is not rebooting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// The record of the node's attempt cannot be read: what was going on is unknown.
    RecordUnreadable(String),
    /// No sentinel has reported of this host.
    NoReport,
    /// The last report is too old to act on.
    ReportStale {
        /// When it was stored.
        stored_at: Timestamp,
    },
    /// The sentinel could not look at its host.
    ProbeError(String),
    /// An operator ordered a pause of the fleet or of the node's policy, or holds the node.
    Paused(Arc<FleetOrder>),
    /// An annotation of the Node holds the node.
    Held(Box<AnnotatedOrder>),
    /// An operator leaves the node's present need unserved.
    Skipped(Skip),
    /// The policy demands an operator's approval.
    NotApproved {
        /// The policy.
        policy: Arc<str>,
        /// The node.
        node: NodeName,
        /// Why the annotation by which the node is approved does not count; none without such an annotation.
        annotation: Option<String>,
    },
    /// Something else in the cluster reboots nodes.
    RivalFound {
        /// The first of them.
        rival: Arc<Rival>,
        /// How many more there are.
        others: usize,
    },
    /// There are policies in the cluster, and none is for this node.
    NoPolicy,
    /// Two policies of the highest priority are for this node.
    PolicyConflict {
        /// The first by name.
        first: Arc<str>,
        /// The second.
        second: Arc<str>,
    },
    /// The policy of this node has a mistake.
    PolicyRefused {
        /// The policy.
        policy: Arc<str>,
        /// Its mistakes, each with field and remedy.
        faults: String,
    },
    /// So many reboots of the policy's nodes failed that no further node starts.
    PolicyStopped {
        /// The policy.
        policy: Arc<str>,
        /// The failures.
        stop: Arc<Stop>,
    },
    /// So many reboots of similar nodes failed that no further one of them starts.
    CohortStopped {
        /// The policy.
        policy: Arc<str>,
        /// The similarity.
        cohort: Cohort,
        /// The failures.
        stop: Arc<Stop>,
    },
    /// The policy has canaries, and governs none.
    NoCanary {
        /// The policy.
        policy: Arc<str>,
    },
    /// The reboot of a canary failed.
    CanaryFailed {
        /// The policy.
        policy: Arc<str>,
        /// The canary.
        canary: NodeName,
        /// Why.
        cause: Cause,
    },
    /// A canary has to be rebooted before this node.
    CanaryFirst {
        /// The policy.
        policy: Arc<str>,
        /// The first such canary by name.
        canary: NodeName,
        /// Its state.
        state: Canary,
    },
    /// An operator skips a canary, and no other one was rebooted since its need began.
    CanarySkipped {
        /// The policy.
        policy: Arc<str>,
        /// The first such canary by name.
        canary: NodeName,
    },
    /// The canaries have been rebooted a short time ago, or the need of this node is a new one.
    CanarySoaking {
        /// The policy.
        policy: Arc<str>,
        /// Until when the other nodes wait.
        until: Timestamp,
    },
    /// No window of the policy is open, or a blackout covers this time.
    WindowShut {
        /// The policy.
        policy: Arc<str>,
        /// The reason of the blackout, if one is the cause.
        blackout: Option<String>,
        /// When nodes may start again; none: not in the next ten years.
        opens_at: Option<Timestamp>,
    },
    /// The opening of the policy's windows ends before a drain of the node would.
    WindowTooShort {
        /// The policy.
        policy: Arc<str>,
        /// When the opening ends.
        shuts_at: Timestamp,
        /// How long before that the node has to start.
        needs: SignedDuration,
    },
    /// The node is not Ready.
    NotReady,
    /// The Node object is being deleted.
    NodeDeleting,
    /// Another program has taken the node away, or is about to.
    Claimed {
        /// The claim.
        claim: Claim,
        /// The claim is older than such claims are.
        is_stale: bool,
    },
    /// An operator or another program cordoned the node.
    ForeignCordon,
    /// The node carries a cordon of ours, and no attempt is running.
    CordonLeftBehind,
    /// The node has a condition with which its policy lets no node start.
    ConditionFound {
        /// The policy.
        policy: Arc<str>,
        /// The condition, as type and status.
        condition: String,
    },
    /// The node has a taint with which its policy lets no node start.
    TaintFound {
        /// The policy.
        policy: Arc<str>,
        /// The taint, as key and effect.
        taint: String,
    },
    /// Sentinel and kubelet speak of different boots: one of them is yet to catch up.
    BootUnsettled,
    /// The need has survived the reboot that should have ended it: another reboot would not help.
    NeedSurvivedReboot,
    /// The node was rebooted as often within a day as its policy permits, and its need has returned.
    RebootLoop {
        /// How often.
        reboots: u32,
        /// Since when.
        since: Timestamp,
    },
    /// The policy's shortest time between two reboots of a node is not over.
    MinInterval {
        /// The policy.
        policy: Arc<str>,
        /// When the last reboot began.
        rebooted_at: Timestamp,
        /// When the time is over.
        until: Timestamp,
    },
    /// No rebooter has reported from this boot of the host, or not lately.
    NoRebooter,
    /// The rebooter could not reboot this host.
    PreflightFailed(String),
    /// The clock of the host, which judges until when a reboot may begin, differs from that of NATS.
    ClockOff {
        /// How far the host's is ahead; negative: behind.
        ahead: SignedDuration,
    },
    /// The rebooter does not know the key that signs records.
    RecordKeyUnknown {
        /// The key.
        key: KeyId,
    },
    /// The last attempt failed and holds its slot.
    Failed(Cause, String),
    /// The last attempt was not long ago.
    CoolingDown {
        /// Until when.
        until: Timestamp,
        /// How the last attempt ended.
        cause: Cause,
        /// The same for operators.
        message: String,
        /// How many attempts in a row ended without a reboot that ended the need.
        in_vain: u32,
    },
    /// The last attempts ended at one obstacle, so the next one would be in vain too.
    SameObstacle {
        /// Until when the node is left alone.
        until: Timestamp,
        /// The obstacle.
        obstacle: Obstacle,
        /// How many attempts in a row.
        attempts: u32,
    },
    /// A question of the policy to a Prometheus server has a result that shuts the gate.
    PrometheusShut {
        /// The policy.
        policy: Arc<str>,
        /// The gate.
        gate: String,
        /// The alerts or results.
        found: String,
    },
    /// A pod on the node shuts a gate of the policy.
    BlockingPod {
        /// The policy.
        policy: Arc<str>,
        /// The gate.
        gate: String,
        /// The pods.
        found: String,
    },
    /// The server of a gate of the policy cannot be asked.
    GateFailed {
        /// The policy.
        policy: Arc<str>,
        /// The gate.
        gate: String,
        /// Why.
        error: String,
    },
    /// The server of a gate of the policy has not answered yet.
    GateUnread {
        /// The policy.
        policy: Arc<str>,
        /// The gate.
        gate: String,
    },
    /// Some pod of the node cannot go until its owner changes something.
    DrainBlocked {
        /// The pods and what keeps them.
        found: Found,
    },
    /// Some pod of the node cannot go now, and may go in a moment.
    DrainNotNow {
        /// The pods and what keeps them.
        found: Found,
    },
    /// Whether the node can be drained is not known.
    DrainUnchecked {
        /// Why.
        error: String,
    },
    /// Another node of the control plane is disrupted, for this reason.
    ControlPlaneBusy(NodeName, Holder),
    /// The attempt of the node is running, and this is the next thing that has to happen.
    InAttempt(Wait, String),
    /// All slots are taken: those of the fleet, or those that the node's policy has for it.
    NoSlot {
        /// Of all nodes, or of some.
        scope: Scope,
        /// How many there are.
        slots: usize,
        /// By whom: the first few.
        holders: Vec<(NodeName, Holder)>,
        /// By how many.
        taken: usize,
        /// Place in the queue, from 1; none: another reason keeps the node from the queue.
        place: Option<usize>,
        /// Why no node of the queue can be checked, if so: slots may be free then.
        unchecked: Option<String>,
    },
}

/// The order by which an operator skips a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Skip {
    /// A stored order.
    Ordered(Arc<FleetOrder>),
    /// An annotation of the Node.
    Annotated(Box<AnnotatedOrder>),
}

impl Reason {
    /// The code of [`Self::NoSlot`].
    pub(crate) const NO_SLOT: &str = "NoSlot";

    /// All codes of nodes that wait, but those of [`Self::Failed`], which are the causes, and those of
    /// [`Self::InAttempt`], which are in [`Wait::ALL`].
    pub const CODES: [&str; 47] = [
        "RecordUnreadable",
        "NoReport",
        "ReportStale",
        "ProbeError",
        "Paused",
        "Held",
        "Skipped",
        "NotApproved",
        "RivalFound",
        "NoPolicy",
        "PolicyConflict",
        "PolicyRefused",
        "PolicyStopped",
        "CohortStopped",
        "NoCanary",
        "CanaryFailed",
        "CanaryFirst",
        "CanarySkipped",
        "CanarySoaking",
        "WindowShut",
        "WindowTooShort",
        "NotReady",
        "NodeDeleting",
        "Claimed",
        "ForeignCordon",
        "CordonLeftBehind",
        "ConditionFound",
        "TaintFound",
        "BootUnsettled",
        "NeedSurvivedReboot",
        "RebootLoop",
        "MinInterval",
        "NoRebooter",
        "PreflightFailed",
        "ClockOff",
        "RecordKeyUnknown",
        "CoolingDown",
        "SameObstacle",
        "ControlPlaneBusy",
        "PrometheusShut",
        "BlockingPod",
        "GateFailed",
        "GateUnread",
        "DrainBlocked",
        "DrainNotNow",
        "DrainUnchecked",
        Self::NO_SLOT,
    ];

    /// The reason for machines, from a closed list.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::RecordUnreadable(_) => "RecordUnreadable",
            Self::NoReport => "NoReport",
            Self::ReportStale { .. } => "ReportStale",
            Self::ProbeError(_) => "ProbeError",
            Self::Paused(order) if matches!(order.scope, OrderScope::Node(_)) => "Held",
            Self::Held(_) => "Held",
            Self::Paused(_) => "Paused",
            Self::Skipped(_) => "Skipped",
            Self::NotApproved { .. } => "NotApproved",
            Self::RivalFound { .. } => "RivalFound",
            Self::NoPolicy => "NoPolicy",
            Self::PolicyConflict { .. } => "PolicyConflict",
            Self::PolicyRefused { .. } => "PolicyRefused",
            Self::PolicyStopped { .. } => "PolicyStopped",
            Self::CohortStopped { .. } => "CohortStopped",
            Self::NoCanary { .. } => "NoCanary",
            Self::CanaryFailed { .. } => "CanaryFailed",
            Self::CanaryFirst { .. } => "CanaryFirst",
            Self::CanarySkipped { .. } => "CanarySkipped",
            Self::CanarySoaking { .. } => "CanarySoaking",
            Self::WindowShut { .. } => "WindowShut",
            Self::WindowTooShort { .. } => "WindowTooShort",
            Self::NotReady => "NotReady",
            Self::NodeDeleting => "NodeDeleting",
            Self::Claimed { .. } => "Claimed",
            Self::ForeignCordon => "ForeignCordon",
            Self::CordonLeftBehind => "CordonLeftBehind",
            Self::ConditionFound { .. } => "ConditionFound",
            Self::TaintFound { .. } => "TaintFound",
            Self::BootUnsettled => "BootUnsettled",
            Self::NeedSurvivedReboot => "NeedSurvivedReboot",
            Self::RebootLoop { .. } => "RebootLoop",
            Self::MinInterval { .. } => "MinInterval",
            Self::NoRebooter => "NoRebooter",
            Self::PreflightFailed(_) => "PreflightFailed",
            Self::ClockOff { .. } => "ClockOff",
            Self::RecordKeyUnknown { .. } => "RecordKeyUnknown",
            Self::Failed(cause, _) => cause.as_str(),
            Self::CoolingDown { .. } => "CoolingDown",
            Self::SameObstacle { .. } => "SameObstacle",
            Self::ControlPlaneBusy(..) => "ControlPlaneBusy",
            Self::PrometheusShut { .. } => "PrometheusShut",
            Self::BlockingPod { .. } => "BlockingPod",
            Self::GateFailed { .. } => "GateFailed",
            Self::GateUnread { .. } => "GateUnread",
            Self::DrainBlocked { .. } => "DrainBlocked",
            Self::DrainNotNow { .. } => "DrainNotNow",
            Self::DrainUnchecked { .. } => "DrainUnchecked",
            Self::InAttempt(wait, _) => wait.code(),
            Self::NoSlot { .. } => Self::NO_SLOT,
        }
    }

    /// The number of the node in the queue, from 1, if the node is in the queue.
    #[must_use]
    pub fn place(&self) -> Option<usize> {
        if let Self::NoSlot { place, .. } = self {
            *place
        } else {
            None
        }
    }

    /// Every gate that costs no query is open.
    pub(crate) fn is_of_reading(&self) -> bool {
        matches!(
            self,
            Self::PrometheusShut { .. }
                | Self::BlockingPod { .. }
                | Self::GateFailed { .. }
                | Self::GateUnread { .. }
                | Self::DrainBlocked { .. }
                | Self::DrainNotNow { .. }
                | Self::DrainUnchecked { .. }
        )
    }

    /// The node does not reboot soon, whatever happens to the other nodes: a window, an operator or a fault has to
    /// come first. Not those that come and go by the minute.
    pub(crate) fn lasts(&self) -> bool {
        matches!(
            self,
            Self::RecordUnreadable(_)
                | Self::Paused(_)
                | Self::Held(_)
                | Self::Skipped(_)
                | Self::NotApproved { .. }
                | Self::RivalFound { .. }
                | Self::NoPolicy
                | Self::PolicyConflict { .. }
                | Self::PolicyRefused { .. }
                | Self::PolicyStopped { .. }
                | Self::CohortStopped { .. }
                | Self::NoCanary { .. }
                | Self::CanaryFailed { .. }
                | Self::CanarySkipped { .. }
                | Self::WindowShut { .. }
                | Self::WindowTooShort { .. }
                | Self::NodeDeleting
                | Self::Claimed { .. }
                | Self::ForeignCordon
                | Self::NeedSurvivedReboot
                | Self::RebootLoop { .. }
                | Self::MinInterval { .. }
                | Self::DrainBlocked { .. }
        )
    }

    /// The reason of a node whose last attempt failed and holds its slot.
    pub(super) fn failed(last: &Attempt) -> Self {
        let (cause, message) = ending(last);
        Self::Failed(cause, message)
    }

    /// The reason of a node that is left alone for a while after its last attempt.
    pub(super) fn cooling_down(last: &Attempt, until: Timestamp) -> Self {
        let (cause, message) = ending(last);
        Self::CoolingDown {
            until,
            cause,
            message,
            in_vain: last.failures_in_row,
        }
    }
}

fn ending(attempt: &Attempt) -> (Cause, String) {
    match &attempt.ending {
        Some(ending) => (ending.cause, ending.message.clone()),
        None => (
            Cause::RecordLost,
            "the record does not say why the attempt ended".to_owned(),
        ),
    }
}
