//! The gate: may this node start now, and if not, the one reason why.

use std::collections::{BTreeMap, BTreeSet};

use bellwether_proto::{Attempt, Cause, FleetControl, NodeName, Phase, RebootNeed};
use jiff::Timestamp;

use crate::admission::budget::Holder;
use crate::observed::node::Seen;
use crate::policy::Policy;
use crate::rival::Rival;

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
    /// People ordered a pause.
    Paused(FleetControl),
    /// Something else in the cluster reboots nodes.
    RivalFound {
        /// What.
        rival: Rival,
        /// How many more there are.
        others: usize,
    },
    /// The node is not Ready.
    NotReady,
    /// The Node object is being deleted.
    NodeDeleting,
    /// Somebody else cordoned the node.
    ForeignCordon,
    /// Sentinel and kubelet speak of different boots: one of them is yet to catch up.
    BootUnsettled,
    /// The need is older than the reboot that should have ended it: another reboot would not help.
    NeedSurvivedReboot,
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
    /// All slots are taken.
    NoSlot {
        /// How many there are.
        slots: u32,
        /// By whom: the first few.
        holders: Vec<(NodeName, Holder)>,
        /// By how many.
        taken: usize,
        /// Place in the queue, from 1.
        place: usize,
    },
}

impl Reason {
    /// All codes but those of [`Self::Failed`], which are the causes.
    pub const CODES: [&str; 15] = [
        "RecordUnreadable",
        "NoReport",
        "ReportStale",
        "ProbeError",
        "Paused",
        "RivalFound",
        "NotReady",
        "NodeDeleting",
        "ForeignCordon",
        "BootUnsettled",
        "NeedSurvivedReboot",
        "NoRebooter",
        "PreflightFailed",
        "CoolingDown",
        "NoSlot",
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
            Self::NotReady => "NotReady",
            Self::NodeDeleting => "NodeDeleting",
            Self::ForeignCordon => "ForeignCordon",
            Self::BootUnsettled => "BootUnsettled",
            Self::NeedSurvivedReboot => "NeedSurvivedReboot",
            Self::NoRebooter => "NoRebooter",
            Self::PreflightFailed(_) => "PreflightFailed",
            Self::Failed(cause, _) => cause.as_str(),
            Self::CoolingDown { .. } => "CoolingDown",
            Self::NoSlot { .. } => "NoSlot",
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
                format!("the sentinel's last report is of {stored_at:.0}: is its pod running and connected to NATS?")
            }
            Self::ProbeError(error) => format!("the sentinel cannot look at its host: {error}"),
            Self::Paused(FleetControl { by, reason, .. }) if reason.is_empty() => format!("paused by {by}"),
            Self::Paused(FleetControl { by, reason, .. }) => format!("paused by {by}: {reason}"),
            Self::RivalFound { rival, others: 0 } => rival.to_string(),
            Self::RivalFound { rival, others } => format!("{rival}; and {others} more"),
            Self::NotReady => "the node is not Ready".to_owned(),
            Self::NodeDeleting => "the node is being deleted".to_owned(),
            Self::ForeignCordon => "somebody else cordoned the node: it goes on once it is uncordoned".to_owned(),
            Self::BootUnsettled => "sentinel and kubelet report different boots: waiting for both to agree".to_owned(),
            Self::NeedSurvivedReboot => {
                "the need is older than the last reboot, so another would not end it: see what keeps the file"
                    .to_owned()
            }
            Self::NoRebooter => "no rebooter has reported from this boot: is its pod running on this node?".to_owned(),
            Self::PreflightFailed(problem) => format!("the rebooter cannot reboot this host: {problem}"),
            Self::Failed(_, message) => {
                format!("{message}; it keeps its slot until the node is healthy or the attempt is cancelled")
            }
            Self::CoolingDown { until, message, .. } => format!("next try at {until:.0}; last time: {message}"),
            Self::NoSlot {
                slots,
                holders,
                taken,
                place,
            } => {
                let named: Vec<_> = holders
                    .iter()
                    .map(|(node, holder)| format!("{node} ({holder})"))
                    .collect();
                let more = match taken.saturating_sub(named.len()) {
                    0 => String::new(),
                    more => format!(" and {more} more"),
                };
                let plural = if *slots == 1 { "slot is" } else { "slots are" };
                format!(
                    "{slots} {plural} taken by {}{more}; number {place} in the queue",
                    named.join(", ")
                )
            }
        }
    }
}

