//! The leader's view of the cluster stays true: nodes that it has to leave alone, watches that are silent without
//! an error, a store that was restored.

#![expect(clippy::print_stdout, reason = "--nocapture shows the measured times")]

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use bellwether_proto::{Cause, Phase, mark};
use futures_util::StreamExt as _;
use futures_util::stream;
use k8s_openapi::api::core::v1::{Namespace, Node};
use kube::Api;
use kube::api::{Patch, PatchParams};
use rig::proxy::{Proxy, Way};
use rig::record::node_state;
use rig::service::Service;
use rig::services::ServicesOptions;
use rig::wait;
use rig::workload::NAMESPACE;
use rig::world::{World, WorldOptions};
use serde_json::json;

use crate::fleet::{DEADLINE, Fleet};

/// Within 15 s, and the time to load again on busy cores.
const NOTICED: Duration = Duration::from_secs(20);

/// One node and one scheduler, which reaches the API server by a proxy. Its Lease lasts longer than the story: what
/// the scheduler notices, it notices by its watches.
async fn behind_proxy(options: ServicesOptions) -> Result<(Fleet, Service, [Proxy; 2])> {
    let options = ServicesOptions {
        schedulers: 1,
        ..options.set("BELLWETHER_LEASE_DURATION", "120s")
    };
    let fleet = Fleet::start(1, options).await?;
    let scheduler = fleet.services.schedulers.first().context("a scheduler")?.clone();
    let api = Proxy::start(fleet.world.control_plane.access().port())?;
    let nats = Proxy::start(fleet.world.nats.port())?;
    fleet.services.reroute(&fleet.world, &scheduler, &api, &nats).await?;
    slots_taken(&scheduler, 0.0, DEADLINE).await?;
    Ok((fleet, scheduler, [api, nats]))
}

