//! Pods that come back to the node under drain, with the real controllers and the real kube-scheduler.

use anyhow::{Context as _, Result, ensure};
use bellwether_proto::{Fact, Phase};
use rig::services::ServicesOptions;
use rig::workload::Workload;
use serde_json::json;

use crate::fleet::Fleet;

/// Pods of both Deployments: two that tolerate the cordon, and one that names its node.
const PODS: u32 = 3;

/// A drain evicts each pod once, and those that came back in three rounds.
const EVICTIONS_MAX: f64 = (PODS * 4) as f64;

#[tokio::test(flavor = "multi_thread")]
async fn pods_that_tolerate_the_cordon_or_name_their_node_are_evicted_a_few_times_then_stay() -> Result<()> {
    let mut fleet = Fleet::start(1, ServicesOptions::default()).await?;
    let tolerant = Workload::new("tolerant")
        .replicas(2)
        .spec("tolerations", json!([{ "operator": "Exists" }]));
    fleet.world.create(&tolerant.deployment()?).await?;
    fleet.world.wait_ready_pods("tolerant", 2).await?;
    let host = fleet.world.host(0)?;
    let fixed = Workload::new("fixed").spec("nodeName", json!(host.name()));
    fleet.world.create(&fixed.deployment()?).await?;
    fleet.world.wait_ready_pods("fixed", 1).await?;
    host.upgrade_kernel("6.12.48")?;
    fleet.entering(Phase::Draining).await?;
    fleet
        .explained(
            host.name(),
            &["came back: ReplicaSet/tolerant-", "puts pods onto the cordoned node"],
        )
        .await?;

    let is_drained = |fact: &Fact| matches!(fact, Fact::Drained { .. });
    let event = fleet
        .event("the end of the drain", |event| is_drained(&event.fact))
        .await?;
    let Fact::Drained {
        pods_left,
        pods_returning,
        message,
        ..
    } = event.fact
    else {
        anyhow::bail!("another event")
    };
    ensure!(
        (pods_left, pods_returning) == (PODS, PODS),
        "{pods_left} left, {pods_returning} came back"
    );
    for owner in ["2 of ReplicaSet/tolerant-", "1 of ReplicaSet/fixed-"] {
        ensure!(message.contains(owner), "{message}");
    }
    let drainer = fleet.services.drainers.first().context("a drainer")?;
    let evictions = drainer.sum("bellwether_drainer_evictions_total", "Accepted").await?;
    ensure!(
        evictions > f64::from(PODS) && evictions <= EVICTIONS_MAX,
        "{evictions} evictions"
    );
    fleet.rebooted_once(&[host]).await?;
    fleet.finish()
}
