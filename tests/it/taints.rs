//! The taint of nodes that wait for their reboot, with the real kube-scheduler: a pod is moved once.

use anyhow::{Result, ensure};
use bellwether_proto::{Fact, mark};
use k8s_openapi::api::core::v1::Node;
use kube::Api;
use kube::api::{Patch, PatchParams};
use rig::services::ServicesOptions;
use rig::wait;
use rig::workload::Workload;
use serde_json::json;

use crate::fleet::{DEADLINE, Fleet};
use crate::policies;

/// As many as nodes: kube-scheduler places one on each.
const PODS: u32 = 4;

#[tokio::test(flavor = "multi_thread")]
async fn pods_go_to_nodes_that_do_not_wait_for_their_reboot() -> Result<()> {
    let mut fleet = Fleet::start(PODS as usize, ServicesOptions::default()).await?;
    let app = Workload::new("web").replicas(PODS);
    fleet.world.create(&app.deployment()?).await?;
    fleet.world.wait_ready_pods("web", PODS as usize).await?;
    let hosts = fleet.world.hosts();
    let last = hosts.last().map(|host| host.name().to_owned()).unwrap_or_default();
    // Another program's taint, which is to stay as it is.
    let taints = json!({ "spec": { "taints": [{ "key": "example.com/old", "effect": "PreferNoSchedule" }] } });
    let nodes = Api::<Node>::all(fleet.world.client());
    nodes
        .patch(&last, &PatchParams::default(), &Patch::Merge(&taints))
        .await?;
    policies::create(&fleet.world, "all", &json!({})).await?;
    fleet.upgrade_all_at_once().await?;

    wait::until("every node but the first to be tainted", DEADLINE, async || {
        let tainted = taints_of(&fleet, mark::WAITS_FOR_REBOOT).await?;
        ensure!(tainted.len() + 1 >= hosts.len(), "only {tainted:?}");
        Ok(())
    })
    .await?;
    let mut moved = 0;
    for _ in &hosts {
        let drained = |fact: &Fact| matches!(fact, Fact::Drained { .. });
        let event = fleet.event("a drained node", |event| drained(&event.fact)).await?;
        if let Fact::Drained { pods_gone, .. } = event.fact {
            moved += pods_gone;
        }
    }
    fleet.rebooted_once(&hosts).await?;
    // The pod of the first node had no other place than a node that waits.
    ensure!(moved <= PODS + 1, "{moved} evictions of {PODS} pods");
    wait::until("no node to carry the taint", DEADLINE, async || {
        let tainted = taints_of(&fleet, mark::WAITS_FOR_REBOOT).await?;
        ensure!(tainted.is_empty(), "{tainted:?} do");
        Ok(())
    })
    .await?;
    assert_eq!(taints_of(&fleet, "example.com/old").await?, [last]);
    fleet.finish()
}

/// The nodes that carry a taint with this key and the effect that prefers other nodes.
async fn taints_of(fleet: &Fleet, key: &str) -> Result<Vec<String>> {
    let mut tainted = Vec::new();
    for host in fleet.world.hosts() {
        let node = fleet.world.node(host.name()).await?;
        let taints = node.spec.and_then(|spec| spec.taints).unwrap_or_default();
        let is_it = |taint: &&k8s_openapi::api::core::v1::Taint| taint.key == key;
        if let Some(taint) = taints.iter().find(is_it) {
            ensure!(taint.effect == mark::WAITS_FOR_REBOOT_EFFECT, "{taint:?}");
            tainted.push(host.name().to_owned());
        }
    }
    Ok(tainted)
}
