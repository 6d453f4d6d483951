//! Which pods a holder of the drainer's token can end under `narrow-rights`, and how; and which Lease and Events one of
//! the scheduler's can create.

use anyhow::{Context as _, Result, ensure};
use bellwether_proto::{Phase, mark};
use k8s_openapi::api::admissionregistration::v1::ValidatingAdmissionPolicy;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::{Api, Client};
use rig::services::{NAMESPACE, ServicesOptions};
use rig::wait;
use rig::workload::Workload;
use rig::world::{World, WorldOptions};
use serde_json::{Value, json};
use tonic::codegen::http::Request;

use super::{EVENTS, LEASES, PODS, SCHEDULER, client, code, denied, event, evicted, lease, world};
use crate::fleet::{DEADLINE, Fleet};

#[tokio::test(flavor = "multi_thread")]
async fn pods_end_by_their_uid_and_with_their_grace_and_none_of_a_kept_namespace_does() -> Result<()> {
    let world = world(WorldOptions::default()).await?;
    let (admin, drainer) = (world.client(), client(&world, "drainer").await?);
    let rights = format!("{}/rights.yaml", "deploy/components/force-drain");
    world.kubectl()?.run(&["apply", "-f", &rights], "").await?;
    let mut uids = Vec::new();
    for name in ["evicted", "deleted", "kept"] {
        let pod = Workload::new(name).on_node(world.host(0)?.name()).bare_pod()?;
        world.create(&pod).await?;
        let pods = world.wait_ready_pods(name, 1).await?;
        uids.push(pods.first().and_then(|pod| pod.metadata.uid.clone()).context("a UID")?);
    }
    let [evicted_uid, deleted_uid, kept_uid] = &uids[..] else {
        anyhow::bail!("not three: {uids:?}");
    };
    let by = |uid: &str| json!({ "preconditions": { "uid": uid } });
    for options in [
        json!({}),
        json!({ "preconditions": {} }),
        json!({ "gracePeriodSeconds": 0, "preconditions": { "uid": evicted_uid } }),
        json!({ "gracePeriodSeconds": 31, "preconditions": { "uid": evicted_uid } }),
    ] {
        denied(&evicted(&drainer, "evicted", &options, false).await, PODS)?;
        denied(&deleted(&drainer, "evicted", &options).await?, PODS)?;
    }
    evicted(&drainer, "evicted", &by(evicted_uid), false).await?;
    let pods = Api::<Pod>::default_namespaced(drainer.clone());
    deleted(&drainer, "deleted", &by(deleted_uid)).await??;
    ensure!(
        code(
            pods.delete_collection(&DeleteParams::default(), &ListParams::default())
                .await
        ) == 403
    );

    keep(&world, "['default']").await?;
    wait::until("the namespace to be kept", DEADLINE, async || {
        denied(&evicted(&drainer, "kept", &by(kept_uid), true).await, PODS)?;
        denied(&deleted(&drainer, "kept", &by(kept_uid)).await?, PODS)
    })
    .await?;
    evicted(&admin, "kept", &json!({ "gracePeriodSeconds": 1 }), true).await?;
    let mut fleet = Fleet::start_in(world, ServicesOptions::default()).await?;
    let host = fleet.world.host(0)?;
    host.upgrade_kernel("6.12.48")?;
    fleet.entering(Phase::Draining).await?;
    let words = [
        "pod default/kept: ",
        "ValidatingAdmissionPolicy 'bellwether-drainer-pods'",
        "no pod of the namespace default may be evicted or deleted by the drainer",
    ];
    fleet.explained(host.name(), &words).await?;
    let metrics = fleet.services.drainers.first().context("a drainer")?.metrics().await?;
    let by_code = |line: &str| {
        line.starts_with("bellwether_drainer_pods_left") && line.contains("Webhook") && line.ends_with(" 1")
    };
    ensure!(metrics.lines().any(by_code), "{metrics}");
    keep(&fleet.world, "[]").await?;
    fleet.rebooted_once(&[host]).await?;

    let scheduler = client(&fleet.world, "scheduler").await?;
    denied(&lease(&scheduler, NAMESPACE, "another").await, LEASES)?;
    for (namespace, kind, controller) in [
        ("default", "Pod", SCHEDULER),
        (NAMESPACE, "Node", SCHEDULER),
        ("default", "Node", "kubelet"),
    ] {
        denied(&event(&scheduler, namespace, kind, controller).await, EVENTS)?;
    }
    event(&scheduler, "default", "Node", SCHEDULER).await?;
    event(&fleet.world.client(), "default", "Node", "kubelet").await?;
    // The one of its own exists by now.
    ensure!(code(lease(&scheduler, NAMESPACE, mark::LEASE).await) == 409);
    lease(&fleet.world.client(), NAMESPACE, "another").await?;
    fleet.finish()
}

/// Sets the list of namespaces, as the patch of an overlay does.
async fn keep(world: &World, namespaces: &str) -> Result<()> {
    let policies = Api::<ValidatingAdmissionPolicy>::all(world.client());
    let patch = json!([{ "op": "replace", "path": "/spec/variables/0/expression", "value": namespaces }]);
    let patch = Patch::<()>::Json(serde_json::from_value(patch)?);
    policies
        .patch(PODS, &PatchParams::default(), &patch)
        .await
        .map(drop)
        .context(PODS)
}

/// Asks for the deletion of a pod with these options.
async fn deleted(client: &Client, pod: &str, options: &Value) -> Result<kube::Result<Value>> {
    let path = format!("/api/v1/namespaces/default/pods/{pod}");
    let request = Request::delete(path)
        .header("content-type", "application/json")
        .body(serde_json::to_vec(options)?)?;
    Ok(client.request(request).await)
}
