//! A Node object, as far as the scheduler reads one.
//!
//! A kubelet writes its Node object every five minutes, and most of the object's 13 kB are images and managed fields,
//! which no decision depends on. Passed over in the text, they cost no memory and little time; as values they were
//! most of what an idle leader of a large fleet did.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use bellwether_scheduler_core::AnnotatedKind;
use k8s_openapi::api::core::v1 as full;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kube::Resource;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::cluster::owner::{OrderOwner, OrderOwners};

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
    pub(crate) reason: Option<String>,
    pub(crate) message: Option<String>,
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
#[derive(Default)]
struct Metadata {
    object: ObjectMeta,
    order_owners: Vec<OrderOwner>,
}

/// The names of the fields that are read.
#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "camelCase")]
enum Field {
    Name,
    Uid,
    ResourceVersion,
    Labels,
    Annotations,
    DeletionTimestamp,
    ManagedFields,
    #[serde(other)]
    Other,
}

impl Metadata {
    /// The annotations are known, and none is an order. The API server writes them before the managed fields, which
    /// are most of the metadata; so nearly always they are passed over.
    fn has_no_orders(&self) -> bool {
        let has_orders = |annotations: &BTreeMap<String, String>| {
            AnnotatedKind::ALL
                .iter()
                .any(|kind| annotations.contains_key(kind.annotation()))
        };
        self.object
            .annotations
            .as_ref()
            .is_some_and(|annotations| !has_orders(annotations))
    }
}

impl<'de> Deserialize<'de> for Metadata {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OfObject;

        impl<'de> Visitor<'de> for OfObject {
            type Value = Metadata;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the metadata of an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Metadata, A::Error> {
                let mut read = Metadata::default();
                while let Some(field) = fields.next_key()? {
                    let object = &mut read.object;
                    match field {
                        Field::Name => object.name = fields.next_value()?,
                        Field::Uid => object.uid = fields.next_value()?,
                        Field::ResourceVersion => object.resource_version = fields.next_value()?,
                        Field::Labels => object.labels = fields.next_value()?,
                        Field::Annotations => object.annotations = fields.next_value()?,
                        Field::DeletionTimestamp => object.deletion_timestamp = fields.next_value()?,
                        Field::ManagedFields if !read.has_no_orders() => {
                            read.order_owners = fields.next_value::<OrderOwners>()?.0;
                        }
                        Field::ManagedFields | Field::Other => drop(fields.next_value::<IgnoredAny>()?),
                    }
                }
                Ok(read)
            }
        }

        deserializer.deserialize_map(OfObject)
    }
}

impl From<Read> for Node {
    fn from(read: Read) -> Self {
        Self {
            metadata: read.metadata.object,
            order_owners: read.metadata.order_owners,
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
    fn the_owners_of_orders_are_read_wherever_the_annotations_stand_and_passed_over_without_orders() {
        let fields = r#""managedFields": [{ "manager": "m", "fieldsV1": { "f:metadata": { "f:annotations": {
            "f:bellwether.dev/hold": {} } } } }]"#;
        let owners = |metadata: &str| {
            let text = format!(r#"{{ "metadata": {{ "name": "n1", {metadata} }} }}"#);
            let node = serde_json::from_str::<Node>(&text).unwrap();
            assert_eq!(node.metadata.name.as_deref(), Some("n1"));
            node.order_owners.len()
        };
        let hold = r#""annotations": { "bellwether.dev/hold": "" }"#;
        assert_eq!(owners(&format!("{hold}, {fields}")), 1);
        assert_eq!(owners(&format!("{fields}, {hold}")), 1);
        assert_eq!(owners(&format!(r#""annotations": {{ "a": "b" }}, {fields}"#)), 0);
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
