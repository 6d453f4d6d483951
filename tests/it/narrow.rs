//! The component `narrow-rights` on a real API server: whole reboots pass under it, and with the token of drainer or
//! scheduler no other write does, whatever form the request has. No other user notices it.

mod labels;
mod nodes;
mod pods;
mod status;

use std::fs;

use anyhow::{Result, ensure};
use bellwether_proto::mark;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::api::events::v1::Event;
use kube::api::{DynamicObject, Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt as _};
use rig::identity::service_account_token;
use rig::services::{NAMESPACE, ServicesOptions};
use rig::workload::Workload;
use rig::world::{World, WorldOptions};
use rig::{tools, wait};
use serde_json::{Value, json};
use tonic::codegen::http::Request;

use crate::fleet::{DEADLINE, Fleet};
use crate::policies;

/// Base and component.
const OVERLAY: &str = "deploy/chart/with-narrow-rights";
const COMPONENT: &str = "deploy/components/narrow-rights";

const NODES: &str = "bellwether-drainer-nodes";
const PODS: &str = "bellwether-drainer-pods";
const LEASES: &str = "bellwether-scheduler-leases";
const EVENTS: &str = "bellwether-scheduler-events";
const STATUS: &str = "bellwether-scheduler-nodes";

/// By which the scheduler's Events are found.
const SCHEDULER: &str = "bellwether.dev/scheduler";

const GUARD: &str = mark::AUTOSCALER_GUARDS[0];
const KARPENTER: &str = mark::AUTOSCALER_GUARDS[1];

/// A world under the component, whose policies are in force.
async fn world(options: WorldOptions) -> Result<World> {
    let deploy = tools::repository().join(OVERLAY);
    let world = World::start(WorldOptions { deploy, ..options }).await?;
    let drainer = client(&world, "drainer").await?;
    let scheduler = client(&world, "scheduler").await?;
    // The API server reads policies a moment after they were applied.
    wait::until("the policies to be in force", DEADLINE, async || {
        let name = world.host(0)?.name().to_owned();
        let patch = merge(json!({ "metadata": { "labels": { "a": "stranger" } } }));
        denied(&patched(&drainer, &name, &patch, true).await?, NODES)?;
        denied(&evicted(&drainer, "none", &json!({}), true).await, PODS)?;
        denied(&lease(&scheduler, NAMESPACE, "another").await, LEASES)?;
        denied(&event(&scheduler, "default", "Pod", SCHEDULER).await, EVENTS)?;
        denied(&status::ready(&scheduler, &name).await, STATUS)
    })
    .await?;
    Ok(world)
}

/// A client with the token of a ServiceAccount of ours.
async fn client(world: &World, account: &str) -> Result<Client> {
    let token = service_account_token(&world.client(), NAMESPACE, account).await?;
    world.control_plane.access().client(&token).await
}

