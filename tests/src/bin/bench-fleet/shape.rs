//! What the Node objects of the simulated fleet look like: as large as those of a cluster in use.
//!
//! Most of a real Node object is the list of images, of which a kubelet reports up to 50. The scheduler reads none of
//! them, but receives all of them with every change of the node, so a smaller object would measure a smaller cost.

use bellwether_proto::{BootId, NodeName};
use jiff::Timestamp;
use serde_json::{Value, json};

/// The images that a kubelet reports at most (`nodeStatusMaxImages`).
const IMAGES: usize = 50;

/// The node conditions that a kubelet keeps up to date, with the status and reason of a healthy node.
const CONDITIONS: [(&str, &str, &str); 4] = [
    ("MemoryPressure", "False", "KubeletHasSufficientMemory"),
    ("DiskPressure", "False", "KubeletHasNoDiskPressure"),
    ("PIDPressure", "False", "KubeletHasSufficientPID"),
    ("Ready", "True", "KubeletReady"),
];

/// A new Node object, as a kubelet registers it.
pub(crate) fn node(index: usize, name: &NodeName, boot: &BootId) -> Value {
    let zone = format!("region-1{}", ["a", "b", "c"].get(index % 3).unwrap_or(&"a"));
    json!({
        "metadata": {
            "name": name.as_str(),
            "labels": {
                "beta.kubernetes.io/arch": "amd64",
                "beta.kubernetes.io/os": "linux",
                "kubernetes.io/arch": "amd64",
                "kubernetes.io/hostname": name.as_str(),
                "kubernetes.io/os": "linux",
                "node.kubernetes.io/instance-type": "general-16",
                "topology.kubernetes.io/region": "region-1",
                "topology.kubernetes.io/zone": zone,
                "example.com/node-pool": format!("pool-{}", index % 7),
                "example.com/team": format!("team-{}", index % 11),
            },
            "annotations": {
                "csi.volume.kubernetes.io/nodeid": json!({ "csi.example.com": name.as_str() }).to_string(),
                "node.alpha.kubernetes.io/ttl": "0",
                "volumes.kubernetes.io/controller-managed-attach-detach": "true",
            },
        },
        "spec": { "providerID": format!("example:///{zone}/{name}") },
        "status": status(index, name, boot),
    })
}

fn status(index: usize, name: &NodeName, boot: &BootId) -> Value {
    let resources = json!({
        "cpu": "16", "memory": "65848920Ki", "pods": "110", "ephemeral-storage": "104845292Ki",
        "hugepages-1Gi": "0", "hugepages-2Mi": "0",
    });
    let now = seconds_time();
    let conditions = CONDITIONS.map(|(kind, status, reason)| condition(kind, status, reason, &now));
    json!({
        "capacity": resources,
        "allocatable": resources,
        "addresses": [
            { "type": "InternalIP", "address": format!("10.{}.{}.7", index / 250, index % 250) },
            { "type": "Hostname", "address": name.as_str() },
        ],
        "nodeInfo": {
            "bootID": boot.as_str(),
            "kernelVersion": "6.12.48+deb13-amd64",
            "osImage": "Debian GNU/Linux 13 (trixie)",
            "machineID": name.as_str(),
            "systemUUID": name.as_str(),
            "containerRuntimeVersion": "containerd://2.1.4",
            "kubeletVersion": "v1.36.3",
            "kubeProxyVersion": "",
            "operatingSystem": "linux",
            "architecture": "amd64",
        },
        "daemonEndpoints": { "kubeletEndpoint": { "Port": 10250 } },
        "images": (0..IMAGES).map(|image| self::image(index, image)).collect::<Vec<_>>(),
        "conditions": conditions,
    })
}

fn image(node: usize, image: usize) -> Value {
    // Nodes of a cluster share most of their images.
    let number = image + node % 20;
    let name = format!("registry.example.com/team-{:02}/service-{number:03}", number % 17);
    json!({
        "names": [
            format!("{name}@sha256:{:064x}", number + 1),
            format!("{name}:v1.{}.{}", number % 30, number % 9),
        ],
        "sizeBytes": 20_000_000 + number * 1_234_567,
    })
}

/// The change of status that a kubelet writes every five minutes when nothing else changes.
pub(crate) fn heartbeat() -> Value {
    let now = seconds_time();
    let condition = |(kind, _, _)| json!({ "type": kind, "lastHeartbeatTime": now });
    json!({ "status": { "conditions": CONDITIONS.map(condition) } })
}

/// The change of status of a node whose host goes down, as the kubelet or the node controller writes it.
pub(crate) fn down() -> Value {
    let ready = condition("Ready", "False", "KubeletNotReady", &seconds_time());
    json!({ "status": { "conditions": [ready] } })
}

/// The change of status of a node whose host has booted.
pub(crate) fn booted(boot: &BootId) -> Value {
    let ready = condition("Ready", "True", "KubeletReady", &seconds_time());
    json!({ "status": { "nodeInfo": { "bootID": boot.as_str() }, "conditions": [ready] } })
}

fn condition(kind: &str, status: &str, reason: &str, now: &str) -> Value {
    json!({
        "type": kind,
        "status": status,
        "reason": reason,
        "message": "written by the stand-in for the kubelet of a benchmark",
        "lastHeartbeatTime": now,
        "lastTransitionTime": now,
    })
}

/// The present as Kubernetes writes a `Time`.
fn seconds_time() -> String {
    Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
