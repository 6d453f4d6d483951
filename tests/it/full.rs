//! A store that takes nothing, and a record that no store takes: the leader stands still or leaves the node alone,
//! reports the answer of NATS, asks the API server for nothing again, and continues by itself.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use async_nats::jetstream::{self, stream};
use bellwether_proto::stream::EVENTS_STREAM;
use bellwether_proto::{DrainFailure, Fact, NodeEvent, Phase, subject};
use jiff::Timestamp;
use rig::bus::Bus;
use rig::place::Place;
use rig::process::Process;
use rig::service::Service;
use rig::services::{Services, ServicesOptions};
use rig::world::{self, World, WorldOptions};
use rig::{ports, tools, wait};
use tonic::codegen::http::Request;

use crate::fleet::{DEADLINE, Fleet};

/// Creates the stream of events in small: it reserves half a gibibyte otherwise, more than is quickly filled.
async fn create_small_events(world: &World) -> Result<()> {
    let jetstream = jetstream::new(world.nats.client().await?);
    let config = stream::Config {
        name: EVENTS_STREAM.name.to_owned(),
        subjects: vec![subject::ALL_EVENTS.to_owned()],
        max_bytes: 1024 * 1024,
        allow_direct: true,
        ..Default::default()
    };
    jetstream.create_stream(config).await?;
    Ok(())
}

/// Fills JetStream's storage with a stream of its own.
async fn fill(jetstream: &jetstream::Context) -> Result<()> {
    let config = stream::Config {
        name: "FILL".to_owned(),
        subjects: vec!["fill".to_owned()],
        ..Default::default()
    };
    jetstream.create_stream(config).await?;
    let block = vec![0_u8; 256 * 1024];
    for _ in 0..1000 {
        if jetstream.publish("fill", block.clone().into()).await?.await.is_err() {
            break;
        }
    }
    // Then the rest, down to a few bytes.
    for _ in 0..10_000 {
        if jetstream.publish("fill", vec![0_u8; 64].into()).await?.await.is_err() {
            return Ok(());
        }
    }
    anyhow::bail!("the store takes everything")
}

/// How often nodes were listed so far, by the API server's own count.
async fn node_lists(fleet: &Fleet) -> Result<f64> {
    let request = Request::get("/metrics").body(Vec::new())?;
    let metrics = fleet.world.client().request_text(request).await?;
    let lists = metrics.lines().filter(|line| {
        let counts = line.starts_with("apiserver_request_total{");
        counts && line.contains("resource=\"nodes\"") && line.contains("verb=\"LIST\"")
    });
    let counts = lists.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
    Ok(counts.sum())
}

