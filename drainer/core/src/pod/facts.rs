//! The facts of a pod on which disruption budgets and estimates rest.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Pod, PodCondition, Volume};

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
    /// The PersistentVolumeClaims that its volumes name, in its namespace; those of generic ephemeral volumes included.
    pub claims: Vec<String>,
}

impl Default for PodFacts {
    fn default() -> Self {
        Self {
            labels: BTreeMap::new(),
            is_pending: false,
            is_ready: true,
            grace: DEFAULT_GRACE,
            claims: Vec::new(),
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
            claims: claims(pod),
        }
    }
}

fn claims(pod: &Pod) -> Vec<String> {
    let volumes = pod.spec.as_ref().and_then(|spec| spec.volumes.as_deref());
    let claim = |volume: &Volume| match (&volume.persistent_volume_claim, &volume.ephemeral) {
        (Some(claim), _) => Some(claim.claim_name.clone()),
        // Kubernetes names the claim of such a volume so.
        (None, Some(_)) => Some(format!("{}-{}", pod.metadata.name.as_deref()?, volume.name)),
        (None, None) => None,
    };
    volumes.unwrap_or_default().iter().filter_map(claim).collect()
}
