//! The failed reboots among the nodes of each policy, and the starts that they stop.
//!
//! Derived from the attempt records, so the next leader comes to the same. A stop is found by comparing the times of
//! failures with each other and not with the present time: it does not end by itself.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use bellwether_policy::{Brakes, KERNEL_VERSION, RebootPolicy};
use bellwether_proto::{Cause, FailedReboot, NodeName};
use jiff::Timestamp;

use crate::observed::NodeView;
use crate::policy::Policy;

/// How many nodes a stop names: operators read it in one line.
const NAMED_MAX: usize = 3;

/// Nodes of one policy with the same value of a label, or with the same kernel.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cohort {
    /// The label, or [`KERNEL_VERSION`].
    pub label: String,
    /// Its value.
    pub value: String,
}

impl Cohort {
    /// The node is of this cohort, with the kernel that it runs.
    pub(crate) fn has(&self, node: &NodeView) -> bool {
        value_of(&self.label, node, &node.kernel) == Some(&*self.value)
    }
}

impl fmt::Display for Cohort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.label, self.value)
    }
}

/// Too many nodes whose reboot failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stop {
    /// All of them by name, each with the cause of its failure.
    failed: Vec<(NodeName, Cause)>,
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the reboots of {} nodes failed: ", self.failed.len())?;
        for (index, (node, cause)) in self.failed.iter().take(NAMED_MAX).enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{node} ({})", cause.as_str())?;
        }
        match self.failed.len().saturating_sub(NAMED_MAX) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

/// The failed reboots, and what they stop.
#[derive(Debug, Clone, Default)]
pub(crate) struct Failures {
    nodes: BTreeMap<NodeName, Failure>,
    /// By policy: of all of its nodes, or of a cohort.
    stops: BTreeMap<Arc<str>, Stops>,
}

/// The failed reboot of a node under a policy.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    policy: Arc<RebootPolicy>,
    failed: FailedReboot,
    cohorts: Vec<Cohort>,
}

impl Failure {
    /// The failed reboot of this node, which this policy governs. `kernel` is the one that the reboot was to end: the
    /// nodes that run it now are those that would get the same update.
    pub(crate) fn new(node: &NodeView, kernel: &str, policy: Arc<RebootPolicy>, failed: FailedReboot) -> Self {
        let terms = policy.terms.as_ref().ok();
        let cohorts = terms
            .map(|terms| cohorts(&terms.brakes, node, kernel))
            .unwrap_or_default();
        Self {
            policy,
            failed,
            cohorts,
        }
    }
}

/// None: all nodes of the policy.
type Stops = BTreeMap<Option<Cohort>, Arc<Stop>>;

impl Failures {
    /// States whether the last reboot of a node failed, and under which policy. True if nodes that wait have to be
    /// decided on again.
    pub(crate) fn set(&mut self, node: &NodeName, failure: Option<Failure>) -> bool {
        let before = self.nodes.remove(node).map(|failure| failure.policy);
        let now = failure.map(|failure| {
            let policy = Arc::clone(&failure.policy);
            self.nodes.insert(node.clone(), failure);
            policy
        });
        let is_same = |before: &Arc<RebootPolicy>| now.as_ref().is_some_and(|now| now.name == before.name);
        let left = before.filter(|before| !is_same(before));
        let mut has_changed = false;
        for policy in [left, now].into_iter().flatten() {
            has_changed |= self.refresh(&policy);
        }
        has_changed
    }

    /// Finds what the failures of a policy's nodes stop. True if that has changed.
    fn refresh(&mut self, policy: &RebootPolicy) -> bool {
        let stops = policy
            .terms
            .as_ref()
            .map(|terms| self.stops_of(policy, &terms.brakes))
            .unwrap_or_default();
        let before = if stops.is_empty() {
            self.stops.remove(&policy.name)
        } else {
            self.stops.insert(Arc::clone(&policy.name), stops.clone())
        };
        before.unwrap_or_default() != stops
    }

    fn stops_of(&self, policy: &RebootPolicy, brakes: &Brakes) -> Stops {
        let mut groups = BTreeMap::<Option<Cohort>, Vec<(&NodeName, &FailedReboot)>>::new();
        for (node, failure) in self
            .nodes
            .iter()
            .filter(|(_, failure)| failure.policy.name == policy.name)
        {
            for group in failure.cohorts.iter().cloned().map(Some).chain([None]) {
                groups.entry(group).or_default().push((node, &failure.failed));
            }
        }
        let limit = |group: &Option<Cohort>| match group {
            None => brakes.failures_max,
            Some(_) => brakes.cohort.as_ref().map(|cohort| cohort.failures_max),
        };
        let stop = |(group, failed): (Option<Cohort>, Vec<(&NodeName, &FailedReboot)>)| {
            let times = failed.iter().map(|(_, failed)| failed.at).collect();
            let failed = failed
                .into_iter()
                .map(|(node, failed)| (node.clone(), failed.cause))
                .collect();
            are_too_many(times, limit(&group)?).then(|| (group, Arc::new(Stop { failed })))
        };
        groups.into_iter().filter_map(stop).collect()
    }

    /// Why no node of a policy starts.
    pub(crate) fn of_policy(&self, policy: &str) -> Option<&Arc<Stop>> {
        self.stops.get(policy)?.get(&None)
    }

    /// The cohorts of a policy of which no node starts, each with the reason.
    pub(crate) fn of_cohorts(&self, policy: &str) -> impl Iterator<Item = (&Cohort, &Arc<Stop>)> {
        let stops = self.stops.get(policy).into_iter().flatten();
        stops.filter_map(|(group, stop)| Some((group.as_ref()?, stop)))
    }
}

/// The cohorts of a node with this kernel, under a policy with these brakes.
fn cohorts(brakes: &Brakes, node: &NodeView, kernel: &str) -> Vec<Cohort> {
    let labels = brakes.cohort.iter().flat_map(|cohort| &cohort.labels);
    let cohort = |label: &String| {
        Some(Cohort {
            label: label.clone(),
            value: value_of(label, node, kernel)?.to_owned(),
        })
    };
    labels.filter_map(cohort).collect()
}

/// None: the node has no such label, or its kubelet has not reported its kernel.
fn value_of<'a>(label: &str, node: &'a NodeView, kernel: &'a str) -> Option<&'a str> {
    if label == KERNEL_VERSION {
        return Some(kernel).filter(|kernel| !kernel.is_empty());
    }
    node.labels.get(label).map(String::as_str)
}

/// True if so many failures lie close enough to each other to have one cause.
fn are_too_many(mut times: Vec<Timestamp>, limit: u32) -> bool {
    times.sort_unstable();
    let limit = usize::try_from(limit).unwrap_or(usize::MAX).max(1);
    times.windows(limit).any(|close| {
        let (first, last) = (close.first(), close.last());
        first
            .zip(last)
            .is_some_and(|(first, last)| last.duration_since(*first) <= Policy::FAILURES_SPAN)
    })
}
