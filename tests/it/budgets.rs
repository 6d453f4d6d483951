//! Budgets on real parts: zones, nodes that another program has taken away, and a Node that is deleted while its host
//! reboots.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use bellwether_proto::Phase;
use k8s_openapi::api::core::v1::Node;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams};
use rig::services::ServicesOptions;
use rig::wait;
use serde_json::{Value, json};

use crate::fleet::{DEADLINE, Fleet};
use crate::policies;

/// Long enough for a scheduler to start an attempt that it should not start.
const WHILE: Duration = Duration::from_secs(3);

const ZONE: &str = "topology.kubernetes.io/zone";

async fn patch(fleet: &Fleet, node: &str, patch: &Value) -> Result<()> {
    let api = Api::<Node>::all(fleet.world.client());
    let patched = api.patch(node, &PatchParams::default(), &Patch::Strategic(patch)).await;
    patched.map(drop).with_context(|| format!("cannot patch {node}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn six_nodes_in_three_zones_go_one_zone_after_the_other() -> Result<()> {
    let options = ServicesOptions::default().set("BELLWETHER_SLOTS", "6");
    let fleet = Fleet::start(6, options).await?;
    let hosts = fleet.world.hosts();
    let zone = |index: usize| ["a", "b", "c"][index / 2];
    for (index, host) in hosts.iter().enumerate() {
        let labels = json!({ "metadata": { "labels": { ZONE: zone(index) } } });
        patch(&fleet, host.name(), &labels).await?;
    }
    let budget = json!({ "budget": { "rampUp": "None", "maxUnavailable": "50%", "topology": [{ "key": ZONE, "maxDomains": 1 }] } });
    policies::create(&fleet.world, "zones", &budget).await?;
    let api = policies::api(fleet.world.client());
    wait::until("the policy to count three of six nodes", DEADLINE, async || {
        let status = api.get("zones").await?.data;
        let max = status.pointer("/status/budget/maxUnavailable");
        ensure!(max == Some(&json!(3)), "{status}");
        Ok(())
    })
    .await?;
    fleet.upgrade_all_at_once().await?;
    fleet
        .explained(hosts[5].name(), &["NoSlot", "policy zones, values of", "Policy:"])
        .await?;
    let queue = fleet.services.ctl_ok(&["queue"]).await?;
    ensure!(queue.contains("BLOCKER") && queue.contains("zones"), "{queue}");
    fleet.rebooted_once(&hosts).await?;
    let zone_of = |name: &String| hosts.iter().position(|host| host.name() == name).map(zone);
    for disrupted in fleet.nodes.disrupted() {
        let mut zones: Vec<_> = disrupted.iter().filter_map(zone_of).collect();
        zones.dedup();
        ensure!(zones.len() <= 1, "{zones:?} were disrupted at once");
    }
    ensure!(
        fleet.nodes.most_disrupted().len() == 2,
        "both nodes of a zone go together"
    );
    fleet.finish()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_the_autoscaler_deletes_is_left_alone_and_takes_the_slot() -> Result<()> {
    let fleet = Fleet::start(2, ServicesOptions::default()).await?;
    let [claimed, other] = [fleet.world.host(0)?, fleet.world.host(1)?];
    let taint = json!({ "key": "ToBeDeletedByClusterAutoscaler", "value": "1767225600", "effect": "NoSchedule" });
    let taints = |taints: Value| json!({ "spec": { "taints": taints } });
    patch(&fleet, claimed.name(), &taints(json!([taint]))).await?;
    fleet.explained(claimed.name(), &["Idle"]).await?;
    wait::until("the claim to take the slot", DEADLINE, async || {
        let status = fleet.services.ctl_ok(&["status"]).await?;
        ensure!(status.contains("1/1"), "{status}");
        Ok(())
    })
    .await?;
    fleet.upgrade_all()?;
    let stale = [
        "Claimed",
        "2026-01-01T00:00:00Z",
        "remove the taint ToBeDeletedByClusterAutoscaler",
    ];
    fleet.explained(claimed.name(), &stale).await?;
    fleet
        .explained(other.name(), &["NoSlot", "the cluster autoscaler deletes the machine"])
        .await?;
    wait::steadily("no node is touched", WHILE, async || {
        Ok(fleet.nodes.cordon_order().is_empty())
    })
    .await?;
    patch(&fleet, claimed.name(), &taints(Value::Null)).await?;
    fleet.all_rolled(1).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_deleted_while_its_host_reboots_keeps_its_slot_until_a_new_node_is_ready() -> Result<()> {
    let fleet = Fleet::start(2, ServicesOptions::default()).await?;
    let [lost, other] = [fleet.world.host(0)?, fleet.world.host(1)?];
    lost.behave(|it| it.never_come_back = true);
    lost.upgrade_kernel("6.12.48")?;
    wait::until("the host to go down", DEADLINE, async || {
        let attempt = fleet.attempt(lost.name()).await?.context("no attempt")?;
        ensure!(attempt.phase == Phase::Rebooting && attempt.reboot_started_at.is_some());
        ensure!(lost.reboot_orders() == 1);
        Ok(())
    })
    .await?;
    // As a cloud controller does with the Node of a machine that is down.
    let nodes = Api::<Node>::all(fleet.world.client());
    nodes.delete(lost.name(), &DeleteParams::default()).await?;
    other.upgrade_kernel("6.12.48")?;
    fleet
        .explained(other.name(), &["NoSlot", "Node object deleted while its host rebooted"])
        .await?;
    wait::steadily("the other node is not touched", WHILE, async || {
        Ok(fleet.nodes.cordons(other.name()) == 0)
    })
    .await?;
    // The machine comes back, and its kubelet registers it again.
    lost.behave(|it| it.never_come_back = false);
    fleet.world.register_again(&lost).await?;
    fleet.rebooted_once(&[other]).await?;
    fleet.finish()
}
