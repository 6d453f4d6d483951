//! The views of PodDisruptionBudgets: the pods that each selects, and how many of them may go.

use std::collections::BTreeMap;
use std::fmt;

use bellwether_proto::BudgetNumbers;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube_core::{Selector, SelectorExt as _};

use crate::pod::NodePod;

/// The condition of a budget, and its reason while the budget's controller cannot work out its numbers.
const CONDITION: &str = "DisruptionAllowed";
const SYNC_FAILED: &str = "SyncFailed";
/// The policy by which pods that are not Ready may always go (D18).
const ALWAYS_ALLOW: &str = "AlwaysAllow";

/// Namespace and name of a budget.
pub type BudgetKey = (String, String);

/// All disruption budgets of the cluster.
#[derive(Debug, Clone, Default)]
pub struct Budgets {
    by_namespace: BTreeMap<String, BTreeMap<String, BudgetView>>,
}

impl Budgets {
    /// Adds a budget, in place of the one with its key.
    pub fn insert(&mut self, budget: BudgetView) {
        let of_namespace = self.by_namespace.entry(budget.namespace.clone()).or_default();
        of_namespace.insert(budget.name.clone(), budget);
    }

    /// Removes the budget with this key.
    pub fn remove(&mut self, (namespace, name): &BudgetKey) {
        if let Some(of_namespace) = self.by_namespace.get_mut(namespace) {
            of_namespace.remove(name);
        }
    }

    /// All budgets, by namespace and name.
    pub fn iter(&self) -> impl Iterator<Item = &BudgetView> {
        self.by_namespace.values().flat_map(BTreeMap::values)
    }

    /// What the eviction of this pod asks of the budgets.
    pub(crate) fn asked_by(&self, pod: &NodePod) -> Asked<'_> {
        if !pod.asks_a_budget() {
            return Asked::Nothing;
        }
        let of_namespace = self.by_namespace.get(&pod.namespace);
        let of_namespace = of_namespace.into_iter().flat_map(BTreeMap::values);
        let mut selecting = of_namespace.filter(|budget| budget.selects(pod));
        match (selecting.next(), selecting.next()) {
            (None, _) => Asked::Nothing,
            (Some(budget), None) if budget.lets_go_unasked(pod) => Asked::Nothing,
            (Some(budget), None) => Asked::One(budget),
            (Some(first), Some(second)) => Asked::Several([first, second].into_iter().chain(selecting).collect()),
        }
    }
}

/// What the eviction of a pod asks of the budgets.
#[derive(Debug)]
pub(crate) enum Asked<'a> {
    /// The pod goes without asking a budget.
    Nothing,
    /// One disruption of this budget.
    One(&'a BudgetView),
    /// Several budgets select the pod: the API server never evicts it.
    Several(Vec<&'a BudgetView>),
}

/// A disruption budget: the pods that it selects, and its numbers.
#[derive(Debug, Clone)]
pub struct BudgetView {
    pub(crate) namespace: String,
    name: String,
    /// `metadata.resourceVersion`: another one with each change of the numbers.
    pub version: String,
    /// None: the budget selects no pod.
    selector: Option<Selector>,
    /// Pods that are not Ready may always go.
    pub(crate) lets_unhealthy_go: bool,
    /// `status.currentHealthy`, `status.desiredHealthy`, `status.expectedPods`.
    pub(crate) healthy: i32,
    pub(crate) desired: i32,
    expected: i32,
    state: State,
}

/// How many of its pods may go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum State {
    /// So many, above zero.
    Allows(u32),
    /// None now.
    Exhausted,
    /// None, even while all pods are healthy (D17).
    Never,
    /// The budget's controller has not looked at the newest form of the budget.
    Unprocessed,
    /// The budget's controller cannot work out the numbers. States why.
    Broken(String),
}

impl BudgetView {
    /// Reads the view; none if the object lacks its identity, as no stored object does.
    #[must_use]
    pub fn of(budget: &PodDisruptionBudget) -> Option<Self> {
        let metadata = &budget.metadata;
        let spec = budget.spec.as_ref();
        let policy = spec.and_then(|spec| spec.unhealthy_pod_eviction_policy.as_deref());
        let status = budget.status.as_ref();
        // Without a selector a budget selects nothing, with an empty one every pod of its namespace (D19).
        let selector = spec.and_then(|spec| spec.selector.clone());
        let selector = selector.and_then(|selector| Selector::try_from(selector).ok());
        Some(Self {
            namespace: metadata.namespace.clone()?,
            name: metadata.name.clone()?,
            version: metadata.resource_version.clone().unwrap_or_default(),
            selector,
            lets_unhealthy_go: policy == Some(ALWAYS_ALLOW),
            healthy: status.map_or(0, |status| status.current_healthy),
            desired: status.map_or(0, |status| status.desired_healthy),
            expected: status.map_or(0, |status| status.expected_pods),
            state: state(budget),
        })
    }

    /// Its key among all budgets: namespace and name.
    #[must_use]
    pub fn key(&self) -> BudgetKey {
        (self.namespace.clone(), self.name.clone())
    }

    /// The pod is one of the budget's.
    pub(crate) fn selects(&self, pod: &NodePod) -> bool {
        let selects = |selector: &Selector| selector.matches(&pod.facts.labels);
        self.namespace == pod.namespace && self.selector.as_ref().is_some_and(selects)
    }

    /// The eviction handler lets a pod that is not Ready go without asking the budget: as long as enough others are
    /// healthy, or always by the budget's policy (D18).
    pub(crate) fn lets_go_unasked(&self, pod: &NodePod) -> bool {
        !pod.facts.is_ready && (self.lets_unhealthy_go || (self.healthy >= self.desired && self.desired > 0))
    }

    pub(crate) fn state(&self) -> &State {
        &self.state
    }

    /// The budget with the numbers of its status.
    pub(crate) fn status(&self) -> BudgetNumbers {
        let number = |number: i32| u32::try_from(number).unwrap_or_default();
        BudgetNumbers {
            namespace: self.namespace.clone(),
            name: self.name.clone(),
            healthy: number(self.healthy),
            desired: number(self.desired),
            expected: number(self.expected),
        }
    }

    /// The numbers of the budget, for operators.
    pub(crate) fn numbers(&self) -> String {
        format!(
            "{} of {} pods are healthy, and {} have to be",
            self.healthy, self.expected, self.desired
        )
    }
}

impl fmt::Display for BudgetView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PodDisruptionBudget {}/{}", self.namespace, self.name)
    }
}

fn state(budget: &PodDisruptionBudget) -> State {
    let Some(status) = &budget.status else {
        return State::Unprocessed;
    };
    let conditions = status.conditions.as_deref().unwrap_or_default();
    let failed = conditions
        .iter()
        .find(|condition| condition.type_ == CONDITION && condition.reason == SYNC_FAILED);
    if let Some(failed) = failed {
        return State::Broken(failed.message.clone());
    }
    if status.observed_generation < budget.metadata.generation {
        return State::Unprocessed;
    }
    match u32::try_from(status.disruptions_allowed) {
        Ok(allowed) if allowed > 0 => State::Allows(allowed),
        Ok(_) | Err(_) if status.expected_pods > 0 && status.desired_healthy >= status.expected_pods => State::Never,
        Ok(_) | Err(_) => State::Exhausted,
    }
}
