//! The view of a Pod object: the fields on which the classes rest.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;

use super::controller::{Controller, controller};
use super::facts::PodFacts;

/// Annotation of the kubelet on the API's image of a static pod.
pub(crate) const MIRROR: &str = "kubernetes.io/config.mirror";

/// Annotation by which a pod's owner asks with `"true"` that the pod stays on its node during the
/// reboot. For pods that could not start anywhere else, above all a single NATS server whose volume
/// is on this node: once evicted it would wait for the uncordon, and the uncordon for it.
pub(crate) const STAYS: &str = "bellwether.dev/stays";

/// A Pod object with identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodView {
    /// `metadata.uid`.
    pub uid: String,
    /// `metadata.namespace`.
    pub namespace: String,
    /// `metadata.name`.
    pub name: String,
    /// `spec.nodeName`; empty while the pod is bound to no node.
    pub node: String,
    /// The owner that controls the pod.
    pub controller: Option<Controller>,
    /// The API's image of a static pod.
    pub is_mirror: bool,
    /// The pod's owner asks that it stays.
    pub asks_to_stay: bool,
    /// No container runs and none will: `status.phase` is Succeeded or Failed; or the pod is being deleted, and each of its
    /// containers has ended (D27).
    pub is_finished: bool,
    /// At least one finalizer keeps the object.
    pub has_finalizers: bool,
    /// `metadata.deletionTimestamp`: when the grace ends; the API server has added the grace already.
    pub deletion_at: Option<Timestamp>,
    /// An `emptyDir` volume on disk. One in memory is lost at the reboot anyway.
    pub has_scratch_data: bool,
    /// The facts for budgets; shared, since a view is copied often.
    pub facts: Arc<PodFacts>,
}

impl PodView {
    /// Reads the view; none if the object lacks its identity, as no stored object does.
    #[must_use]
    pub fn of(pod: &Pod) -> Option<Self> {
        let metadata = &pod.metadata;
        let annotation = |name| metadata.annotations.as_ref().and_then(|all| all.get(name));
        let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
        let facts = PodFacts::of(pod);
        let has_containers = pod.spec.as_ref().is_some_and(|spec| !spec.containers.is_empty());
        let has_ended = metadata.deletion_timestamp.is_some() && has_containers && facts.running.is_empty();
        Some(Self {
            uid: metadata.uid.clone()?,
            namespace: metadata.namespace.clone()?,
            name: metadata.name.clone()?,
            node: pod
                .spec
                .as_ref()
                .and_then(|spec| spec.node_name.clone())
                .unwrap_or_default(),
            controller: controller(pod),
            is_mirror: annotation(MIRROR).is_some(),
            asks_to_stay: annotation(STAYS).is_some_and(|value| value == "true"),
            is_finished: has_ended || matches!(phase, Some("Succeeded" | "Failed")),
            has_finalizers: metadata.finalizers.as_ref().is_some_and(|all| !all.is_empty()),
            deletion_at: metadata.deletion_timestamp.as_ref().map(|at| at.0),
            has_scratch_data: has_scratch_data(pod),
            facts: Arc::new(facts),
        })
    }
}

fn has_scratch_data(pod: &Pod) -> bool {
    let volumes = pod.spec.as_ref().and_then(|spec| spec.volumes.as_ref());
    volumes.is_some_and(|volumes| {
        let mut scratch = volumes.iter().filter_map(|volume| volume.empty_dir.as_ref());
        scratch.any(|scratch| scratch.medium.as_deref() != Some("Memory"))
    })
}
