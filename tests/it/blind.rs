//! A drainer whose connections to the API server are dead, while new ones work: so it is when the machine of one of
//! several API servers dies.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use bellwether_proto::{Fact, Phase};
use k8s_openapi::api::core::v1::Pod;
use kube::api::DeleteParams;
use kube::{Api, ResourceExt as _};
use rig::proxy::Proxy;
use rig::services::ServicesOptions;
use rig::wait;

use crate::fleet::{DEADLINE, Fleet};

/// Twenty seconds, and time for busy cores; far below the minute after which a watch of the usual length would notice.
const NOTICED: Duration = Duration::from_secs(45);

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_whose_connections_died_goes_on_within_twenty_seconds() -> Result<()> {
    let options = ServicesOptions {
        drainers: 1,
        ..ServicesOptions::default().without_drain_checks()
    };
    let mut fleet = Fleet::start(1, options).await?;
    let drainer = fleet.services.drainers.first().context("a drainer")?.clone();
    let api = Proxy::start(fleet.world.control_plane.access().port())?;
    let nats = Proxy::start(fleet.world.nats.port())?;
    fleet.services.reroute(&fleet.world, &drainer, &api, &nats).await?;
    fleet.world.block_drain(0).await?;
    let host = fleet.world.host(0)?;
    host.upgrade_kernel("6.12.48")?;
    fleet.entering(Phase::Draining).await?;
    fleet.explained(host.name(), &["Held up by", "stuck"]).await?;

    let since = Instant::now();
    api.forget_connections();
    // The pod goes without the drainer; its successor fits no node.
    let pods = fleet.world.pods("stuck").await?;
    let pod = pods.first().context("no pod")?;
    let api = Api::<Pod>::namespaced(fleet.world.client(), &pod.namespace().unwrap_or_default());
    api.delete(&pod.name_any(), &DeleteParams::default()).await?;
    let drained = |fact: &Fact| matches!(fact, Fact::Drained { .. });
    wait::within("the drain to end", DEADLINE, async {
        fleet.event("the end of the drain", |event| drained(&event.fact)).await
    })
    .await?;
    let elapsed = since.elapsed();
    ensure!(elapsed < NOTICED, "only after {elapsed:?}");
    fleet.rebooted_once(&[host]).await?;
    fleet.finish()
}
