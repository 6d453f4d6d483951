//! What a holder of the scheduler's token can do to a Node object under `narrow-rights`.

use anyhow::Result;
use bellwether_proto::mark;
use k8s_openapi::api::core::v1::Node;
use kube::Client;
use rig::world::WorldOptions;
use serde_json::{Value, json};
use tonic::codegen::http::Request;

use super::{STATUS, client, code, denied, merge, patched, world};

/// Patches the status of a node.
async fn status(client: &Client, name: &str, body: &Value) -> kube::Result<Node> {
    let path = format!("/api/v1/nodes/{name}/status?fieldManager=stranger");
    let request = Request::patch(path)
        .header("content-type", "application/strategic-merge-patch+json")
        .body(serde_json::to_vec(body).map_err(kube::Error::SerdeError)?)
        .map_err(kube::Error::HttpError)?;
    client.request(request).await
}

fn condition(type_: &str, status: &str, reason: &str) -> Value {
    json!({ "status": { "conditions": [{ "type": type_, "status": status, "reason": reason }] } })
}

fn condition_of(type_: &str, message: &str) -> Value {
    json!({ "status": { "conditions": [{ "type": type_, "status": "True", "reason": "Attack", "message": message }] } })
}

fn without(type_: &str) -> Value {
    json!({ "status": { "conditions": [{ "type": type_, "$patch": "delete" }] } })
}

/// States that a node is not Ready, so that its pods would be evicted.
pub(super) async fn ready(client: &Client, name: &str) -> kube::Result<Node> {
    status(client, name, &condition("Ready", "False", "Attack")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_schedulers_token_five_conditions_of_a_node_change_and_nothing_else() -> Result<()> {
    let world = world(WorldOptions {
        nodes: 1,
        ..WorldOptions::default()
    })
    .await?;
    let name = world.host(0)?.name().to_owned();
    let scheduler = client(&world, "scheduler").await?;
    let admin = world.client();
    let ours = mark::LIFECYCLE_REASON;

    // All that the scheduler ever writes.
    for type_ in mark::LIFECYCLE_CONDITIONS {
        status(&scheduler, &name, &condition(type_, "True", ours)).await?;
        status(&scheduler, &name, &without(type_)).await?;
    }
    for reason in ["WindowShut", "Draining"] {
        status(&scheduler, &name, &condition(mark::REBOOT_REQUIRED, "True", reason)).await?;
    }
    status(
        &scheduler,
        &name,
        &condition(mark::REBOOT_REQUIRED, "Unknown", "ReportStale"),
    )
    .await?;
    status(&scheduler, &name, &without(mark::REBOOT_REQUIRED)).await?;
    status(&admin, &name, &condition(mark::MAINTENANCE_PLANNED, "True", "Firmware")).await?;
    status(&admin, &name, &condition(mark::DRAINED, "False", "Firmware")).await?;
    let hold = merge(json!({ "metadata": { "annotations": { mark::HOLD: "why" } } }));
    patched(&admin, &name, &hold, false).await??;
    let attacks = [
        condition("Ready", "False", "Attack"),
        without("Ready"),
        condition("example.com/Sick", "True", "Attack"),
        condition("NetworkUnavailable", "True", "Attack"),
        condition(mark::DRAIN_IN_PROGRESS, "True", "Firmware"),
        condition(mark::MAINTENANCE_PLANNED, "False", ours),
        condition(mark::MAINTENANCE_PLANNED, "True", ours),
        without(mark::MAINTENANCE_PLANNED),
        json!({ "status": { "capacity": { "cpu": "1" } } }),
        json!({ "status": { "allocatable": { "cpu": "0" } } }),
        json!({ "status": { "addresses": [{ "type": "InternalIP", "address": "203.0.113.1" }] } }),
        json!({ "status": { "nodeInfo": { "bootID": "another" } } }),
        json!({ "status": { "daemonEndpoints": { "kubeletEndpoint": { "Port": 1 } } } }),
        json!({ "status": { "phase": "Terminated" } }),
        condition(mark::DRAINED, "True", ours),
        without(mark::DRAINED),
        condition_of(mark::REBOOT_REQUIRED, &"x".repeat(513)),
        json!({ "metadata": { "labels": { "node-role.kubernetes.io/control-plane": "" } } }),
        json!({ "metadata": { "annotations": { mark::APPROVE: "attack" } } }),
        json!({ "metadata": { "annotations": { mark::HOLD: null } } }),
        json!({ "metadata": { "finalizers": ["example.com/attack"] } }),
        json!({ "metadata": { "ownerReferences": [
            { "apiVersion": "v1", "kind": "Node", "name": "none", "uid": "0195d2f1-0000-7000-8000-000000000001" },
        ] } }),
    ];
    for attack in &attacks {
        denied(&status(&scheduler, &name, attack).await, STATUS).map_err(|error| error.context(format!("{attack}")))?;
    }
    // RBAC gives no other write; the policy would refuse one too.
    let spec = merge(json!({ "spec": { "unschedulable": true } }));
    assert_eq!(code(patched(&scheduler, &name, &spec, false).await?), 403);
    // No other user notices the policy.
    for attack in attacks.iter().filter(|attack| attack.get("metadata").is_none()) {
        status(&admin, &name, attack).await?;
    }
    world.finish()
}
