//! Three NATS servers: a leader that loads from a server that is behind, and a rollout while servers are gone.

#![expect(clippy::print_stdout, reason = "--nocapture shows the measured times")]

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, Result, ensure};
use async_nats::jetstream;
use bellwether_proto::Phase;
use bellwether_proto::stream::ATTEMPTS_STREAM;
use futures_util::TryStreamExt as _;
use rig::bus::Bus;
use rig::nats::Nats;
use rig::nats_cluster::{self, Peers};
use rig::services::ServicesOptions;
use rig::wait;
use rig::world::{World, WorldOptions};

use crate::fleet::{DEADLINE, Fleet};
use crate::leadership::{leads, pair};
use crate::views::slots_taken;

/// How far a server is behind: longer than a standby takes to load after the leader stopped in order.
const BEHIND: Duration = Duration::from_millis(2500);

/// A load that begins so soon after an order does not find it on the server that is behind.
const FRESH: Duration = Duration::from_millis(2000);

/// NATS chooses one of three servers for each load: a chance of one in 200,000 that it never is the one behind.
const LOADS_MAX: usize = 30;

async fn world() -> Result<World> {
    World::start(WorldOptions {
        nodes: 2,
        three_nats_servers: true,
        ..WorldOptions::default()
    })
    .await
}

fn peers(world: &World) -> Result<&Peers> {
    world.nats_peers.as_deref().context("one server alone")
}

/// How many loads of the records began between these instants and read from this server.
async fn loads_from(world: &World, server: &str, since: SystemTime, until: SystemTime) -> Result<usize> {
    let jetstream = jetstream::new(world.nats.client().await?);
    let stream = jetstream.get_stream(ATTEMPTS_STREAM.name).await?;
    let consumers: Vec<_> = stream.consumers().try_collect().await?;
    let loads = consumers.into_iter().filter(|consumer| {
        let created = SystemTime::from(consumer.created);
        let leader = consumer.cluster.as_ref().and_then(|it| it.leader.as_deref());
        leader == Some(server) && since < created && created < until
    });
    Ok(loads.count())
}

/// Each round stores a pause that the third server does not have yet, lets the other scheduler lead, and looks whether it knows
/// the pause: the need of a node and a free slot are all else that a start takes.
#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_loads_from_a_server_that_is_behind_knows_the_newest_records() -> Result<()> {
    let world = world().await?;
    // All services use the server that is behind with nothing.
    let options = ServicesOptions::default().set("BELLWETHER_NATS_URL", &world.nats.own_url());
    let fleet = Fleet::start_in(world, options).await?;
    let (host, other) = (fleet.world.host(0)?, fleet.world.host(1)?);
    let [first, second, third] = nats_cluster::NAMES;
    nats_cluster::lead_all(&fleet.world.nats, first).await?;
    nats_cluster::lead_stream(&fleet.world.nats, ATTEMPTS_STREAM.name, second).await?;
    // A node that others cordoned takes the slot.
    fleet.world.set_cordon(other.name(), true).await?;
    let leader = fleet.services.leader(&fleet.world).await?.clone();
    slots_taken(&leader, 1.0, DEADLINE).await?;
    host.upgrade_kernel("6.12.48")?;
    wait::until("the leader to know the need", DEADLINE, async || {
        let story = fleet.services.ctl_ok(&["explain", host.name()]).await?;
        ensure!(story.contains("slot"), "{story}");
        Ok(())
    })
    .await?;
    peers(&fleet.world)?.be_late(BEHIND);
    let bus = Bus::connect(&fleet.world.nats).await?;
    let mut behind = 0;
    for round in 0..LOADS_MAX {
        let reason = format!("round {round}");
        fleet.services.ctl_ok(&["pause", "--reason", &reason]).await?;
        let stored = SystemTime::now();
        fleet.world.set_cordon(other.name(), false).await?;
        let (leader, standby) = pair(&fleet).await?;
        let since = Instant::now();
        leader.process.terminate(DEADLINE).await?;
        wait::eventually("the other to lead", DEADLINE, async || leads(&standby).await).await?;
        let led = since.elapsed();
        let status = fleet.services.ctl_ok(&["status"]).await?;
        ensure!(
            status.contains(&reason),
            "the new leader does not know the pause: {status}"
        );
        let late = loads_from(&fleet.world, third, stored, stored + FRESH).await?;
        println!("{reason}: led after {led:?}, {late} loads from the server that is behind");
        // A vote may have made another server the one that has everything first.
        if leader_of_records(&fleet.world).await? == second {
            behind += late;
        }
        fleet.world.set_cordon(other.name(), true).await?;
        slots_taken(&standby, 1.0, DEADLINE).await?;
        let attempt = bus.attempt(host.name()).await?;
        ensure!(attempt.is_none(), "a node started in spite of the pause: {attempt:?}");
        fleet.services.ctl_ok(&["resume"]).await?;
        leader.process.restart()?;
        leader.wait_ready().await?;
        if behind > 0 {
            break;
        }
    }
    ensure!(behind > 0, "no load read from the server that is behind");
    fleet.world.set_cordon(other.name(), false).await?;
    fleet.rebooted_once(&[host]).await?;
    let most = fleet.nodes.most_disrupted();
    ensure!(most.len() == 1, "Budget: {most:?} were disrupted at once");
    fleet.finish()
}

