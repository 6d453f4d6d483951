//! The facts of a pod on which disruption budgets and estimates rest.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Pod, PodCondition};

/// The grace of a pod that names none. The API server writes it into each pod that it stores.
const DEFAULT_GRACE: Duration = Duration::from_secs(30);

/// The facts of a pod on which disruption budgets and estimates rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodFacts {
    /// `metadata.labels`.
    pub labels: BTreeMap<String, String>,
    /// `status.phase` is Pending: no budget counts for the pod.
    pub is_pending: bool,
    /// The condition Ready.
    pub is_ready: bool,
    /// `spec.terminationGracePeriodSeconds`.
    pub grace: Duration,
}

impl Default for PodFacts {
    fn default() -> Self {
        Self {
            labels: BTreeMap::new(),
            is_pending: false,
            is_ready: true,
            grace: DEFAULT_GRACE,
        }
    }
}

impl PodFacts {
    /// Reads the facts.
    pub(super) fn of(pod: &Pod) -> Self {
        let status = pod.status.as_ref();
        let conditions = status.and_then(|status| status.conditions.as_deref());
        let is_ready = |condition: &PodCondition| condition.type_ == "Ready" && condition.status == "True";
        let grace = pod.spec.as_ref().and_then(|spec| spec.termination_grace_period_seconds);
        Self {
            labels: pod.metadata.labels.clone().unwrap_or_default(),
            is_pending: status.and_then(|status| status.phase.as_deref()) == Some("Pending"),
            is_ready: conditions.unwrap_or_default().iter().any(is_ready),
            grace: grace.map_or(DEFAULT_GRACE, |seconds| {
                Duration::from_secs(seconds.try_into().unwrap_or(0))
            }),
        }
    }
}
