//! Objects from JSON as kubectl prints them. An object that cannot be read is a failure, never left out
//! in silence.

use k8s_openapi::api::authorization::v1::{SelfSubjectAccessReview, SubjectAccessReview};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Namespace, Node};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::facts::{AdmissionObject, Gathered, NamespaceObjects, ServiceObjects};
use crate::failure::Failure;
use crate::removal_facts::{AnyObject, ClusterObject};
use crate::workload::Workload;

/// Objects that are collected one by one, each by its kind.
pub trait Collect: Default {
    /// Adds one object. Kinds that are not wanted are left out: `kubectl get` prints none of them.
    ///
    /// # Errors
    ///
    /// If the object is not what its kind says.
    fn collect(&mut self, kind: &str, object: Value) -> serde_json::Result<()>;
}

impl<T: Collect> Gathered<T> {
    /// Reads objects, and keeps why there may be more of them.
    #[must_use]
    pub fn read(objects: Vec<Value>, failure: Option<Failure>) -> Self {
        let mut gathered = Self {
            objects: T::default(),
            failure,
        };
        for object in objects {
            let text = |pointer| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
            let kind = text("/kind").to_owned();
            let place = format!("{kind} {}/{}", text("/metadata/namespace"), text("/metadata/name"));
            if let Err(error) = gathered.objects.collect(&kind, object) {
                let unread = || Failure::unread(format!("{place} cannot be read: {error}"));
                gathered.failure.get_or_insert_with(unread);
            }
        }
        gathered
    }
}

fn typed<T: DeserializeOwned>(object: Value) -> serde_json::Result<T> {
    serde_json::from_value(object)
}

impl Collect for Vec<Node> {
    fn collect(&mut self, kind: &str, object: Value) -> serde_json::Result<()> {
        if kind == "Node" {
            self.push(typed(object)?);
        }
        Ok(())
    }
}

impl Collect for Vec<Namespace> {
    fn collect(&mut self, kind: &str, object: Value) -> serde_json::Result<()> {
        if kind == "Namespace" {
            self.push(typed(object)?);
        }
        Ok(())
    }
}

impl Collect for Vec<AdmissionObject> {
    fn collect(&mut self, kind: &str, object: Value) -> serde_json::Result<()> {
        if kind.starts_with("ValidatingAdmissionPolicy") {
            self.push(AdmissionObject(object));
        }
        Ok(())
    }
}

impl Collect for Option<Lease> {
    fn collect(&mut self, kind: &str, object: Value) -> serde_json::Result<()> {
        if kind == "Lease" {
            *self = Some(typed(object)?);
        }
        Ok(())
    }
}

impl Collect for Vec<SubjectAccessReview> {
    fn collect(&mut self, kind: &str, object: Value) -> serde_json::Result<()> {
        if kind == "SubjectAccessReview" {
            self.push(typed(object)?);
        }
        Ok(())
    }
}

impl Collect for Vec<SelfSubjectAccessReview> {
    fn collect(&mut self, kind: &str, object: Value) -> serde_json::Result<()> {
        if kind == "SelfSubjectAccessReview" {
            self.push(typed(object)?);
        }
        Ok(())
    }
}

impl Collect for Vec<Workload> {
    fn collect(&mut self, kind: &str, object: Value) -> serde_json::Result<()> {
        match kind {
            "Deployment" => self.push(Workload::Deployment(typed(object)?)),
            "DaemonSet" => self.push(Workload::DaemonSet(typed(object)?)),
            "StatefulSet" => self.push(Workload::StatefulSet(typed(object)?)),
            _ => {}
        }
        Ok(())
    }
}

impl Collect for NamespaceObjects {
    fn collect(&mut self, kind: &str, object: Value) -> serde_json::Result<()> {
        match kind {
            "Pod" => self.pods.push(typed(object)?),
            "Event" => self.events.push(typed(object)?),
            "ConfigMap" => self.config_maps.push(typed(object)?),
            _ => {}
        }
        Ok(())
    }
}

impl Collect for ServiceObjects {
    fn collect(&mut self, kind: &str, object: Value) -> serde_json::Result<()> {
        match kind {
            "Service" => self.services.push(typed(object)?),
            "EndpointSlice" => self.endpoint_slices.push(typed(object)?),
            _ => {}
        }
        Ok(())
    }
}

impl Collect for Vec<ClusterObject> {
    fn collect(&mut self, kind: &str, object: Value) -> serde_json::Result<()> {
        self.push(match kind {
            "ClusterRoleBinding" => ClusterObject::Binding(typed(object)?),
            "PersistentVolume" => ClusterObject::Volume(typed(object)?),
            "CustomResourceDefinition" => ClusterObject::Definition(typed(object)?),
            _ => ClusterObject::Other(typed(object)?),
        });
        Ok(())
    }
}

impl Collect for Vec<AnyObject> {
    fn collect(&mut self, _kind: &str, object: Value) -> serde_json::Result<()> {
        self.push(typed(object)?);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_object_is_read_by_its_kind() {
        let objects = ["Pod", "Event", "ConfigMap", "Pod"].map(|kind| json!({ "kind": kind, "metadata": {} }));
        let gathered = Gathered::<NamespaceObjects>::read(objects.into(), None);
        let NamespaceObjects {
            pods,
            events,
            config_maps,
        } = &gathered.objects;
        assert_eq!((pods.len(), events.len(), config_maps.len()), (2, 1, 1));
        assert_eq!(gathered.failure, None);
    }

    #[test]
    fn an_object_that_cannot_be_read_is_a_failure_and_the_others_are_kept() {
        let broken = json!({ "kind": "Node", "metadata": { "name": "node-2" }, "spec": { "unschedulable": "yes" } });
        let node = json!({ "kind": "Node", "metadata": { "name": "node-1" } });
        let gathered = Gathered::<Vec<Node>>::read(vec![broken, node], None);
        assert_eq!(gathered.objects.len(), 1);
        let failure = gathered.failure.unwrap().message;
        assert!(failure.starts_with("Node /node-2 cannot be read: "), "{failure}");
    }

    #[test]
    fn kubectls_own_failure_comes_before_objects_that_cannot_be_read() {
        let broken = json!({ "kind": "Node", "metadata": 7 });
        let gathered = Gathered::<Vec<Node>>::read(vec![broken], Some(Failure::forbidden("no")));
        assert_eq!(gathered.failure, Some(Failure::forbidden("no")));
    }
}