/// A patch, by its media type: the client knows no JSON patches.
#[derive(Debug, Clone)]
struct Change(&'static str, Value);

const APPLY: &str = "application/apply-patch+yaml";

fn merge(patch: Value) -> Change {
    Change("application/merge-patch+json", patch)
}

/// Patches a node.
async fn patched(client: &Client, name: &str, change: &Change, dry_run: bool) -> Result<kube::Result<Node>> {
    let Change(kind, body) = change;
    let dry_run = if dry_run { "&dryRun=All" } else { "" };
    let force = if *kind == APPLY { "&force=true" } else { "" };
    let path = format!("/api/v1/nodes/{name}?fieldManager=stranger{dry_run}{force}");
    let request = Request::patch(path)
        .header("content-type", *kind)
        .body(serde_json::to_vec(body)?)?;
    Ok(client.request(request).await)
}

/// Patches a node as an operator does, under another name in the managed fields.
async fn set(world: &World, name: &str, patch: Value) -> Result<()> {
    let nodes = Api::<Node>::all(world.client());
    nodes.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await?;
    Ok(())
}

/// Asks for the eviction of a pod with these `deleteOptions`.
async fn evicted(client: &Client, pod: &str, options: &Value, dry_run: bool) -> kube::Result<DynamicObject> {
    let pods = Api::<Pod>::default_namespaced(client.clone());
    let params = PostParams {
        dry_run,
        ..PostParams::default()
    };
    let body = json!({
        "apiVersion": "policy/v1", "kind": "Eviction",
        "metadata": { "name": pod, "namespace": "default" }, "deleteOptions": options,
    });
    pods.create_subresource("eviction", pod, &params, &body).await
}

/// Creates a Lease, without an effect.
async fn lease(client: &Client, namespace: &str, name: &str) -> kube::Result<Lease> {
    let object = serde_json::from_value(json!({ "metadata": { "name": name } })).map_err(kube::Error::SerdeError)?;
    let params = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    Api::namespaced(client.clone(), namespace)
        .create(&params, &object)
        .await
}

/// Creates an Event about an object of this kind in the name of this controller, without an effect.
async fn event(client: &Client, namespace: &str, kind: &str, controller: &str) -> kube::Result<Event> {
    // Objects of the cluster have their Events in `default`.
    let namespaced = (namespace != "default" || kind == "Pod").then_some(namespace);
    let object = json!({
        "metadata": { "name": "trial", "namespace": namespace }, "eventTime": "2026-01-01T00:00:00.000000Z",
        "type": "Normal", "reason": "Trial", "action": "Trial", "reportingController": controller,
        "reportingInstance": "trial", "regarding": { "apiVersion": "v1", "kind": kind, "name": "trial", "namespace": namespaced },
    });
    let object = serde_json::from_value(object).map_err(kube::Error::SerdeError)?;
    let params = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    Api::namespaced(client.clone(), namespace)
        .create(&params, &object)
        .await
}

/// The code of an answer; 200 for a success.
fn code<T>(answer: kube::Result<T>) -> u16 {
    match answer {
        Ok(_) => 200,
        Err(kube::Error::Api(status)) => status.code,
        Err(_) => 0,
    }
}

/// Whether the policy of this name denied the request.
fn denied<T: std::fmt::Debug>(answer: &kube::Result<T>, policy: &str) -> Result<()> {
    match answer {
        Err(kube::Error::Api(status)) => {
            let by = format!("ValidatingAdmissionPolicy '{policy}' with binding '{policy}' denied request: ");
            ensure!(status.code == 403 && status.message.contains(&by), "{status:?}");
            Ok(())
        }
        other => anyhow::bail!("not denied: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fleet_reboots_under_narrow_rights_and_no_request_is_refused() -> Result<()> {
    let world = world(WorldOptions::default()).await?;
    let web = Workload::new("web").replicas(3);
    world.create(&web.deployment()?).await?;
    world.create(&web.max_unavailable(1)?).await?;
    world.wait_ready_pods("web", 3).await?;
    // Of other owners, and to be there in the end.
    let node = world.host(0)?.name().to_owned();
    let foreign = json!({
        "metadata": { "annotations": { KARPENTER: "true" } },
        "spec": { "taints": [{ "key": "example.com/old", "effect": "PreferNoSchedule" }] },
    });
    set(&world, &node, foreign).await?;
    // So the drainer writes all that it ever writes: taints, guards, and the label.
    policies::create(&world, "all", &json!({ "drain": { "loadBalancerWait": "1s" } })).await?;
    // Each test's own requests were refused so far.
    let audit = fs::read_to_string(world.control_plane.audit_log())?.lines().count();

    let fleet = Fleet::start_in(world, ServicesOptions::default()).await?;
    fleet.upgrade_all()?;
    wait::until("the taint of a node that waits", DEADLINE, async || {
        for host in fleet.world.hosts() {
            let spec = fleet.world.node(host.name()).await?.spec.unwrap_or_default();
            let mut taints = spec.taints.unwrap_or_default().into_iter();
            if taints.any(|it| it.key == mark::WAITS_FOR_REBOOT) {
                return Ok(());
            }
        }
        anyhow::bail!("no node carries it")
    })
    .await?;
    fleet.rebooted_once(&fleet.world.hosts()).await?;
    wait::until("the node to be as before", DEADLINE, async || {
        let node = fleet.world.node(&node).await?;
        let taints = node.spec.clone().and_then(|spec| spec.taints).unwrap_or_default();
        ensure!(taints.iter().all(|it| it.key == "example.com/old"), "{taints:?}");
        ensure!(
            taints.len() == 1 && node.annotations().contains_key(KARPENTER),
            "{node:?}"
        );
        let ours = [mark::CORDONED_FOR, mark::GUARDED_BY, mark::MARKED_WITH, GUARD];
        ensure!(!ours.iter().any(|it| node.annotations().contains_key(*it)), "{node:?}");
        ensure!(!node.labels().contains_key(mark::OUT_OF_LOAD_BALANCERS), "{node:?}");
        let conditions = node.status.iter().flat_map(|it| it.conditions.iter().flatten());
        let mut reasons = conditions.filter_map(|it| it.reason.as_deref());
        ensure!(reasons.all(|it| it != mark::LIFECYCLE_REASON), "{node:?}");
        Ok(())
    })
    .await?;

    let (mut requests, mut patches, mut statuses) = (0, 0, 0);
    for line in fs::read_to_string(fleet.world.control_plane.audit_log())?
        .lines()
        .skip(audit)
    {
        let entry: Value = serde_json::from_str(line)?;
        let text = |pointer: &str| entry.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        if !text("/user/username").starts_with(&format!("system:serviceaccount:{NAMESPACE}:")) {
            continue;
        }
        let code = entry.pointer("/responseStatus/code").and_then(Value::as_u64);
        assert!(!matches!(code, Some(403 | 422)), "refused: {line}");
        requests += 1;
        let is_of_nodes = text("/verb") == "patch" && text("/objectRef/resource") == "nodes";
        patches += usize::from(is_of_nodes && text("/objectRef/subresource").is_empty());
        statuses += usize::from(is_of_nodes && text("/objectRef/subresource") == "status");
    }
    assert!(
        requests > 50 && patches >= 6 && statuses >= 6,
        "{requests} requests, {patches} patches of nodes, {statuses} of their status"
    );
    fleet.finish()
}

/// Manifests cannot name constants, so a new mark or condition has to be brought there too.
#[test]
fn the_policy_names_the_marks_of_the_contract() -> Result<()> {
    let policy = fs::read_to_string(tools::repository().join(COMPONENT).join("drainer-nodes.yaml"))?;
    let marks = [
        mark::CORDONED_FOR,
        mark::GUARDED_BY,
        mark::MARKED_WITH,
        GUARD,
        KARPENTER,
        mark::OUT_OF_LOAD_BALANCERS,
        mark::WAITS_FOR_REBOOT,
    ];
    let orders = [
        mark::HOLD,
        mark::HOLD_UNTIL,
        mark::SKIP,
        mark::SKIP_UNTIL,
        mark::APPROVE,
        mark::APPROVE_UNTIL,
    ];
    let orders = orders.map(|it| format!("f:{it}"));
    for name in marks.into_iter().chain(orders.iter().map(String::as_str)) {
        ensure!(policy.matches(&format!("'{name}'")).count() == 1, "{name}");
    }
    ensure!(policy.matches(mark::WAITS_FOR_REBOOT_EFFECT).count() == 1);
    let policy = fs::read_to_string(tools::repository().join(COMPONENT).join("scheduler-nodes.yaml"))?;
    let names = [mark::REBOOT_REQUIRED, mark::LIFECYCLE_REASON];
    for name in names.into_iter().chain(mark::LIFECYCLE_CONDITIONS) {
        ensure!(policy.matches(&format!("'{name}'")).count() == 1, "{name}");
    }
    Ok(())
}
