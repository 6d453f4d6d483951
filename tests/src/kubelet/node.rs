//! The node's side: its object, its status, its heartbeat.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Node;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::{Value, json};

use crate::host::Host;
use crate::machines::NodeShape;

/// Creates the Node object, as a kubelet does when it starts for the first time, and reports its
/// status at once.
pub async fn register(client: Client, host: &Host, shape: &NodeShape) -> Result<()> {
    let name = host.name();
    let mut labels = BTreeMap::from([
        ("kubernetes.io/hostname", name),
        ("kubernetes.io/os", "linux"),
        ("kubernetes.io/arch", "amd64"),
        ("topology.kubernetes.io/zone", shape.zone.as_str()),
    ]);
    let mut taints = json!([]);
    if shape.control_plane {
        labels.insert("node-role.kubernetes.io/control-plane", "");
        taints = json!([{ "key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule" }]);
    }
    let node: Node = serde_json::from_value(json!({
        "metadata": { "name": name, "labels": labels },
        "spec": { "taints": taints },
    }))?;
    let nodes: Api<Node> = Api::all(client.clone());
    let created = nodes.create(&PostParams::default(), &node).await;
    created.with_context(|| format!("cannot create the node {name}"))?;
    // The heartbeat first: a status without one is judged by its age alone.
    beat(client.clone(), name).await?;
    report_status(client, host).await
}

/// Whether the Node object says something else than the host is.
pub(super) fn differs(node: &Node, host: &Host) -> bool {
    let Some(status) = &node.status else {
        return true;
    };
    let ready = status
        .conditions
        .iter()
        .flatten()
        .any(|it| it.type_ == "Ready" && it.status == "True");
    let info = status.node_info.as_ref();
    !ready || info.is_none_or(|info| info.boot_id != host.boot_id())
}

/// Writes the host's facts, and that it is ready.
pub(super) async fn report_status(client: Client, host: &Host) -> Result<()> {
    let nodes: Api<Node> = Api::all(client);
    let status = json!({ "status": status(host) });
    nodes
        .patch_status(host.name(), &PatchParams::default(), &Patch::Strategic(status))
        .await
        .with_context(|| format!("cannot report the status of {}", host.name()))?;
    Ok(())
}

/// Renews the node's lease: the cheap half of a kubelet's heartbeat, and the one that counts.
pub(super) async fn beat(client: Client, name: &str) -> Result<()> {
    let leases: Api<Lease> = Api::namespaced(client, "kube-node-lease");
    let now = micro_time();
    let renewal = json!({ "spec": { "renewTime": now } });
    match leases
        .patch(name, &PatchParams::default(), &Patch::Merge(renewal))
        .await
    {
        Err(kube::Error::Api(status)) if status.code == 404 => {}
        other => return other.map(drop).context("cannot renew a node's lease"),
    }
    let lease: Lease = serde_json::from_value(json!({
        "metadata": { "name": name },
        "spec": { "holderIdentity": name, "leaseDurationSeconds": 40, "renewTime": now },
    }))?;
    leases
        .create(&PostParams::default(), &lease)
        .await
        .context("cannot create a node's lease")?;
    Ok(())
}

fn status(host: &Host) -> Value {
    let resources = json!({ "cpu": "16", "memory": "64Gi", "pods": "110", "ephemeral-storage": "100Gi" });
    json!({
        "capacity": resources,
        "allocatable": resources,
        "addresses": [
            { "type": "InternalIP", "address": "127.0.0.1" },
            { "type": "Hostname", "address": host.name() },
        ],
        "nodeInfo": {
            "bootID": host.boot_id(),
            "kernelVersion": host.kernel(),
            "osImage": "Debian GNU/Linux 13 (trixie)",
            "machineID": host.name(),
            "systemUUID": host.name(),
            "containerRuntimeVersion": "rig://1",
            "kubeletVersion": "v1.36.3",
            "kubeProxyVersion": "",
            "operatingSystem": "linux",
            "architecture": "amd64",
        },
        "conditions": [
            condition("MemoryPressure", "False", "KubeletHasSufficientMemory"),
            condition("DiskPressure", "False", "KubeletHasNoDiskPressure"),
            condition("PIDPressure", "False", "KubeletHasSufficientPID"),
            condition("Ready", "True", "KubeletReady"),
        ],
    })
}

fn condition(kind: &str, status: &str, reason: &str) -> Value {
    let now = seconds_time();
    json!({
        "type": kind,
        "status": status,
        "reason": reason,
        "message": "set by the rig",
        "lastHeartbeatTime": now,
        "lastTransitionTime": now,
    })
}

/// The present as Kubernetes writes a `Time`.
pub(super) fn seconds_time() -> String {
    Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// The present as Kubernetes writes a `MicroTime`.
fn micro_time() -> String {
    Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
}
