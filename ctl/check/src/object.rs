//! Metadata of Kubernetes objects and conditions of nodes and pods. Text that is absent is empty.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, ContainerStatus, Node, Pod, PodCondition};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};

/// The label that names a part of Bellwether.
pub(crate) const COMPONENT: &str = "app.kubernetes.io/component";
/// The label that all objects of Bellwether carry, whichever tool deployed them.
pub(crate) const PART_OF: &str = "app.kubernetes.io/part-of";
/// The value of [`PART_OF`] and the beginning of the names of cluster-wide objects.
pub(crate) const BELLWETHER: &str = "bellwether";
/// What all of our marks on nodes begin with.
pub(crate) const OUR_PREFIX: &str = "bellwether.dev/";

pub(crate) fn name(meta: &ObjectMeta) -> &str {
    meta.name.as_deref().unwrap_or_default()
}

pub(crate) fn namespace(meta: &ObjectMeta) -> &str {
    meta.namespace.as_deref().unwrap_or_default()
}

pub(crate) fn label<'a>(meta: &'a ObjectMeta, key: &str) -> &'a str {
    let value = meta.labels.as_ref().and_then(|labels| labels.get(key));
    value.map_or("", String::as_str)
}

pub(crate) fn annotation<'a>(meta: &'a ObjectMeta, key: &str) -> &'a str {
    let value = meta.annotations.as_ref().and_then(|annotations| annotations.get(key));
    value.map_or("", String::as_str)
}

pub(crate) fn created(meta: &ObjectMeta) -> Option<Timestamp> {
    instant(meta.creation_timestamp.as_ref())
}

pub(crate) fn instant(time: Option<&Time>) -> Option<Timestamp> {
    time.map(|time| time.0)
}

/// Whether the node is Ready.
pub(crate) fn is_node_ready(node: &Node) -> bool {
    let conditions = node.status.as_ref().and_then(|status| status.conditions.as_deref());
    let mut conditions = conditions.unwrap_or_default().iter();
    conditions.any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// Whether the pod is Ready.
pub(crate) fn is_pod_ready(pod: &Pod) -> bool {
    condition(pod, "Ready").is_some_and(|condition| condition.status == "True")
}

/// A condition of a pod.
pub(crate) fn condition<'a>(pod: &'a Pod, of_type: &str) -> Option<&'a PodCondition> {
    let conditions = pod.status.as_ref()?.conditions.as_deref()?;
    conditions.iter().find(|condition| condition.type_ == of_type)
}

/// The node to which the pod is bound; empty if it is bound to none.
pub(crate) fn node_name(pod: &Pod) -> &str {
    let spec = pod.spec.as_ref();
    spec.and_then(|spec| spec.node_name.as_deref()).unwrap_or_default()
}

/// Whether the node is cordoned, by us or by others.
pub(crate) fn is_cordoned(node: &Node) -> bool {
    node.spec.as_ref().and_then(|spec| spec.unschedulable) == Some(true)
}

/// The attempt whose cordon the node carries; empty if it carries none of ours.
pub(crate) fn cordoned_for(node: &Node) -> &str {
    annotation(&node.metadata, bellwether_proto::mark::CORDONED_FOR)
}

/// The kind of node, if Bellwether leaves such nodes alone.
pub(crate) fn left_alone(node: &Node) -> Option<&'static str> {
    bellwether_proto::node::left_alone(|key| Some(label(&node.metadata, key)))
}

/// Whether the pod is neither ending nor ended. Such a pod says nothing of its successor.
pub(crate) fn is_current(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    let ended = matches!(phase, Some("Succeeded" | "Failed"));
    !ended && pod.metadata.deletion_timestamp.is_none()
}

/// The gatekeeper beside a NATS server: the sidecar that serves `/readyz`.
pub(crate) fn gatekeeper(pod: &Pod) -> Option<&Container> {
    let containers = pod.spec.as_ref()?.init_containers.as_deref()?;
    let mut sidecars = containers
        .iter()
        .filter(|it| it.restart_policy.as_deref() == Some("Always"));
    sidecars.find(|it| admin_port(it).is_some())
}

/// The port on which a container serves `/readyz`.
pub(crate) fn admin_port(container: &Container) -> Option<u16> {
    let mut ports = container.ports.iter().flatten();
    let admin = ports.find(|port| port.name.as_deref() == Some("admin"))?;
    admin.container_port.try_into().ok()
}

/// The states of a pod's sidecars and of other init containers.
pub(crate) fn init_containers(pod: &Pod) -> &[ContainerStatus] {
    let statuses = pod.status.as_ref();
    let statuses = statuses.and_then(|status| status.init_container_statuses.as_deref());
    statuses.unwrap_or_default()
}

/// The states of a pod's containers; init containers have a list of their own.
pub(crate) fn containers(pod: &Pod) -> &[ContainerStatus] {
    let statuses = pod
        .status
        .as_ref()
        .and_then(|status| status.container_statuses.as_deref());
    statuses.unwrap_or_default()
}
