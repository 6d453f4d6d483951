//! Replicas of the drainer that share the queue: a full one keeps no drain from one that has room, and no uncordon from
//! itself.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use async_nats::Subscriber;
use bellwether_proto::Phase;
use bellwether_proto::stream::{COMMANDS_STREAM, DRAINERS};
use futures_util::{FutureExt as _, StreamExt as _};
use rig::service::Service;
use rig::services::ServicesOptions;
use rig::wait;
use rig::workload::Workload;
use rig::world::{World, WorldOptions};

use crate::fleet::{DEADLINE, Fleet};

/// A drain that waits so long is given back to the queue, not to another replica.
const QUEUED: Duration = Duration::from_secs(1);

/// Longer than a service takes to stop.
const STOP_DEADLINE: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn a_full_replica_leaves_a_drain_to_one_that_has_room_at_once_and_takes_uncordons_itself() -> Result<()> {
    let world = World::start(WorldOptions::default()).await?;
    for (number, host) in world.hosts().iter().enumerate() {
        // Drains that last.
        let name = format!("stuck-{number}");
        let stuck = Workload::new(&name).on_node(host.name());
        world.create(&stuck.deployment()?).await?;
        world.create(&stuck.min_available(1)?).await?;
        world.wait_ready_pods(&name, 1).await?;
    }
    let mut replies = replies(&world).await?;
    let options = ServicesOptions {
        drainers: 2,
        ..ServicesOptions::default().without_drain_checks()
    };
    let options = options
        .set("BELLWETHER_SLOTS", "3")
        .set("BELLWETHER_DRAIN_TIMEOUT", "10m")
        .set("BELLWETHER_DRAINER_CONCURRENCY", "1");
    let fleet = Fleet::start_in(world, options).await?;
    let [first, second, third] = [0, 1, 2].map(|number| fleet.world.host(number));
    let (first, second, third) = (first?, second?, third?);

    first.upgrade_kernel("6.12.48")?;
    let full = drains(&fleet, 1).await?.first().cloned().context("a drainer")?;
    let mut drainers = fleet.services.drainers.iter();
    let other = drainers.find(|it| it.process.name() != full.process.name());
    let other = other.context("another drainer")?;
    // Its request for messages is the newest one now, so the next command comes to the full replica.
    other.process.terminate(STOP_DEADLINE).await?;
    other.process.restart()?;
    other.wait_ready().await?;
    second.upgrade_kernel("6.12.48")?;
    drains(&fleet, 2).await?;
    let waits = given_back(&mut replies)?;
    ensure!(
        waits.iter().all(|wait| *wait < QUEUED),
        "a drain had to wait: {waits:?}"
    );

    // Both are full: the next drain waits, and is not asked about without end.
    third.upgrade_kernel("6.12.48")?;
    fleet.in_phase(third.name(), Phase::Draining).await?;
    let mut waits = Vec::new();
    wait::until("a drain that waits", DEADLINE, async || {
        waits.extend(given_back(&mut replies)?);
        ensure!(waits.iter().any(|wait| *wait >= QUEUED), "{waits:?}");
        Ok(())
    })
    .await?;
    ensure!(
        waits.iter().any(|wait| wait.is_zero()),
        "no other replica was asked: {waits:?}"
    );
    // The uncordon of its node needs no place, and overtakes the drain that waits.
    fleet.services.ctl_ok(&["cancel", third.name()]).await?;
    fleet.in_phase(third.name(), Phase::Cancelled).await?;
    drains(&fleet, 2).await?;
    fleet.finish()
}

/// Waits until so many replicas drain, each one node, and returns them.
async fn drains(fleet: &Fleet, wanted: usize) -> Result<Vec<Service>> {
    wait::until(&format!("{wanted} replicas that drain"), DEADLINE, async || {
        let mut busy = Vec::new();
        for drainer in &fleet.services.drainers {
            if drainer.metric("bellwether_drainer_drains_under_way").await? > 0.0 {
                busy.push(drainer.clone());
            }
        }
        ensure!(busy.len() == wanted, "{} drain", busy.len());
        Ok(busy)
    })
    .await
}

/// Listens to the replies to commands from now on.
async fn replies(world: &World) -> Result<Subscriber> {
    let client = world.nats.client().await?;
    let subject = format!("$JS.ACK.{}.{DRAINERS}.>", COMMANDS_STREAM.name);
    let replies = client.subscribe(subject).await?;
    client.flush().await?;
    Ok(replies)
}

/// The waits with which commands were given back since the last call.
fn given_back(replies: &mut Subscriber) -> Result<Vec<Duration>> {
    let mut waits = Vec::new();
    while let Some(Some(reply)) = replies.next().now_or_never() {
        let text = std::str::from_utf8(&reply.payload)?;
        let Some(options) = text.strip_prefix("-NAK") else {
            continue;
        };
        let nanoseconds = match options.trim() {
            "" => 0,
            options => {
                let options: serde_json::Value = serde_json::from_str(options)?;
                let delay = options.get("delay").and_then(serde_json::Value::as_u64);
                delay.with_context(|| format!("another reply: {text}"))?
            }
        };
        waits.push(Duration::from_nanos(nanoseconds));
    }
    Ok(waits)
}