/// The stream of events reserves half a gibibyte: less than the server has, and more than is left. Once there is room,
/// two schedulers want to create it at once, and NATS may count the reservation of each. The drainer waits for them.
#[tokio::test(flavor = "multi_thread")]
async fn services_that_find_no_room_for_their_streams_name_the_answer_and_start_once_there_is_room() -> Result<()> {
    let world = World::start(WorldOptions {
        nodes: 1,
        nats_config: "jetstream { max_file_store: 600MiB }",
        ..WorldOptions::default()
    })
    .await?;
    let jetstream = jetstream::new(world.nats.client().await?);
    let other = stream::Config {
        name: "OTHER".to_owned(),
        subjects: vec!["other".to_owned()],
        max_bytes: 512 * 1024 * 1024,
        ..Default::default()
    };
    jetstream.create_stream(other).await?;
    let services = Services::launch(&world, ServicesOptions::default()).await?;
    let missing = format!("{}: is missing", EVENTS_STREAM.name);
    let creating = services.schedulers.iter().map(|it| {
        (
            it,
            vec![
                "insufficient storage resources",
                "BELLWETHER_EVENTS_MAX_BYTES",
                "max_file_store",
            ],
        )
    });
    let waiting = services.drainers.iter().map(|it| (it, vec![missing.as_str()]));
    for (service, answers) in creating.chain(waiting) {
        wait::until("the answer of NATS in /readyz", DEADLINE, async || {
            let (status, body) = service.get("/readyz").await?;
            let answered = answers.iter().all(|answer| body.contains(answer));
            let named = body.contains("streams StreamsNotSetUp: ") && answered;
            ensure!(status == 503 && named, "{status} {body}");
            Ok(())
        })
        .await?;
    }
    jetstream.delete_stream("OTHER").await?;
    for service in services.schedulers.iter().chain(&services.drainers) {
        // Fails at once if the service has ended.
        service.wait_ready().await?;
    }
    services.leader(&world).await?;
    drop(services);
    world.finish()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_whose_store_is_full_stands_still_reports_the_answer_and_continues_by_itself() -> Result<()> {
    let world = World::start(WorldOptions {
        nodes: 2,
        nats_config: "jetstream { max_file_store: 8MiB }",
        ..WorldOptions::default()
    })
    .await?;
    create_small_events(&world).await?;
    world.block_drain(0).await?;
    let mut fleet = Fleet::start_in(world, ServicesOptions::default().without_drain_checks()).await?;
    let (host, other) = (fleet.world.host(0)?, fleet.world.host(1)?);
    let leader = fleet.services.leader(&fleet.world).await?.clone();
    let sentinel = fleet.services.agents_of(&other)?.sentinel;
    host.upgrade_kernel("6.12.48")?;
    fleet.entering(Phase::Draining).await?;
    wait::eventually("our cordon", DEADLINE, async || {
        Ok(fleet.nodes.cordons(host.name()) == 1)
    })
    .await?;
    let before = fleet.attempt(host.name()).await?.context("no attempt")?;
    let jetstream = jetstream::new(fleet.world.nats.client().await?);
    fill(&jetstream).await?;
    let lists = node_lists(&fleet).await?;
    // The attempt has to change, and its record cannot; nor can the report of the other node.
    fleet.world.set_cordon(host.name(), false).await?;
    other.upgrade_kernel("6.12.48")?;
    wait::until("leader and sentinel to name the answer of NATS", DEADLINE, async || {
        let turns = leader.metric("bellwether_scheduler_reloads_total").await?;
        ensure!(turns >= 3.0, "{turns} turns have failed");
        for service in [&leader, &sentinel] {
            let (status, body) = service.get("/readyz").await?;
            let named = body.contains("store WritesNotStored: ") && body.contains("insufficient resources");
            ensure!(status == 503 && named, "{}: {status} {body}", service.process.name());
        }
        let status = fleet.services.ctl_ok(&["status"]).await?;
        let named = status.contains("NATS has stored nothing since") && status.contains("insufficient resources");
        ensure!(named, "{status}");
        Ok(())
    })
    .await?;
    let order = fleet.services.ctl(&["pause", "--reason", "full"]).await?;
    ensure!(!order.status.success(), "an order is confirmed that is not stored");
    ensure!(
        node_lists(&fleet).await? == lists,
        "the leader has listed the nodes again"
    );
    jetstream.delete_stream("FILL").await?;
    wait::until("the leader to continue", DEADLINE, async || {
        let attempt = fleet.attempt(host.name()).await?.context("no attempt")?;
        ensure!(attempt.generation > before.generation, "{attempt:?}");
        for service in [&leader, &sentinel] {
            let (status, body) = service.get("/readyz").await?;
            ensure!(status == 200, "{}: {status} {body}", service.process.name());
        }
        let status = fleet.services.ctl_ok(&["status"]).await?;
        ensure!(!status.contains("stored nothing"), "{status}");
        Ok(())
    })
    .await?;
    fleet.finish()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_is_too_long_for_nats_stops_its_node_alone() -> Result<()> {
    let world = World::start(WorldOptions {
        nodes: 2,
        // A record is shorter, and the message of an event may be longer.
        nats_config: "max_payload: 3500",
        ..WorldOptions::default()
    })
    .await?;
    world.block_drain(0).await?;
    let options = ServicesOptions::default()
        .without_drain_checks()
        .set("BELLWETHER_SLOTS", "2");
    let mut fleet = Fleet::start_in(world, options).await?;
    let (stuck, other) = (fleet.world.host(0)?, fleet.world.host(1)?);
    stuck.upgrade_kernel("6.12.48")?;
    fleet.entering(Phase::Draining).await?;
    let attempt = fleet.attempt(stuck.name()).await?.context("no attempt")?;
    let event = NodeEvent {
        node: attempt.node.clone(),
        attempt: attempt.id,
        generation: attempt.generation,
        at: Timestamp::now(),
        source: "a test".to_owned(),
        fact: Fact::DrainFailed {
            failure: DrainFailure::Forbidden,
            message: "long ".repeat(640),
            obstacle: None,
            report: None,
        },
    };
    let bus = Bus::connect(&fleet.world.nats).await?;
    bus.publish(subject::event(&attempt.node.token(), &event.fact), &event)
        .await?;
    wait::until("the record to be called too long", DEADLINE, async || {
        let story = fleet.services.ctl_ok(&["explain", stuck.name()]).await?;
        ensure!(story.contains("too long"), "{story}");
        Ok(())
    })
    .await?;
    other.upgrade_kernel("6.12.48")?;
    fleet.rebooted_once(&[other]).await?;
    let leader = fleet.services.leader(&fleet.world).await?;
    let turns = leader.metric("bellwether_scheduler_reloads_total").await?;
    ensure!(turns <= 1.0, "{turns} turns have failed");
    assert_eq!(stuck.reboot_orders(), 0);
    wait::steadily("the leader leads", Duration::from_secs(3), async || {
        Ok(leader.metric("bellwether_scheduler_reloads_total").await? == turns)
    })
    .await?;
    fleet.finish()
}

/// A NATS server alone on a disk of 8 MiB of its own, in a name space of its own. None: this machine does not
/// permit one.
fn start_on_a_small_disk(place: &Place, port: u16, monitor: u16) -> Result<Option<Process>> {
    let own_disk = ["--user", "--map-root-user", "--mount"];
    let permitted = std::process::Command::new("unshare")
        .args(own_disk)
        .arg("true")
        .output();
    if !permitted.is_ok_and(|output| output.status.success()) {
        return Ok(None);
    }
    let store = place.folder("small-disk")?;
    let server = tools::tool("nats-server")?;
    // Without it JetStream takes three quarters of the disk, and refuses before the disk is full.
    let config = place.file("small-disk.conf", "jetstream { max_file_store: 1GiB }")?;
    let script = format!(
        "mount -t tmpfs -o size=8m tmpfs {store} && exec {server} --addr=127.0.0.1 --port={port} \
         --http_port={monitor} --jetstream --store_dir={store} --config={config}",
        store = store.display(),
        server = server.display(),
        config = config.display(),
    );
    let args = own_disk.into_iter().chain(["sh", "-c", &script]).map(str::to_owned);
    let process = place.start("small-disk", "unshare".into(), args.collect(), BTreeMap::new())?;
    Ok(Some(process))
}

/// The paths that the probes of NATS in an overlay ask for.
fn probed(overlay: &str, probe: &str) -> Result<String> {
    let folder = tools::repository().join("deploy/overlays").join(overlay);
    let objects = std::process::Command::new(tools::tool("kubectl")?)
        .arg("kustomize")
        .arg(folder)
        .output()?;
    ensure!(objects.status.success(), "{}", String::from_utf8_lossy(&objects.stderr));
    let objects = String::from_utf8(objects.stdout)?;
    let mut objects = objects.split("\n---\n");
    let servers = objects.find(|object| object.contains("\nkind: StatefulSet\n"));
    // The server's container comes before its sidecar.
    let probe = servers
        .context("no servers")?
        .split_once(&format!("{probe}:"))
        .context("no such probe")?
        .1;
    let path = probe.lines().find_map(|line| line.trim().strip_prefix("path: "));
    Ok(path.context("a probe without a path")?.to_owned())
}

#[expect(clippy::print_stderr, reason = "a test that is skipped reports that")]
#[tokio::test(flavor = "multi_thread")]
async fn the_probes_of_one_nats_server_notice_a_full_disk() -> Result<()> {
    let _turn = world::turn().await?;
    let place = Place::new()?;
    let (port, monitor) = (ports::free_port()?, ports::free_port()?);
    let Some(nats) = start_on_a_small_disk(&place, port, monitor)? else {
        eprintln!("skipped: this machine permits no disk of its own");
        place.finish();
        return Ok(());
    };
    let server = Service {
        process: Arc::new(nats),
        admin_port: monitor,
        api_port: None,
    };
    let probes = [
        probed("quickstart", "livenessProbe")?,
        probed("quickstart", "readinessProbe")?,
    ];
    for path in &probes {
        wait::until("the server to be well", DEADLINE, async || {
            let (status, body) = server.get(path).await?;
            ensure!(status == 200, "{path}: {status} {body}");
            Ok(())
        })
        .await?;
    }
    let client = async_nats::connect(format!("nats://127.0.0.1:{port}")).await?;
    let mut jetstream = jetstream::new(client);
    jetstream.set_timeout(Duration::from_secs(2));
    fill(&jetstream).await?;
    for path in &probes {
        wait::until("the probe to fail", DEADLINE, async || {
            let (status, body) = server.get(path).await?;
            ensure!(
                status == 503 && body.contains("no space left"),
                "{path}: {status} {body}"
            );
            Ok(())
        })
        .await?;
    }
    // The other form stays well, which is why it is not the one that is probed.
    let (status, _) = server.get("/healthz?js-enabled-only=true").await?;
    assert_eq!(status, 200);
    server.process.kill9();
    place.finish();
    Ok(())
}