/// The server that leads the stream of the records, by its name.
async fn leader_of_records(world: &World) -> Result<String> {
    let jetstream = jetstream::new(world.nats.client().await?);
    let stream = jetstream.get_stream(ATTEMPTS_STREAM.name).await?;
    let cluster = stream.cached_info().cluster.clone().context("one server alone")?;
    ensure!(
        cluster.replicas.len() == 2,
        "the records are not on three servers: {cluster:?}"
    );
    cluster.leader.context("the records have no leader")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollout_continues_without_one_of_three_servers_and_stands_still_without_two() -> Result<()> {
    // Longer than the servers are away.
    let options = ServicesOptions::default()
        .set("BELLWETHER_REBOOT_TIMEOUT", "120s")
        .set("BELLWETHER_REBOOT_START_TIMEOUT", "90s");
    let mut fleet = Fleet::start_in(world().await?, options).await?;
    fleet.upgrade_all()?;
    let node = fleet.entering(Phase::Draining).await?;
    let leading = leader_of_records(&fleet.world).await?;
    let peers = peers(&fleet.world)?;
    let mut servers: Vec<&Nats> = std::iter::once(&fleet.world.nats).chain(&peers.servers).collect();
    servers.sort_by_key(|server| server.process.name() != leading);
    let [one, other, _] = *servers else {
        anyhow::bail!("not three servers");
    };
    let (host, next) = match fleet.world.hosts().as_slice() {
        [host, next] if host.name() == node.as_str() => (Arc::clone(host), Arc::clone(next)),
        [next, host] => (Arc::clone(host), Arc::clone(next)),
        _ => anyhow::bail!("not two hosts"),
    };
    let since = Instant::now();
    one.kill9();
    // The records say that the node is drained; it does not end its reboot before the next server is killed.
    wait::eventually("the first node to be rebooted", DEADLINE, async || {
        Ok(host.reboot_orders() == 1)
    })
    .await?;
    println!(
        "rebooting {:?} after the leader of the records was killed",
        since.elapsed()
    );
    let since = Instant::now();
    other.kill9();
    let order = fleet.services.ctl(&["pause", "--reason", "no majority"]).await?;
    ensure!(!order.status.success(), "an order is confirmed that is not stored");
    let reason = wait::until("the leader to name the reason", DEADLINE, async || {
        let mut answers = Vec::new();
        for scheduler in &fleet.services.schedulers {
            answers.push(scheduler.get("/readyz").await?);
        }
        // The first if the leader tried to store the order, the second if it was loading then.
        let codes = ["store WritesNotStored: ", "streams StreamsNotSetUp: "];
        let named = |body: &str| codes.iter().any(|code| body.contains(code));
        let reason = answers.iter().find(|(status, body)| *status == 503 && named(body));
        let (_, reason) = reason.with_context(|| format!("{answers:?}"))?;
        let status = fleet.services.ctl(&["status"]).await?;
        let status = String::from_utf8([status.stdout, status.stderr].concat())?;
        let named = ["NATS", "JetStream"].iter().any(|name| status.contains(name));
        ensure!(named, "the status does not name the cause: {status}");
        Ok(reason.clone())
    })
    .await?;
    println!("not ready {:?} after the second was killed: {reason}", since.elapsed());
    let since = Instant::now();
    tokio::try_join!(one.restart(), other.restart())?;
    // The order may have been stored all the same, by the server that was left.
    wait::until("an order to be stored again", DEADLINE, async || {
        fleet.services.ctl_ok(&["resume"]).await.map(drop)
    })
    .await?;
    println!("an order was stored {:?} after the servers were back", since.elapsed());
    fleet.rebooted_once(&[host, next]).await?;
    println!("all nodes were back after {:?}", since.elapsed());
    fleet.all_rolled(1).await
}
