//! The objects of a cluster in use that a drainer may meet: pods on every node, budgets, StatefulSets and volumes.
//!
//! Pods are created on their nodes and run at once; no controller owns them, and what a controller would write into the
//! status of a budget is written here.

use std::future::Future;

use anyhow::{Context as _, Result};
use bellwether_proto::NodeName;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{PersistentVolume, Pod};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use rig::workload::NAMESPACE;
use serde_json::{Value, json};

use crate::hosts::Hosts;

/// Requests to the API server that are under way at once.
const REQUESTS: usize = 32;

/// Objects of each other kind, as many as one for a hundred pods.
const OTHERS: usize = 1000;

/// Pods of a node that is emptied, as many as a kubelet runs by default.
pub(crate) const FULL: usize = 110;

/// Nodes that are emptied: the first half alone, the others beside the blocked drains.
pub(crate) const FREE: usize = 4;

/// Creates the objects: the first nodes are free ones ([`FREE`]), with [`FULL`] pods that no budget selects and that end at once;
/// each of the next `blocked` has a budget of its own that lets no pod go. All other nodes have the pods of any node.
pub(crate) async fn create(client: &Client, hosts: &Hosts, pods: usize, blocked: usize) -> Result<()> {
    let free = FREE;
    let count = hosts.count();
    let each = pods.saturating_sub(free * FULL) / count.saturating_sub(free).max(1);
    let api: Api<Pod> = Api::namespaced(client.clone(), NAMESPACE);
    let places = (0..count).flat_map(|node| (0..if node < free { FULL } else { each }).map(move |pod| (node, pod)));
    all(places, async |(node, number)| {
        create_one(&api, pod(hosts.name(node)?, node, number, node < free)).await?;
        // Only these are asked about: a pod that never ran goes whatever its budget says.
        if (free..free + blocked).contains(&node) {
            patch_status(&api, &pod_name(node, number, false), &running()).await?;
        }
        Ok(())
    })
    .await?;
    let api: Api<PodDisruptionBudget> = Api::namespaced(client.clone(), NAMESPACE);
    all(0..OTHERS.max(blocked), async |number| {
        let node = free + number;
        create_one(&api, budget(node)).await?;
        let healthy = i32::try_from(each)?;
        set_room(&api, node, healthy, 0).await
    })
    .await?;
    let api: Api<StatefulSet> = Api::namespaced(client.clone(), NAMESPACE);
    all(0..OTHERS, async |number| create_one(&api, stateful_set(number)).await).await?;
    let api: Api<PersistentVolume> = Api::all(client.clone());
    all(0..OTHERS, async |number| create_one(&api, volume(number)).await).await
}

/// The budget of this node lets so many pods go.
pub(crate) async fn set_room(
    budgets: &Api<PodDisruptionBudget>,
    node: usize,
    healthy: i32,
    disruptions_allowed: i32,
) -> Result<()> {
    let status = json!({ "status": {
        "observedGeneration": 1, "currentHealthy": healthy, "desiredHealthy": healthy.saturating_sub(disruptions_allowed),
        "expectedPods": healthy, "disruptionsAllowed": disruptions_allowed,
    } });
    patch_status(budgets, &app(node), &status).await
}

async fn all<T, F>(items: impl Iterator<Item = T>, work: impl FnMut(T) -> F) -> Result<()>
where
    F: Future<Output = Result<()>>,
{
    stream::iter(items)
        .map(work)
        .buffer_unordered(REQUESTS)
        .try_collect()
        .await
}

async fn create_one<K>(api: &Api<K>, object: Value) -> Result<()>
where
    K: kube::Resource + Clone + std::fmt::Debug + serde::Serialize + serde::de::DeserializeOwned,
{
    let object: K = serde_json::from_value(object).context("an object is malformed")?;
    api.create(&PostParams::default(), &object)
        .await
        .map(drop)
        .context("cannot create an object")
}

async fn patch_status<K>(api: &Api<K>, name: &str, status: &Value) -> Result<()>
where
    K: Clone + std::fmt::Debug + serde::de::DeserializeOwned,
{
    let params = PatchParams::default();
    let patched = api.patch_status(name, &params, &Patch::Merge(status)).await;
    patched
        .map(drop)
        .with_context(|| format!("cannot write the status of {name}"))
}

/// The application of a node, whose pods one budget selects.
fn app(node: usize) -> String {
    format!("app-{node:05}")
}

fn pod_name(node: usize, number: usize, is_free: bool) -> String {
    format!("{}-{node:05}-{number:03}", if is_free { "free" } else { "app" })
}

/// The status that a kubelet writes.
fn running() -> Value {
    json!({ "status": { "phase": "Running", "conditions": [{ "type": "Ready", "status": "True" }] } })
}

/// As large as a pod in use: some 4 kB.
fn pod(node: &NodeName, index: usize, number: usize, is_free: bool) -> Value {
    let app = if is_free { "free".to_owned() } else { app(index) };
    let variables: Vec<Value> = (0..20)
        .map(|variable| {
            json!({ "name": format!("SETTING_{variable:02}"), "value": format!("https://service-{variable}.example.com/api/v1") })
        })
        .collect();
    json!({
        "metadata": {
            "name": pod_name(index, number, is_free),
            "labels": { "app": app, "app.kubernetes.io/version": "1.27.4", "pod-template-hash": "5d8f7c6b9d" },
            "annotations": {
                "checksum/config": "9b74c9897bac770ffc029102a200c5de5d8f7c6b9d9b74c9897bac770ffc0291",
                "prometheus.io/scrape": "true", "prometheus.io/port": "9090",
            },
        },
        "spec": {
            "nodeName": node.as_str(),
            "automountServiceAccountToken": false,
            "terminationGracePeriodSeconds": if is_free { 0 } else { 30 },
            "containers": [{
                "name": "app",
                "image": "registry.example.com/team-07/service-042:v1.27.4",
                "env": variables,
                "ports": [{ "containerPort": 8080, "name": "http" }, { "containerPort": 9090, "name": "metrics" }],
                "resources": { "requests": { "cpu": "100m", "memory": "128Mi" }, "limits": { "memory": "256Mi" } },
                "readinessProbe": { "httpGet": { "path": "/ready", "port": "http" } },
                "livenessProbe": { "httpGet": { "path": "/live", "port": "http" } },
            }],
        },
    })
}

fn budget(node: usize) -> Value {
    json!({
        "metadata": { "name": app(node) },
        "spec": { "minAvailable": "100%", "selector": { "matchLabels": { "app": app(node) } } },
    })
}

fn stateful_set(number: usize) -> Value {
    let labels = json!({ "app": format!("set-{number:05}") });
    json!({
        "metadata": { "name": format!("set-{number:05}") },
        "spec": {
            "replicas": 3, "serviceName": "sets", "selector": { "matchLabels": labels },
            "template": {
                "metadata": { "labels": labels },
                "spec": { "containers": [{ "name": "app", "image": "registry.example.com/team-07/store:v3" }] },
            },
        },
    })
}

fn volume(number: usize) -> Value {
    json!({
        "metadata": { "name": format!("pvc-{number:05}") },
        "spec": {
            "capacity": { "storage": "10Gi" }, "accessModes": ["ReadWriteOnce"],
            "csi": { "driver": "csi.example.com", "volumeHandle": format!("volume-{number:05}") },
            "claimRef": { "namespace": NAMESPACE, "name": format!("data-{number:05}") },
        },
    })
}
