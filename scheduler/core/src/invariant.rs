//! What must always hold, each with the name that it has in the documentation and in the tests.
//!
//! The functions look at records and views only, so that a test or a curious operator can ask. A record may
//! be wrong about the world: what cannot be read off it is hunted under the same name by the random mishaps
//! of the core's tests and by the simulator, which judge from the world and not from the core's rules.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use bellwether_policy::{Governing, Policies, RampUp, RebootPolicy};
use bellwether_proto::{Attempt, NodeName, Phase, RebootKind};
use jiff::{SignedDuration, Timestamp};

use crate::admission::budget::holder;
use crate::observed::{NodeView, PolicyView};

/// The nine sentences of safety, then the four of progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Invariant {
    /// A node starts only while fewer nodes are disrupted than there are slots, by us or for other reasons. Nodes
    /// that go down by themselves afterwards can make them more.
    Budget,
    /// No reboot without a completed drain of that attempt.
    DrainedBeforeRebooted,
    /// The need and the fitness of a node are looked at again right before its reboot is ordered.
    LookedAtAgain,
    /// A node starts, and its reboot is ordered, only while its policy lets it: a window is open, and no blackout
    /// covers the time; or an operator has ordered to reboot the node now.
    InTheWindow,
    /// One need leads to at most one reboot per boot.
    Once,
    /// A node that somebody else cordoned stays cordoned.
    ForeignCordonStays,
    /// A node that we cordoned is uncordoned or reported stuck within a bounded time.
    WayBack,
    /// "Rebooted" is said only with a new boot id and a Ready node.
    NoFalseSuccess,
    /// Every node that needs a reboot has a reason why it is not rebooted yet; in an attempt, its next step.
    SaidWhy,
    /// A node that was not tried starts within one attempt's time, however many other nodes fail for ever.
    NoStarvation,
    /// A node is drained at most [`STARTS_PER_HOUR_MAX`] times an hour, with the policy's default delay,
    /// unless an operator ends its waits.
    NoStorm,
    /// Every attempt ends within the sum of its deadlines.
    AttemptsEnd,
    /// Every slot is free again once its node is healthy or an operator releases it.
    SlotsComeBack,
}

/// For [`Invariant::NoStorm`]: after every end a node waits ten minutes at least.
pub const STARTS_PER_HOUR_MAX: usize = 6;

impl fmt::Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Budget => "Budget",
            Self::DrainedBeforeRebooted => "Drained before rebooted",
            Self::LookedAtAgain => "Looked at again",
            Self::InTheWindow => "In the window",
            Self::Once => "Once",
            Self::ForeignCordonStays => "Foreign cordon stays",
            Self::WayBack => "Way back",
            Self::NoFalseSuccess => "No false success",
            Self::SaidWhy => "Said why",
            Self::NoStarvation => "No starvation",
            Self::NoStorm => "No storm",
            Self::AttemptsEnd => "Attempts end",
            Self::SlotsComeBack => "Slots come back",
        })
    }
}

/// [`Invariant::Budget`]: a node starts only while fewer than the slots are disrupted, by us or otherwise.
///
/// # Errors
/// Says who holds more than there is.
pub fn budget_when_starting(
    slots: u32,
    starting: &NodeName,
    nodes: &BTreeMap<NodeName, NodeView>,
    attempts: &BTreeMap<NodeName, Attempt>,
) -> Result<(), String> {
    let names: BTreeSet<&NodeName> = nodes.keys().chain(attempts.keys()).collect();
    let others = names
        .into_iter()
        .filter(|name| *name != starting)
        .filter(|name| holder(nodes.get(*name), attempts.get(*name), false).is_some())
        .count();
    if others < usize::try_from(slots).unwrap_or(usize::MAX) {
        return Ok(());
    }
    Err(format!(
        "Budget: {starting} starts while {others} other nodes take the {slots} slots"
    ))
}

