//! The reasons why a node that may need a reboot is not rebooting: a code for programs and a
//! message for operators.

use std::sync::Arc;

use bellwether_proto::{Attempt, Cause, FleetOrder, NodeName};
use jiff::{SignedDuration, Timestamp};

use crate::admission::budget::Holder;
use crate::admission::canaries::Canary;
use crate::admission::failures::{Cohort, Stop};
use crate::admission::policy_budget::Scope;
use crate::observed::Claim;
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
    /// An operator ordered a pause.
    Paused(Arc<FleetOrder>),
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
    /// The last attempt failed and holds its slot.
    Failed(Cause, String),
    /// The last attempt was not long ago.
    CoolingDown {
        /// Until when.
        until: Timestamp,
        /// How the last attempt ended.
        cause: Cause,
        /// The same for people.
        message: String,
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
    },
}

impl Reason {
    /// The code of [`Self::NoSlot`].
    pub(crate) const NO_SLOT: &str = "NoSlot";

    /// All codes of nodes that wait, but those of [`Self::Failed`], which are the causes, and those of
    /// [`Self::InAttempt`], which are in [`Wait::ALL`].
    pub const CODES: [&str; 37] = [
        "RecordUnreadable",
        "NoReport",
        "ReportStale",
        "ProbeError",
        "Paused",
        "RivalFound",
        "NoPolicy",
        "PolicyConflict",
        "PolicyRefused",
        "PolicyStopped",
        "CohortStopped",
        "NoCanary",
        "CanaryFailed",
        "CanaryFirst",
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
        "CoolingDown",
        "ControlPlaneBusy",
        "PrometheusShut",
        "BlockingPod",
        "GateFailed",
        "GateUnread",
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
            Self::Paused(_) => "Paused",
            Self::RivalFound { .. } => "RivalFound",
            Self::NoPolicy => "NoPolicy",
            Self::PolicyConflict { .. } => "PolicyConflict",
            Self::PolicyRefused { .. } => "PolicyRefused",
            Self::PolicyStopped { .. } => "PolicyStopped",
            Self::CohortStopped { .. } => "CohortStopped",
            Self::NoCanary { .. } => "NoCanary",
            Self::CanaryFailed { .. } => "CanaryFailed",
            Self::CanaryFirst { .. } => "CanaryFirst",
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
            Self::Failed(cause, _) => cause.as_str(),
            Self::CoolingDown { .. } => "CoolingDown",
            Self::ControlPlaneBusy(..) => "ControlPlaneBusy",
            Self::PrometheusShut { .. } => "PrometheusShut",
            Self::BlockingPod { .. } => "BlockingPod",
            Self::GateFailed { .. } => "GateFailed",
            Self::GateUnread { .. } => "GateUnread",
            Self::InAttempt(wait, _) => wait.code(),
            Self::NoSlot { .. } => Self::NO_SLOT,
        }
    }

    /// The reason for people, with what they can do about it.
    #[must_use]
    pub fn message(&self) -> String {
        match self {
            Self::RecordUnreadable(problem) => {
                format!("the record of its attempt cannot be read, so its slot is kept: {problem}")
            }
            Self::NoReport => "no sentinel has reported: is its pod running on this node?".to_owned(),
            Self::ReportStale { stored_at } => {
                format!("the sentinel's last report is of {stored_at:.0}: is its pod running, and does NATS store its reports?")
            }
            Self::ProbeError(error) => format!("the sentinel cannot look at its host: {error}"),
            Self::Paused(order) => {
                let FleetOrder { by, reason, until, .. } = order.as_ref();
                let until = until.map_or_else(String::new, |until| format!(" until {until:.0}"));
                match reason.as_str() {
                    "" => format!("paused by {by}{until}"),
                    reason => format!("paused by {by}{until}: {reason}"),
                }
            }
            Self::RivalFound { rival, others: 0 } => rival.to_string(),
            Self::RivalFound { rival, others } => format!("{rival}; and {others} more"),
            Self::NoPolicy => {
                "there are policies in the cluster, and none is for this node: add one, such as one without nodeSelector and with a low priority".to_owned()
            }
            Self::PolicyConflict { first, second } => {
                format!("the policies {first} and {second} are both for this node and have the same priority: change one of them")
            }
            Self::PolicyRefused { policy, faults } => format!("the policy {policy} has a mistake: {faults}"),
            Self::PolicyStopped { policy, stop } => {
                format!("policy {policy} is stopped, since {stop}; cancel ends the failure of each node once it is repaired")
            }
            Self::CohortStopped { policy, cohort, stop } => {
                format!("policy {policy} starts no node with {cohort}, since {stop}; cancel ends the failure of each node once it is repaired")
            }
            Self::NoCanary { policy } => {
                format!("policy {policy} has canaries, and governs no node that is one: correct canaries.nodeSelector, or label a node")
            }
            Self::CanaryFailed { policy, canary, cause } => {
                format!("policy {policy}: the reboot of the canary {canary} failed ({}); cancel ends its failure once it is repaired", cause.as_str())
            }
            Self::CanaryFirst { policy, canary, state } => {
                format!("policy {policy}: the canary {canary} has to be rebooted first, and {state}")
            }
            Self::CanarySoaking { policy, until } => {
                format!("policy {policy}: no canary needs a reboot, and the other nodes wait until {until:.0}")
            }
            Self::WindowShut { policy, blackout, opens_at } => {
                let shut = match blackout.as_deref() {
                    None => "no window is open".to_owned(),
                    Some("") => "a blackout covers this time".to_owned(),
                    Some(reason) => format!("a blackout covers this time: {reason}"),
                };
                match opens_at {
                    Some(at) => format!("policy {policy}: {shut}; next opening at {at:.0}"),
                    None => format!("policy {policy}: {shut}; there is no opening in the next ten years"),
                }
            }
            Self::WindowTooShort { policy, shuts_at, needs } => {
                format!("policy {policy}: the windows shut at {shuts_at:.0}, and this node has to start {needs:#} before that")
            }
            Self::NotReady => "the node is not Ready".to_owned(),
            Self::NodeDeleting => "the node is being deleted".to_owned(),
            Self::Claimed { claim, is_stale } => claimed(claim, *is_stale),
            Self::ForeignCordon => {
                "an operator or another program cordoned the node: it continues once it is uncordoned".to_owned()
            }
            Self::CordonLeftBehind => {
                "the node carries a cordon of ours and no attempt is running: once it is Ready, the cordon is taken away, unless another Bellwether in the cluster may own it".to_owned()
            }
            Self::ConditionFound { policy, condition } => {
                format!("policy {policy}: the node has the condition {condition}")
            }
            Self::TaintFound { policy, taint } => format!("policy {policy}: the node has the taint {taint}"),
            Self::BootUnsettled => "sentinel and kubelet report different boots: waiting for both to agree".to_owned(),
            Self::NeedSurvivedReboot => {
                "the need has survived the last reboot, so another would not end it: see what keeps the file"
                    .to_owned()
            }
            Self::RebootLoop { reboots, since } => {
                format!("{reboots} reboots since {since:.0}, and the host needs the next one: find the program that writes the sentinel file at each boot; once it is corrected, cancel ends this hold")
            }
            Self::MinInterval { policy, rebooted_at, until } => {
                format!("policy {policy}: the last reboot was at {rebooted_at:.0}, and minInterval is over at {until:.0}")
            }
            Self::NoRebooter => "no rebooter has reported from this boot: is its pod running on this node?".to_owned(),
            Self::PreflightFailed(problem) => format!("the rebooter cannot reboot this host: {problem}"),
            Self::Failed(_, message) => {
                format!("{message}; it keeps its slot until the node is healthy or the attempt is cancelled")
            }
            Self::CoolingDown {
                until,
                cause: Cause::Completed,
                ..
            } => format!("it was rebooted a short time ago: next reboot not before {until:.0}"),
            Self::CoolingDown { until, message, .. } => format!("next try at {until:.0}; last time: {message}"),
            Self::ControlPlaneBusy(node, holder) => {
                format!("nodes of the control plane are rebooted one at a time, and {node} is disrupted ({holder})")
            }
            Self::PrometheusShut { policy, gate, found } => format!("policy {policy}: the gate {gate} is shut: {found}"),
            Self::BlockingPod { policy, gate, found } => format!("policy {policy}: the gate {gate} is shut: {found}"),
            Self::GateFailed { policy, gate, error } => {
                format!("policy {policy}: the gate {gate} is shut, since its state is not known: {error}")
            }
            Self::GateUnread { policy, gate } => format!("policy {policy}: the gate {gate} is being read"),
            Self::InAttempt(wait, detail) if detail.is_empty() => wait.message().to_owned(),
            Self::InAttempt(_, detail) => detail.clone(),
            Self::NoSlot {
                scope,
                slots,
                holders,
                taken,
                place,
            } => {
                let are = if *slots == 1 { "slot is" } else { "slots are" };
                let place = place.map_or_else(String::new, |place| format!("; number {place} in the queue"));
                let (scoped, named) = (scoped(scope), named(holders, *taken));
                format!("{scoped}{slots} {are} taken by {named}{place}")
            }
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
            Self::PrometheusShut { .. } | Self::BlockingPod { .. } | Self::GateFailed { .. } | Self::GateUnread { .. }
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
        Self::CoolingDown { until, cause, message }
    }
}

