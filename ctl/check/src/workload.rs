//! Deployments, DaemonSets and StatefulSets as one type.

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use k8s_openapi::api::core::v1::{PodSpec, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::object::{name, namespace};

/// A workload. Boxed: one is about a kilobyte, whatever the kind.
#[derive(Debug, Clone, PartialEq)]
pub enum Workload {
    /// A Deployment.
    Deployment(Box<Deployment>),
    /// A DaemonSet.
    DaemonSet(Box<DaemonSet>),
    /// A StatefulSet.
    StatefulSet(Box<StatefulSet>),
}

/// Kinds of workloads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WorkloadKind {
    Deployment,
    DaemonSet,
    StatefulSet,
}

impl WorkloadKind {
    /// As Kubernetes spells it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Deployment => "Deployment",
            Self::DaemonSet => "DaemonSet",
            Self::StatefulSet => "StatefulSet",
        }
    }

    /// As kubectl's arguments spell it.
    pub(crate) fn argument(self) -> &'static str {
        match self {
            Self::Deployment => "deployment",
            Self::DaemonSet => "daemonset",
            Self::StatefulSet => "statefulset",
        }
    }
}

/// How many pods of a workload are wanted, and how far they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Rollout {
    /// Pods that are wanted.
    pub(crate) desired: i32,
    /// Pods that were created. DaemonSets alone report them apart from those that are wanted.
    pub(crate) created: i32,
    /// Pods that are ready.
    pub(crate) ready: i32,
    /// Pods of the newest revision.
    pub(crate) updated: i32,
}

impl Rollout {
    /// The rollout of a workload that counts replicas, with the numbers of its spec and its status.
    fn of_replicas(desired: Option<i32>, ready: Option<i32>, updated: Option<i32>) -> Self {
        let desired = desired.unwrap_or_default();
        Self {
            desired,
            created: desired,
            ready: ready.unwrap_or_default(),
            updated: updated.unwrap_or_default(),
        }
    }
}

impl Workload {
    /// Its metadata.
    #[must_use]
    pub fn meta(&self) -> &ObjectMeta {
        match self {
            Self::Deployment(it) => &it.metadata,
            Self::DaemonSet(it) => &it.metadata,
            Self::StatefulSet(it) => &it.metadata,
        }
    }

    pub(crate) fn kind(&self) -> WorkloadKind {
        match self {
            Self::Deployment(_) => WorkloadKind::Deployment,
            Self::DaemonSet(_) => WorkloadKind::DaemonSet,
            Self::StatefulSet(_) => WorkloadKind::StatefulSet,
        }
    }

    /// `DaemonSet bellwether-agents/rebooter`.
    pub(crate) fn path(&self) -> String {
        let (kind, meta) = (self.kind().as_str(), self.meta());
        format!("{kind} {}/{}", namespace(meta), name(meta))
    }

    /// What its pods are made of.
    pub(crate) fn template(&self) -> Option<&PodTemplateSpec> {
        match self {
            Self::Deployment(it) => it.spec.as_ref().map(|spec| &spec.template),
            Self::DaemonSet(it) => it.spec.as_ref().map(|spec| &spec.template),
            Self::StatefulSet(it) => it.spec.as_ref().map(|spec| &spec.template),
        }
    }

    pub(crate) fn pod_spec(&self) -> Option<&PodSpec> {
        self.template()?.spec.as_ref()
    }

    /// The images of its containers.
    pub(crate) fn images(&self) -> impl Iterator<Item = &str> {
        let containers = self
            .pod_spec()
            .map(|spec| spec.containers.as_slice())
            .unwrap_or_default();
        containers
            .iter()
            .map(|container| container.image.as_deref().unwrap_or_default())
    }

    pub(crate) fn rollout(&self) -> Rollout {
        match self {
            Self::Deployment(it) => {
                let status = it.status.as_ref();
                Rollout::of_replicas(
                    it.spec.as_ref().and_then(|spec| spec.replicas),
                    status.and_then(|status| status.ready_replicas),
                    status.and_then(|status| status.updated_replicas),
                )
            }
            Self::DaemonSet(it) => it.status.as_ref().map_or_else(Rollout::default, |status| Rollout {
                desired: status.desired_number_scheduled,
                created: status.current_number_scheduled,
                ready: status.number_ready,
                updated: status.updated_number_scheduled.unwrap_or_default(),
            }),
            Self::StatefulSet(it) => {
                let status = it.status.as_ref();
                Rollout::of_replicas(
                    it.spec.as_ref().and_then(|spec| spec.replicas),
                    status.and_then(|status| status.ready_replicas),
                    status.and_then(|status| status.updated_replicas),
                )
            }
        }
    }

    /// Why a ReplicaSet of a Deployment cannot create pods, if that is so.
    pub(crate) fn replica_failure(&self) -> Option<&str> {
        let Self::Deployment(deployment) = self else {
            return None;
        };
        let conditions = deployment.status.as_ref()?.conditions.as_deref()?;
        let failing = conditions
            .iter()
            .find(|condition| condition.type_ == "ReplicaFailure" && condition.status == "True")?;
        Some(failing.message.as_deref().unwrap_or_default())
    }
}
