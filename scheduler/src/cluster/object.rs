//! A Node object, as far as the scheduler reads one.
//!
//! A kubelet writes its Node object every five minutes, and most of the object's 13 kB are images and managed fields,
//! which no decision depends on. Passed over in the text, they cost no memory and little time; as values they were
//! most of what an idle leader of a large fleet did.

use std::borrow::Cow;
use std::collections::BTreeMap;

use k8s_openapi::api::core::v1 as full;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kube::Resource;
use serde::Deserialize;

use crate::cluster::owner::{self, OrderOwner};

/// The fields of a Node object that are read; their names and types are those of [`full::Node`].
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(from = "Read")]
pub(crate) struct Node {
    pub(crate) metadata: ObjectMeta,
    /// The owners of the annotations that are orders, from the managed fields; none of nodes without such annotations.
    pub(crate) order_owners: Vec<OrderOwner>,
    pub(crate) spec: Option<NodeSpec>,
    pub(crate) status: Option<NodeStatus>,
}

#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct NodeSpec {
    pub(crate) unschedulable: Option<bool>,
    pub(crate) taints: Option<Vec<Taint>>,
}

#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Taint {
    pub(crate) key: String,
    pub(crate) value: Option<String>,
    pub(crate) effect: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NodeStatus {
    pub(crate) conditions: Option<Vec<NodeCondition>>,
    pub(crate) node_info: Option<NodeInfo>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NodeCondition {
    #[serde(rename = "type")]
    pub(crate) type_: String,
    pub(crate) status: String,
    pub(crate) last_transition_time: Option<Time>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct NodeInfo {
    #[serde(rename = "bootID")]
    pub(crate) boot_id: String,
    pub(crate) kernel_version: String,
    pub(crate) os_image: String,
}

impl Resource for Node {
    type DynamicType = ();
    type Scope = <full::Node as Resource>::Scope;

    fn kind((): &()) -> Cow<'_, str> {
        full::Node::kind(&())
    }

    fn group((): &()) -> Cow<'_, str> {
        full::Node::group(&())
    }

    fn version((): &()) -> Cow<'_, str> {
        full::Node::version(&())
    }

    fn plural((): &()) -> Cow<'_, str> {
        full::Node::plural(&())
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

/// The object as its text has it.
#[derive(Deserialize)]
struct Read {
    metadata: Metadata,
    spec: Option<NodeSpec>,
    status: Option<NodeStatus>,
}

/// The metadata without those that are not read. The watch itself needs the resource version.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    name: Option<String>,
    uid: Option<String>,
    resource_version: Option<String>,
    labels: Option<BTreeMap<String, String>>,
    annotations: Option<BTreeMap<String, String>>,
    deletion_timestamp: Option<Time>,
    #[serde(default, rename = "managedFields", deserialize_with = "owner::order_owners")]
    order_owners: Vec<OrderOwner>,
}

impl From<Read> for Node {
    fn from(read: Read) -> Self {
        let metadata = read.metadata;
        Self {
            metadata: ObjectMeta {
                name: metadata.name,
                uid: metadata.uid,
                resource_version: metadata.resource_version,
                labels: metadata.labels,
                annotations: metadata.annotations,
                deletion_timestamp: metadata.deletion_timestamp,
                ..ObjectMeta::default()
            },
            order_owners: metadata.order_owners,
            spec: read.spec,
            status: read.status,
        }
    }
}

#[cfg(test)]
mod tests {
    use kube::core::WatchEvent;

    use super::*;

    const OBJECT: &str = r#"{
        "kind": "Node", "apiVersion": "v1",
        "metadata": {
            "name": "n1", "uid": "u1", "resourceVersion": "7", "creationTimestamp": "2026-01-01T00:00:00Z",
            "deletionTimestamp": "2026-01-02T00:00:00Z",
            "labels": { "a": "b" }, "annotations": { "c": "d" },
            "managedFields": [{ "manager": "kubelet", "operation": "Update", "fieldsV1": { "f:status": {} } }]
        },
        "spec": { "unschedulable": true, "providerID": "x", "taints": [
            { "key": "k", "effect": "NoSchedule" }, { "key": "l", "value": "v", "effect": "NoExecute" }
        ] },
        "status": {
            "conditions": [
                { "type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:05Z", "reason": "r" },
                { "type": "DiskPressure", "status": "False", "lastTransitionTime": null }
            ],
            "nodeInfo": {
                "bootID": "b1", "kernelVersion": "6.12", "osImage": "Debian", "machineID": "m", "systemUUID": "s",
                "containerRuntimeVersion": "c", "kubeletVersion": "v", "kubeProxyVersion": "", "operatingSystem": "linux",
                "architecture": "amd64"
            },
            "images": [{ "names": ["i"], "sizeBytes": 1 }]
        }
    }"#;

    #[test]
    fn each_field_that_is_read_has_the_value_that_the_full_object_has() {
        let (ours, full): (Node, full::Node) = (
            serde_json::from_str(OBJECT).unwrap(),
            serde_json::from_str(OBJECT).unwrap(),
        );
        let expected = ObjectMeta {
            creation_timestamp: None,
            managed_fields: None,
            ..full.metadata
        };
        assert_eq!(ours.metadata, expected);
        assert!(ours.order_owners.is_empty());
        let (ours_spec, full_spec) = (ours.spec.unwrap(), full.spec.unwrap());
        assert_eq!(ours_spec.unschedulable, full_spec.unschedulable);
        let (ours_taints, full_taints) = (ours_spec.taints.unwrap(), full_spec.taints.unwrap());
        let ours_taints = ours_taints
            .iter()
            .map(|taint| (&taint.key, &taint.value, &taint.effect));
        let full_taints = full_taints
            .iter()
            .map(|taint| (&taint.key, &taint.value, &taint.effect));
        assert!(ours_taints.eq(full_taints));
        let (ours, full) = (ours.status.unwrap(), full.status.unwrap());
        let ours_conditions = ours.conditions.unwrap();
        let ours_conditions = ours_conditions
            .iter()
            .map(|it| (&it.type_, &it.status, &it.last_transition_time));
        let full_conditions = full.conditions.unwrap();
        let full_conditions = full_conditions
            .iter()
            .map(|it| (&it.type_, &it.status, &it.last_transition_time));
        assert!(ours_conditions.eq(full_conditions));
        let (ours, full) = (ours.node_info.unwrap(), full.node_info.unwrap());
        assert_eq!(
            (ours.boot_id, ours.kernel_version, ours.os_image),
            (full.boot_id, full.kernel_version, full.os_image)
        );
    }

    #[test]
    fn a_node_without_spec_and_status_is_read_as_an_event_of_a_watch() {
        let event = r#"{ "type": "ADDED", "object": { "metadata": { "name": "n1", "resourceVersion": "7" } } }"#;
        let WatchEvent::Added(node) = serde_json::from_str::<WatchEvent<Node>>(event).unwrap() else {
            panic!("another event");
        };
        assert_eq!(node.meta().resource_version.as_deref(), Some("7"));
        assert!(node.spec.is_none() && node.status.is_none());
    }
}
