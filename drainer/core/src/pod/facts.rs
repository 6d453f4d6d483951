//! The facts of a pod on which disruption budgets and estimates rest.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use k8s_openapi::api::core::v1::{ContainerStatus, Pod, PodCondition, PodStatus, Volume};

use super::controller::controller;

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
    /// `metadata.finalizers`.
    pub finalizers: Vec<String>,
    /// The containers that have not ended, as far as the kubelet has reported.
    pub running: Vec<String>,
    /// The API group of the owner that controls the pod; empty: none, or one of the core group.
    pub controller_group: String,
    /// `spec.priority`, by the pod's priority class.
    pub priority: i32,
}

impl Default for PodFacts {
    fn default() -> Self {
        Self {
            labels: BTreeMap::new(),
            is_pending: false,
            is_ready: true,
            grace: DEFAULT_GRACE,
            claims: Vec::new(),
            finalizers: Vec::new(),
            running: Vec::new(),
            controller_group: String::new(),
            priority: 0,
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
            finalizers: pod.metadata.finalizers.clone().unwrap_or_default(),
            running: running(pod),
            controller_group: controller(pod).map_or_else(String::new, |it| it.group().to_owned()),
            priority: pod.spec.as_ref().and_then(|spec| spec.priority).unwrap_or(0),
        }
    }
}

/// A container without a status may run: the kubelet has not reported yet. A sidecar is an init container.
fn running(pod: &Pod) -> Vec<String> {
    let status = pod.status.as_ref();
    let lists = |of: fn(&PodStatus) -> Option<&Vec<ContainerStatus>>| status.and_then(of).into_iter().flatten();
    let main = lists(|status| status.container_statuses.as_ref());
    let init = lists(|status| status.init_container_statuses.as_ref());
    let has_ended = |status: &ContainerStatus| status.state.as_ref().is_some_and(|state| state.terminated.is_some());
    let ended: BTreeSet<&str> = main
        .chain(init.clone())
        .filter(|status| has_ended(status))
        .map(|status| status.name.as_str())
        .collect();
    let spec = pod.spec.as_ref();
    let containers = spec
        .into_iter()
        .flat_map(|spec| &spec.containers)
        .map(|container| &container.name);
    // An init container that never ran has no status, or waits for ever.
    let runs = |status: &&ContainerStatus| status.state.as_ref().is_some_and(|state| state.running.is_some());
    let sidecars = init.filter(runs).map(|status| &status.name);
    let all = containers.chain(sidecars).filter(|name| !ended.contains(name.as_str()));
    all.cloned().collect()
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