/// Waits until the scheduler leads and counts so many slots as taken: a node that others cordoned takes one.
pub(crate) async fn slots_taken(scheduler: &Service, count: f64, deadline: Duration) -> Result<()> {
    wait::until("the scheduler to know the node's cordon", deadline, async || {
        let leading = scheduler.metric("bellwether_scheduler_leading").await?;
        let taken = scheduler.metric("bellwether_slots_taken").await?;
        ensure!(
            (leading, taken) == (1.0, count),
            "leading {leading}, {taken} slots taken"
        );
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_whose_connection_was_forgotten_is_noticed_within_15_seconds() -> Result<()> {
    let (fleet, scheduler, [api, _nats]) = behind_proxy(ServicesOptions::default()).await?;
    let node = fleet.world.host(0)?.name().to_owned();
    let since = Instant::now();
    api.forget_connections();
    fleet.world.set_cordon(&node, true).await?;
    slots_taken(&scheduler, 1.0, NOTICED).await?;
    println!(
        "the cordon was known {:?} after the connections were forgotten",
        since.elapsed()
    );
    fleet.finish()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_restored_from_a_snapshot_is_listed_again() -> Result<()> {
    let (fleet, scheduler, [api, _nats]) = behind_proxy(ServicesOptions::default()).await?;
    let node = fleet.world.host(0)?.name().to_owned();
    let snapshot = fleet.world.control_plane.snapshot(&fleet.world.place)?;
    // What the snapshot lacks: far more versions than the restored store gets during the story, the cordon last.
    let namespaces: Api<Namespace> = Api::all(fleet.world.client());
    let writes = stream::iter(0..1000).map(|number| {
        let patch = json!({ "metadata": { "annotations": { "rig/number": number.to_string() } } });
        let namespaces = namespaces.clone();
        async move {
            let params = PatchParams::default();
            namespaces
                .patch(NAMESPACE, &params, &Patch::Merge(patch))
                .await
                .map(drop)
        }
    });
    let mut writes = writes.buffer_unordered(16);
    while let Some(written) = writes.next().await {
        written?;
    }
    fleet.world.set_cordon(&node, true).await?;
    slots_taken(&scheduler, 1.0, DEADLINE).await?;
    let restored = fleet.world.control_plane.start_restored(snapshot).await?;
    let since = Instant::now();
    api.redirect(restored.access.port());
    api.close_connections();
    slots_taken(&scheduler, 0.0, NOTICED).await?;
    println!("the restored node was known after {:?}", since.elapsed());
    // And it hears what changes from now on.
    let nodes: Api<Node> = Api::all(restored.admin.clone());
    nodes.cordon(&node).await?;
    slots_taken(&scheduler, 1.0, NOTICED).await?;
    drop(restored);
    fleet.finish()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_becomes_virtual_in_mid_attempt_is_uncordoned_and_left_alone() -> Result<()> {
    let world = World::start(WorldOptions {
        nodes: 2,
        ..WorldOptions::default()
    })
    .await?;
    world.block_drain(0).await?;
    let mut fleet = Fleet::start_in(world, ServicesOptions::default().without_drain_checks()).await?;
    let (host, next) = (fleet.world.host(0)?, fleet.world.host(1)?);
    host.upgrade_kernel("6.12.48")?;
    fleet.entering(Phase::Draining).await?;
    wait::eventually("our cordon", DEADLINE, async || {
        Ok(fleet.nodes.cordons(host.name()) == 1)
    })
    .await?;
    let kubectl = fleet.world.kubectl()?;
    kubectl
        .run(&["label", "node", host.name(), "type=virtual-kubelet"], "")
        .await?;
    // The attempt continues until an operator ends it; then the cordon is removed, by a view that is not frozen.
    wait::steadily("the cordon of the attempt", Duration::from_secs(2), async || {
        Ok(node_state(&fleet.world.node(host.name()).await?).cordoned)
    })
    .await?;
    fleet
        .services
        .ctl_ok(&["cancel", host.name(), "--reason", "virtual"])
        .await?;
    wait::until("the cordon to be gone", DEADLINE, async || {
        let node = fleet.world.node(host.name()).await?;
        let marks = node.metadata.annotations.clone().unwrap_or_default();
        ensure!(!node_state(&node).cordoned, "it is cordoned");
        ensure!(!marks.contains_key(mark::CORDONED_FOR), "the mark is left");
        Ok(())
    })
    .await?;
    // Its slot is free for others, and it is no node of ours any more although it still needs a reboot.
    next.upgrade_kernel("6.12.48")?;
    fleet.rebooted_once(&[next]).await?;
    wait::steadily("the node is left alone", Duration::from_secs(8), async || {
        Ok(fleet.nodes.cordons(host.name()) == 1 && host.reboot_orders() == 0)
    })
    .await?;
    let status = fleet.services.ctl_ok(&["status"]).await?;
    ensure!(!status.contains(host.name()), "status lists a virtual node: {status}");
    fleet.finish()
}

/// Interrupts the way to the API server again and again: each time as soon as the scheduler leads after the time before.
async fn interrupt(scheduler: &Service, api: &Proxy) -> Result<()> {
    let failures = || scheduler.process.output().matches("Watch failed").count();
    loop {
        let (before, turns) = (failures(), reloads(scheduler).await?);
        api.set(Way::Cut);
        wait::eventually("a watch to fail", DEADLINE, async || Ok(failures() > before)).await?;
        api.set(Way::Open);
        wait::until("the scheduler to lead again", DEADLINE, async || {
            // In this order: the leader that is asked has loaded after the time before.
            let now = reloads(scheduler).await?;
            let leading = scheduler.metric("bellwether_scheduler_leading").await?;
            ensure!(leading == 1.0 && now > turns, "leading {leading}, {now} reloads");
            Ok(())
        })
        .await?;
    }
}

async fn reloads(scheduler: &Service) -> Result<f64> {
    scheduler.metric("bellwether_scheduler_reloads_total").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_without_end_times_out_although_the_leader_loads_again_and_again() -> Result<()> {
    // The time of the drain, and 20 s for the drainer's answer; the grace of the first load is over by then. The rest is
    // for the interruption in which that time ends, and for busy cores.
    const BOUND: Duration = Duration::from_secs(2 + 20 + 15);
    // Without a drainer the scheduler alone can end the drain.
    let options = ServicesOptions {
        drainers: 0,
        ..ServicesOptions::default()
            .without_drain_checks()
            .set("BELLWETHER_DRAIN_TIMEOUT", "2s")
    };
    let (mut fleet, scheduler, [api, _nats]) = behind_proxy(options).await?;
    let host = fleet.world.host(0)?;
    host.upgrade_kernel("6.12.48")?;
    fleet.entering(Phase::Draining).await?;
    let (since, before) = (Instant::now(), reloads(&scheduler).await?);
    let attempt = tokio::select! {
        attempt = fleet.in_phase(host.name(), Phase::RollingBack) => attempt?,
        ended = interrupt(&scheduler, &api) => return ended,
    };
    let (after, turns) = (since.elapsed(), reloads(&scheduler).await? - before);
    println!("the drain timed out after {after:?} and {turns} loads");
    let cause = attempt.ending.map(|ending| ending.cause);
    ensure!(cause == Some(Cause::DrainFailed), "it ends by {cause:?}");
    ensure!(after < BOUND, "the drain timed out only after {after:?}");
    ensure!(turns >= 3.0, "the leader has loaded {turns} times only");
    fleet.finish()
}