/// The scope before its slots; empty for all nodes.
fn scoped(scope: &Scope) -> String {
    match scope {
        Scope::Fleet => String::new(),
        Scope::Policy(policy) => format!("policy {policy}: "),
        Scope::Domain { policy, key, domain } if domain.is_empty() => format!("policy {policy}, nodes without {key}: "),
        Scope::Domain { policy, key, domain } => format!("policy {policy}, {key}={domain}: "),
        Scope::Domains { policy, key } => format!("policy {policy}, values of {key} at once: "),
    }
}

fn named(holders: &[(NodeName, Holder)], taken: usize) -> String {
    let named: Vec<_> = holders
        .iter()
        .map(|(node, holder)| format!("{node} ({holder})"))
        .collect();
    let more = match taken.saturating_sub(named.len()) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("{}{more}", named.join(", "))
}

fn claimed(claim: &Claim, is_stale: bool) -> String {
    let Claim {
        claimant,
        mark,
        is_taint,
        since,
    } = claim;
    let kind = if *is_taint { "taint" } else { "condition" };
    let since = since.map_or_else(String::new, |since| format!(" since {since:.0}"));
    let remedy = match (is_stale, is_taint) {
        (false, _) => String::new(),
        (true, true) => {
            format!(
                "; that is longer than such a claim lasts: see whether that program still works, or remove the taint {mark}"
            )
        }
        (true, false) => {
            format!(
                "; that is longer than such a claim lasts: see whether that program still works, or set the condition {mark} to False"
            )
        }
    };
    format!("{claimant} ({kind} {mark}{since}): the node is left alone{remedy}")
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