/// [`Invariant::Budget`]: a node starts only while its policy has room for one more, by the number of disrupted nodes,
/// by those of its domain, and by the number of domains.
///
/// # Errors
/// Names the policy and the limit.
pub fn policy_budget_when_starting(
    policies: &[PolicyView],
    starting: &NodeView,
    nodes: &BTreeMap<NodeName, NodeView>,
    attempts: &BTreeMap<NodeName, Attempt>,
    now: Timestamp,
) -> Result<(), String> {
    let read = |view: &PolicyView| RebootPolicy::read(view.name.as_str().into(), &view.spec);
    let policies = Policies::new(policies.iter().map(read));
    let name_of = |node: &NodeView| match policies.governing(&node.labels) {
        Governing::Policy(policy) => Some(policy),
        Governing::BuiltIn | Governing::None | Governing::Conflict(..) => None,
    };
    let policy = name_of(starting);
    let Some((policy, terms)) = policy
        .as_ref()
        .and_then(|policy| Some((policy, policy.terms.as_ref().ok()?)))
    else {
        return Ok(());
    };
    let governed: Vec<_> = nodes
        .values()
        .filter(|node| name_of(node).is_some_and(|other| other.name == policy.name))
        .collect();
    let disrupted: Vec<_> = governed
        .iter()
        .filter(|node| node.name != starting.name)
        .filter(|node| holder(Some(node), attempts.get(&node.name), false).is_some())
        .collect();
    let problem = |limit: &str| {
        Err(format!(
            "Budget: {} starts beyond {limit} of {}",
            starting.name, policy.name
        ))
    };
    if terms.budget.ramp_up == RampUp::FirstAlone {
        let of_policy = || governed.iter().filter_map(|node| attempts.get(&node.name));
        let is_recent = |at: Timestamp| now.duration_since(at) <= SignedDuration::from_hours(24);
        let came_back = |attempt: &Attempt| {
            let done_at = (attempt.phase == Phase::Done).then(|| attempt.phase_since());
            let last = attempt.last_reboot.as_ref().map(|last| last.began_at);
            let earlier = last.filter(|at| *at < attempt.started_at());
            attempt.failed_reboot.is_none() && done_at.or(earlier).is_some_and(is_recent)
        };
        let under_way = of_policy().any(|attempt| attempt.slot_held && attempt.node != starting.name);
        if under_way && !of_policy().any(came_back) {
            return problem("the first node, which goes alone,");
        }
    }
    let max = terms.budget.max_unavailable;
    if max.is_some_and(|max| disrupted.len() >= max.of(governed.len())) {
        return problem("maxUnavailable");
    }
    for topology in &terms.budget.topology {
        let own = starting.labels.get(&topology.key);
        let in_domain = |node: &&&NodeView| node.labels.get(&topology.key) == own;
        let all = governed.iter().filter(in_domain).count();
        let taken = disrupted.iter().filter(|node| in_domain(node)).count();
        if topology.max_unavailable.is_some_and(|max| taken >= max.of(all)) {
            return problem(&topology.key);
        }
        let mut domains: BTreeSet<_> = disrupted.iter().map(|node| node.labels.get(&topology.key)).collect();
        domains.insert(own);
        let max = topology
            .max_domains
            .map(|max| usize::try_from(max.get()).unwrap_or(usize::MAX));
        if max.is_some_and(|max| taken == 0 && domains.len() > max) {
            return problem("maxDomains");
        }
    }
    Ok(())
}

/// [`Invariant::DrainedBeforeRebooted`]: a record that orders a reboot says when its drain was complete.
///
/// # Errors
/// Names the node.
pub fn drained_before_rebooted(attempt: &Attempt) -> Result<(), String> {
    if attempt.phase != Phase::Rebooting || attempt.drained_at.is_some() {
        return Ok(());
    }
    Err(format!(
        "Drained before rebooted: {} is to reboot undrained",
        attempt.node
    ))
}

/// [`Invariant::InTheWindow`]: at this instant the policies let this node start, and its reboot be ordered.
///
/// # Errors
/// Names the node and the policy.
pub fn in_the_window(policies: &[PolicyView], node: &NodeView, now: Timestamp) -> Result<(), String> {
    let read = |view: &PolicyView| RebootPolicy::read(view.name.as_str().into(), &view.spec);
    let problem = match Policies::new(policies.iter().map(read)).governing(&node.labels) {
        Governing::BuiltIn => return Ok(()),
        Governing::None => "no policy is for it".to_owned(),
        Governing::Conflict(first, second) => format!("both {} and {} are for it", first.name, second.name),
        Governing::Policy(policy) => match &policy.terms {
            Ok(terms) if terms.calendar.state_at(now).is_open() => return Ok(()),
            Ok(_) => format!("the windows of {} are shut", policy.name),
            Err(_) => format!("{} has a mistake", policy.name),
        },
    };
    Err(format!("In the window: {} goes, and {problem}", node.name))
}

/// [`Invariant::WayBack`]: an attempt that has not ended has a deadline, and one that ended with our cordon left holds its slot.
///
/// # Errors
/// Names the node.
pub fn way_back(attempt: &Attempt) -> Result<(), String> {
    if !attempt.phase.is_ended() && attempt.deadline.is_none() {
        return Err(format!(
            "Way back: {} is {} without a deadline",
            attempt.node,
            attempt.phase.as_str()
        ));
    }
    if attempt.phase.is_ended() && attempt.cordoned_at.is_some() && !attempt.slot_held && attempt.phase != Phase::Failed
    {
        return Err(format!(
            "Way back: {} ended {} with our cordon",
            attempt.node,
            attempt.phase.as_str()
        ));
    }
    Ok(())
}

/// [`Invariant::NoFalseSuccess`]: what is done has another boot id than before; a soft reboot has the number of soft reboots of
/// before, without which nothing proves it.
///
/// # Errors
/// Names the node.
pub fn no_false_success(attempt: &Attempt) -> Result<(), String> {
    let is_soft = attempt.reboot_kind == RebootKind::Soft && attempt.soft_reboots_before.is_some();
    let proved = attempt
        .boot_after
        .as_ref()
        .is_some_and(|after| *after != attempt.boot_before || is_soft);
    if attempt.phase != Phase::Done || proved {
        return Ok(());
    }
    Err(format!(
        "No false success: {} is done without another boot id",
        attempt.node
    ))
}