/// What the gate says of a node that has no running attempt.
#[derive(Debug, Clone)]
pub(crate) enum Verdict<'a> {
    /// It needs no reboot.
    NotNeeded,
    /// Whether it needs one is not known.
    Unknown(Reason),
    /// It needs one and has to wait.
    Wait(Reason),
    /// It may start as soon as there is a slot.
    Open(&'a RebootNeed),
}

/// What holds the whole fleet, whatever a node's own state: what people ordered, then rivals.
pub(crate) fn hold(control: Option<&FleetControl>, rivals: &BTreeSet<Rival>, policy: &Policy) -> Option<Reason> {
    if let Some(control) = control.filter(|control| control.paused) {
        return Some(Reason::Paused(control.clone()));
    }
    let rival = rivals.first().filter(|_| !policy.tolerate_rivals)?;
    Some(Reason::RivalFound {
        rival: rival.clone(),
        others: rivals.len().saturating_sub(1),
    })
}

/// Looks at one node; `hold` is what holds the whole fleet.
pub(crate) fn examine<'a>(
    seen: &Seen<'a>,
    last: Option<&Attempt>,
    hold: Option<&Reason>,
    now: Timestamp,
) -> Verdict<'a> {
    if let Some(failed) = last.filter(|last| last.phase == Phase::Failed && last.slot_held) {
        let (cause, message) = ending(failed);
        return Verdict::Wait(Reason::Failed(cause, message));
    }
    let Some(sentinel) = seen.sentinel else {
        return Verdict::Unknown(Reason::NoReport);
    };
    if now >= sentinel.stale_at() {
        return Verdict::Unknown(Reason::ReportStale {
            stored_at: sentinel.stored_at,
        });
    }
    let need = match &sentinel.report.need {
        Err(error) => return Verdict::Unknown(Reason::ProbeError(error.clone())),
        Ok(None) => return Verdict::NotNeeded,
        Ok(Some(need)) => need,
    };
    // What holds the whole fleet comes first.
    match hold.cloned().or_else(|| obstacle(seen, need, last, now)) {
        Some(reason) => Verdict::Wait(reason),
        None => Verdict::Open(need),
    }
}

/// The first thing in the way of a node that needs a reboot.
fn obstacle(seen: &Seen<'_>, need: &RebootNeed, last: Option<&Attempt>, now: Timestamp) -> Option<Reason> {
    if seen.node.deleting {
        return Some(Reason::NodeDeleting);
    }
    if !seen.node.ready {
        return Some(Reason::NotReady);
    }
    if seen.node.unschedulable {
        return Some(Reason::ForeignCordon);
    }
    let boot = seen.sentinel.map(|heard| &heard.report.boot_id);
    if boot != seen.node.boot_id.as_ref() {
        return Some(Reason::BootUnsettled);
    }
    if last.is_some_and(|last| {
        last.boot_after.is_some() && last.boot_after.as_ref() == boot && need.since <= last.need_since
    }) {
        return Some(Reason::NeedSurvivedReboot);
    }
    if let Some(reason) = unfit(seen, now) {
        return Some(reason);
    }
    let last = last?;
    let until = last.retry_not_before.filter(|until| now < *until)?;
    let (cause, message) = ending(last);
    Some(Reason::CoolingDown { until, cause, message })
}

/// Why the node's rebooter could not carry out an order now.
pub(crate) fn unfit(seen: &Seen<'_>, now: Timestamp) -> Option<Reason> {
    let boot = seen.sentinel.map(|heard| &heard.report.boot_id);
    let rebooter = seen
        .rebooter
        .filter(|heard| Some(&heard.report.boot_id) == boot && now < heard.stale_at());
    let Some(rebooter) = rebooter else {
        return Some(Reason::NoRebooter);
    };
    rebooter.report.problem.clone().map(Reason::PreflightFailed)
}

fn ending(attempt: &Attempt) -> (Cause, String) {
    match &attempt.ending {
        Some(ending) => (ending.cause, ending.message.clone()),
        None => (Cause::RecordLost, "the record does not say why it ended".to_owned()),
    }
}

/// How many holders of slots are named in a reason: each waiting node has its own copy.
const NAMED_MAX: usize = 3;

/// The first few holders, for [`Reason::NoSlot`].
pub(crate) fn listed(holders: &BTreeMap<NodeName, Holder>) -> Vec<(NodeName, Holder)> {
    let first = holders.iter().take(NAMED_MAX);
    first.map(|(node, holder)| (node.clone(), *holder)).collect()
}
