//! Workloads for tests: small constructors with defaults that suit a rig.
//!
//! Every pod carries the label `app`, and spreads over the nodes, so that each drain hits some.

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use anyhow::{Context as _, Result};

/// The namespace that all of them are in.
pub const NAMESPACE: &str = "default";

/// One application; turned into the kind of object that a test needs.
#[derive(Clone, Debug)]
pub struct Workload {
    name: String,
    replicas: u32,
    annotations: Value,
    spec: Value,
}

impl Workload {
    /// An application of one replica.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let spread = json!({
            "maxSkew": 1,
            "topologyKey": "kubernetes.io/hostname",
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": { "matchLabels": { "app": name } },
        });
        let spec = json!({
            "containers": [{ "name": "app", "image": "rig.bellwether.dev/app:1" }],
            "topologySpreadConstraints": [spread],
            // Nothing talks to the API from in there, and a token volume is one thing less.
            "automountServiceAccountToken": false,
        });
        Self {
            name: name.to_owned(),
            replicas: 1,
            annotations: json!({}),
            spec,
        }
    }

    /// How many pods.
    #[must_use]
    pub fn replicas(mut self, replicas: u32) -> Self {
        self.replicas = replicas;
        self
    }

    /// Annotates the pods; see [`crate::kubelet`] for the annotations that the kubelet stand-in heeds.
    #[must_use]
    pub fn annotate(mut self, key: &str, value: &str) -> Self {
        if let Some(annotations) = self.annotations.as_object_mut() {
            annotations.insert(key.to_owned(), json!(value));
        }
        self
    }

    /// Sets any field of the pod's spec.
    #[must_use]
    pub fn spec(mut self, field: &str, value: Value) -> Self {
        if let Some(spec) = self.spec.as_object_mut() {
            spec.insert(field.to_owned(), value);
        }
        self
    }

    /// Pods run on this node only: a drained one stays pending.
    #[must_use]
    pub fn on_node(self, node: &str) -> Self {
        self.spec("nodeSelector", json!({ "kubernetes.io/hostname": node }))
    }

    /// No two pods on one node.
    #[must_use]
    pub fn one_per_node(self) -> Self {
        let term = json!({
            "topologyKey": "kubernetes.io/hostname",
            "labelSelector": { "matchLabels": { "app": self.name } },
        });
        let terms = json!({
            "podAntiAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": [term] },
        });
        self.spec("affinity", terms)
    }

    /// As a Deployment.
    pub fn deployment(&self) -> Result<Deployment> {
        self.object(json!({
            "replicas": self.replicas,
            "selector": self.selector(),
            "template": self.template(),
        }))
    }

    /// As a StatefulSet.
    pub fn stateful_set(&self) -> Result<StatefulSet> {
        self.object(json!({
            "replicas": self.replicas,
            "serviceName": self.name,
            "podManagementPolicy": "Parallel",
            "selector": self.selector(),
            "template": self.template(),
        }))
    }

    /// As a DaemonSet: one pod on every node, also on those of the control plane.
    pub fn daemon_set(&self) -> Result<DaemonSet> {
        let everywhere = self.clone().spec("tolerations", json!([{ "operator": "Exists" }]));
        self.object(json!({ "selector": self.selector(), "template": everywhere.template() }))
    }

    /// As a Job, all of whose pods run at once. A pod that is evicted counts as none that failed.
    pub fn job(&self) -> Result<Job> {
        let rules = json!([{ "action": "Ignore", "onPodConditions": [{ "type": "DisruptionTarget" }] }]);
        self.object(json!({
            "parallelism": self.replicas,
            "completions": self.replicas,
            "podFailurePolicy": { "rules": rules },
            "template": self.clone().spec("restartPolicy", json!("Never")).template(),
        }))
    }

    /// As a pod that nothing brings back.
    pub fn bare_pod(&self) -> Result<Pod> {
        let mut pod: Pod = self.object(self.spec.clone())?;
        pod.metadata.annotations = serde_json::from_value(self.annotations.clone())?;
        Ok(pod)
    }

    /// A budget that keeps at least so many pods.
    pub fn min_available(&self, pods: u32) -> Result<PodDisruptionBudget> {
        self.object(json!({ "minAvailable": pods, "selector": self.selector() }))
    }

    /// A budget that lets at most so many pods be missing.
    pub fn max_unavailable(&self, pods: u32) -> Result<PodDisruptionBudget> {
        self.object(json!({ "maxUnavailable": pods, "selector": self.selector() }))
    }

    /// A budget of this name with these fields beside its selector, such as a `maxUnavailable` in percent.
    pub fn budget(&self, name: &str, fields: Value) -> Result<PodDisruptionBudget> {
        let mut budget: PodDisruptionBudget = self.object(fields)?;
        budget.metadata.name = Some(name.to_owned());
        let spec = budget.spec.get_or_insert_default();
        spec.selector = serde_json::from_value(self.selector())?;
        Ok(budget)
    }

    fn object<T: DeserializeOwned>(&self, spec: Value) -> Result<T> {
        let metadata = json!({ "name": self.name, "namespace": NAMESPACE, "labels": { "app": self.name } });
        let object = serde_json::from_value(json!({ "metadata": metadata, "spec": spec }));
        object.with_context(|| format!("the workload {} is malformed", self.name))
    }

    fn selector(&self) -> Value {
        json!({ "matchLabels": { "app": self.name } })
    }

    fn template(&self) -> Value {
        let metadata = json!({ "labels": { "app": self.name }, "annotations": self.annotations });
        json!({ "metadata": metadata, "spec": self.spec })
    }
}
