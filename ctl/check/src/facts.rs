//! The facts that a check judges, as data: objects of Kubernetes, answers of the leading scheduler
//! and of pods. The embedding program gathers them; nothing here reads or judges anything.

use std::collections::{BTreeMap, BTreeSet};

use bellwether_proto::readiness::NotReady;
use bellwether_proto::wire::{ListNodesResponse, NodeState, NodeStatus};
use jiff::Timestamp;
use k8s_openapi::api::authorization::v1::{SelfSubjectAccessReview, SubjectAccessReview};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Event, Node, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use serde_json::Value;

use crate::failure::Failure;
use crate::namespaces::Namespaces;
use crate::object;
use crate::part::Part;
use crate::workload::Workload;

/// Objects that were read. There may be some although the reading failed: one kind of several may be
/// forbidden.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Gathered<T> {
    /// The objects.
    pub objects: T,
    /// Why these are not all, if so.
    pub failure: Option<Failure>,
}

/// The objects of one namespace that a check looks at.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct NamespaceObjects {
    /// Its pods.
    pub pods: Vec<Pod>,
    /// Its events.
    pub events: Vec<Event>,
    /// Its ConfigMaps.
    pub config_maps: Vec<ConfigMap>,
}

/// Services, and what is behind them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ServiceObjects {
    /// Services.
    pub services: Vec<Service>,
    /// EndpointSlices.
    pub endpoint_slices: Vec<EndpointSlice>,
}

/// An object of admission control as the API server returns it: each of its fields is compared.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AdmissionObject(pub Value);

/// The answer of the leading scheduler.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FleetAnswer {
    /// Where it was reached, for operators.
    pub leader: String,
    /// Its list of nodes.
    pub list: ListNodesResponse,
}

/// A pod, by its namespace and name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PodKey {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// What came of a request for a pod's `/readyz`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Readiness {
    /// The parts that are not ready; none: it is ready now.
    Answered(Vec<NotReady>),
    /// There was no answer; why.
    Unanswered(String),
}

/// All facts of `check`.
#[derive(Debug, Clone)]
pub struct Facts {
    /// When they were gathered.
    pub now: Timestamp,
    /// Where the installation is.
    pub namespaces: Namespaces,
    /// The version of `kubectl reboots`, which is compared with those of the services; `None` if another
    /// program embeds the checks.
    pub tool_version: Option<String>,
    /// The user gave the scheduler's address, so the way in through the API server is not needed.
    pub scheduler_address_given: bool,
    /// The version of the API server, such as `v1.36.3`. If it was not reached, nothing else of
    /// Kubernetes is judged.
    pub kubernetes_version: Result<String, Failure>,
    /// All nodes.
    pub nodes: Gathered<Vec<Node>>,
    /// Deployments, DaemonSets and StatefulSets of all namespaces.
    pub workloads: Gathered<Vec<Workload>>,
    /// The control namespace.
    pub control: Gathered<NamespaceObjects>,
    /// The agents' namespace.
    pub agents: Gathered<NamespaceObjects>,
    /// The Lease [`bellwether_proto::mark::LEASE`] of the control namespace.
    pub lease: Gathered<Option<Lease>>,
    /// Those of the namespaces that the settings name for NATS: [`crate::nats_namespaces`].
    pub services: Gathered<ServiceObjects>,
    /// ValidatingAdmissionPolicies and their bindings, ours at least.
    pub policies: Gathered<Vec<AdmissionObject>>,
    /// Answers to [`crate::own_reviews`].
    pub own_rights: Gathered<Vec<SelfSubjectAccessReview>>,
    /// Answers to [`crate::account_reviews`].
    pub account_rights: Gathered<Vec<SubjectAccessReview>>,
    /// Answers of those pods of [`crate::pods_to_ask`] that were asked.
    pub readiness: BTreeMap<PodKey, Readiness>,
    /// The answer of the leading scheduler, or why there is none.
    pub fleet: Result<FleetAnswer, String>,
}

impl Facts {
    /// No facts yet, apart from time and place: an empty cluster.
    #[must_use]
    pub fn new(now: Timestamp, namespaces: Namespaces) -> Self {
        Self {
            now,
            namespaces,
            tool_version: None,
            scheduler_address_given: false,
            kubernetes_version: Ok(String::new()),
            nodes: Gathered::default(),
            workloads: Gathered::default(),
            control: Gathered::default(),
            agents: Gathered::default(),
            lease: Gathered::default(),
            services: Gathered::default(),
            policies: Gathered::default(),
            own_rights: Gathered::default(),
            account_rights: Gathered::default(),
            readiness: BTreeMap::new(),
            fleet: Ok(FleetAnswer::default()),
        }
    }

    /// The workload of this part, if it is there.
    pub(crate) fn workload(&self, part: &Part) -> Option<&Workload> {
        part.find(&self.workloads.objects, &self.namespaces)
    }

    /// What the leading scheduler reports of each node; nothing if it was not reached.
    pub(crate) fn statuses(&self) -> &[NodeStatus] {
        let answer = self.fleet.as_ref();
        answer.map(|it| it.list.nodes.as_slice()).unwrap_or_default()
    }

    /// The nodes that are down, or in an attempt and so on their way down or back.
    pub(crate) fn away(&self) -> BTreeSet<&str> {
        let down = self.nodes.objects.iter().filter(|node| !object::is_node_ready(node));
        let down = down.map(|node| object::name(&node.metadata));
        let away = self.statuses().iter().filter(|it| is_in_attempt(it) || !it.ready);
        down.chain(away.map(|it| it.node.as_str())).collect()
    }

    /// Whether any node is in an attempt: as the scheduler reports, or by our cordon on it.
    pub(crate) fn has_attempt(&self) -> bool {
        let mut nodes = self.nodes.objects.iter();
        nodes.any(|node| !object::cordoned_for(node).is_empty()) || self.statuses().iter().any(is_in_attempt)
    }

    /// The objects beside a workload or pod of this namespace.
    pub(crate) fn beside(&self, namespace: &str) -> &Gathered<NamespaceObjects> {
        if namespace == self.namespaces.agents {
            &self.agents
        } else {
            &self.control
        }
    }

    /// The pods of both namespaces.
    pub(crate) fn pods(&self) -> impl Iterator<Item = &Pod> {
        self.control.objects.pods.iter().chain(&self.agents.objects.pods)
    }

    /// The events of both namespaces.
    pub(crate) fn events(&self) -> impl Iterator<Item = &Event> {
        self.control.objects.events.iter().chain(&self.agents.objects.events)
    }
}

fn is_in_attempt(status: &NodeStatus) -> bool {
    status.state == i32::from(NodeState::InProgress)
}
