//! The facts that `uninstall-check` judges, as data. Nothing here reads or judges anything.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Namespace, Node, PersistentVolume};
use k8s_openapi::api::rbac::v1::ClusterRoleBinding;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Deserialize;

use crate::facts::{FleetAnswer, Gathered};
use crate::failure::Failure;
use crate::namespaces::Namespaces;
use crate::part::{PARTS, Part};
use crate::workload::Workload;

/// An object of which kind and metadata are all that matters.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct AnyObject {
    /// Its kind, as Kubernetes spells it.
    pub kind: String,
    /// Its metadata.
    #[serde(default)]
    pub metadata: ObjectMeta,
}

/// A CustomResourceDefinition, without its schemas: those of others are large, of any form, and no trace.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Definition {
    /// Its metadata.
    #[serde(default)]
    pub metadata: ObjectMeta,
    /// The group that it belongs to.
    #[serde(default)]
    pub spec: DefinitionSpec,
}

/// The part of a CustomResourceDefinition's spec that matters.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
pub struct DefinitionSpec {
    /// The API group.
    #[serde(default)]
    pub group: String,
}

/// An object without a namespace, of a kind of which we bring, or may bring, objects.
#[derive(Debug, Clone, PartialEq)]
pub enum ClusterObject {
    /// A ClusterRoleBinding, which may bind a role of ours.
    Binding(Box<ClusterRoleBinding>),
    /// A PersistentVolume, which may hold the data of NATS.
    Volume(Box<PersistentVolume>),
    /// A CustomResourceDefinition, which may be of our group.
    Definition(Box<Definition>),
    /// A ClusterRole, a PriorityClass, or another kind that name and labels tell enough of.
    Other(Box<AnyObject>),
}

/// All facts of `uninstall-check`.
#[derive(Debug, Clone)]
pub struct RemovalFacts {
    /// When they were gathered.
    pub now: Timestamp,
    /// Where the installation is, or was.
    pub namespaces: Namespaces,
    /// The version of the API server. If it was not reached, nothing else is judged.
    pub kubernetes_version: Result<String, Failure>,
    /// All nodes.
    pub nodes: Gathered<Vec<Node>>,
    /// All namespaces.
    pub all_namespaces: Gathered<Vec<Namespace>>,
    /// Deployments, DaemonSets and StatefulSets of all namespaces.
    pub workloads: Gathered<Vec<Workload>>,
    /// Objects without a namespace.
    pub cluster: Gathered<Vec<ClusterObject>>,
    /// Objects of the control namespace that hold data or rights.
    pub control: Gathered<Vec<AnyObject>>,
    /// The same of the agents' namespace.
    pub agents: Gathered<Vec<AnyObject>>,
    /// The answer of the leading scheduler, or why there is none. Judged only while a service of ours
    /// is installed.
    pub fleet: Result<FleetAnswer, String>,
}

impl RemovalFacts {
    /// No facts yet, apart from time and place: an empty cluster.
    #[must_use]
    pub fn new(now: Timestamp, namespaces: Namespaces) -> Self {
        Self {
            now,
            namespaces,
            kubernetes_version: Ok(String::new()),
            nodes: Gathered::default(),
            all_namespaces: Gathered::default(),
            workloads: Gathered::default(),
            cluster: Gathered::default(),
            control: Gathered::default(),
            agents: Gathered::default(),
            fleet: Ok(FleetAnswer::default()),
        }
    }

    /// Whether one of our services is still deployed.
    #[must_use]
    pub fn is_installed(&self) -> bool {
        PARTS.iter().any(|part| self.workload(part).is_some())
    }

    /// The workload of this part, if it is there.
    pub(crate) fn workload(&self, part: &Part) -> Option<&Workload> {
        part.find(&self.workloads.objects, &self.namespaces)
    }
}

impl ClusterObject {
    pub(crate) fn kind(&self) -> &str {
        match self {
            Self::Binding(_) => "ClusterRoleBinding",
            Self::Volume(_) => "PersistentVolume",
            Self::Definition(_) => "CustomResourceDefinition",
            Self::Other(other) => &other.kind,
        }
    }

    pub(crate) fn meta(&self) -> &ObjectMeta {
        match self {
            Self::Binding(binding) => &binding.metadata,
            Self::Volume(volume) => &volume.metadata,
            Self::Definition(definition) => &definition.metadata,
            Self::Other(other) => &other.metadata,
        }
    }
}
