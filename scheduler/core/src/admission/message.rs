//! The sentence of each reason, for operators: no program reads it.

use bellwether_proto::{Cause, FleetOrder, NodeName, OrderScope};
use jiff::SignedDuration;

use crate::admission::budget::Holder;
use crate::admission::policy_budget::Scope;
use crate::admission::reason::{Reason, Skip};
use crate::observed::{AnnotatedOrder, Claim};

impl Reason {
    /// The reason for operators, with the remedy.
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
            Self::Paused(order) => blocked(order),
            Self::Held(order) => annotated("the node is held", order),
            Self::Skipped(Skip::Ordered(order)) => {
                format!("{}; a need that begins later is served", ordered("the node is skipped", order))
            }
            Self::Skipped(Skip::Annotated(order)) => annotated("the node is skipped", order),
            Self::NotApproved { policy, node, annotation } => {
                let annotation = annotation.as_ref().map_or_else(String::new, |refused| format!("; {refused}"));
                format!("policy {policy} demands an approval: `kubectl reboots approve {node}`, or `approve --policy {policy}` for all of its nodes{annotation}")
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
            Self::CanarySkipped { policy, canary } => {
                format!("policy {policy}: an operator skips the canary {canary}, and no other canary was rebooted since its need began, so no reboot has proved the update: `kubectl reboots release {canary}`, or make another node a canary")
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
                "the need has survived the last reboot, so another would not end it: see what keeps the file or annotation"
                    .to_owned()
            }
            Self::RebootLoop { reboots, since } => {
                format!("{reboots} reboots since {since:.0}, and the host needs the next one: find the program that writes the sentinel file at each boot; once it is corrected, cancel ends this hold")
            }
            Self::MinInterval { policy, rebooted_at, until } => {
                format!("policy {policy}: the last reboot was at {rebooted_at:.0}, and minInterval is over at {until:.0}")
            }
            Self::NoRebooter => "no rebooter has reported from this boot: is its pod running on this node?".to_owned(),
            Self::RecordKeyUnknown { key } => format!(
                "the rebooter does not know the key {key} that signs records, and would obey no order: its kubelet brings the ConfigMap bellwether-record-keys within a minute"
            ),
            Self::PreflightFailed(problem) => format!("the rebooter cannot reboot this host: {problem}"),
            Self::ClockOff { ahead } => format!(
                "the clock of the host is {:#} {} that of NATS, and judges until when a reboot may begin: correct the time of the host, or of the NATS server if all hosts differ from it",
                SignedDuration::from_secs(ahead.abs().as_secs()),
                if ahead.is_negative() { "behind" } else { "ahead of" },
            ),
            Self::Failed(_, message) => {
                format!("{message}; it keeps its slot until the node is healthy or the attempt is cancelled")
            }
            Self::CoolingDown {
                until,
                cause: Cause::Completed,
                ..
            } => format!("it was rebooted a short time ago: next reboot not before {until:.0}"),
            Self::CoolingDown { until, message, in_vain, .. } if *in_vain > 1 => {
                format!("{in_vain} attempts in a row ended without a reboot, and the wait is longer after each: next try at {until:.0}; last time: {message}; once that obstacle is removed, cancel ends the wait")
            }
            Self::SameObstacle { until, obstacle, attempts } => {
                format!("{attempts} attempts in a row ended at {obstacle}, so the node is not drained for nothing: next try at {until:.0}; once that obstacle is removed, cancel ends the wait")
            }
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
            Self::DrainBlocked { found } => {
                format!("the node is not drained for nothing, since not all of its pods could go: {}", found.text)
            }
            Self::DrainNotNow { found } => format!("not all pods of the node can go now: {}", found.text),
            Self::DrainUnchecked { error } => format!("whether the node can be drained is not known: {error}"),
            Self::InAttempt(wait, detail) if detail.is_empty() => wait.message().to_owned(),
            Self::InAttempt(_, detail) => detail.clone(),
            Self::NoSlot {
                scope,
                slots,
                holders,
                taken,
                place,
                unchecked,
            } => {
                let place = place.map_or_else(String::new, |place| format!("; number {place} in the queue"));
                if taken < slots {
                    let unchecked = unchecked.as_ref().map_or_else(String::new, |error| {
                        format!(": whether a node before in the queue can be drained is not known: {error}")
                    });
                    return format!("a slot is free, and the node waits for its turn{unchecked}{place}");
                }
                let are = if *slots == 1 { "slot is" } else { "slots are" };
                let (scoped, named) = (scoped(scope), named(holders, *taken));
                format!("{scoped}{slots} {are} taken by {named}{place}")
            }
        }
    }
}

/// The scope before its slots; empty for all nodes.
fn scoped(scope: &Scope) -> String {
    match scope {
        Scope::Fleet => String::new(),
        Scope::Policy(policy) => format!("policy {policy}: "),
        Scope::First(policy) => format!("policy {policy}, whose first node goes alone: "),
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

fn blocked(order: &FleetOrder) -> String {
    let act = match &order.scope {
        OrderScope::Fleet | OrderScope::Unknown(_) => "paused".to_owned(),
        OrderScope::Policy(policy) => format!("policy {policy} is paused"),
        OrderScope::Node(_) => "the node is held".to_owned(),
    };
    ordered(&act, order)
}

fn ordered(act: &str, order: &FleetOrder) -> String {
    let FleetOrder { by, reason, until, .. } = order;
    let until = until.map_or_else(String::new, |until| format!(" until {until:.0}"));
    match reason.as_str() {
        "" => format!("{act} by {by}{until}"),
        reason => format!("{act} by {by}{until}: {reason}"),
    }
}

fn annotated(act: &str, order: &AnnotatedOrder) -> String {
    let annotation = order.kind.annotation();
    let by = match order.by.as_str() {
        "" => String::new(),
        by => format!(" of {by}"),
    };
    let until = order
        .ends_at()
        .map_or_else(String::new, |until| format!(" until {until:.0}"));
    let reason = match order.reason.as_str() {
        "" => String::new(),
        reason => format!(": {reason}"),
    };
    let fault = order.fault().map_or_else(String::new, |fault| format!("; {fault}"));
    format!("{act} by the annotation {annotation}{by}{until}{reason}{fault}")
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
