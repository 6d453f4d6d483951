//! Parts of the rig that other tests break on purpose: broken as promised, and whole again.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use async_nats::jetstream;
use bellwether_proto::permission::Role;
use bellwether_proto::{NodeName, subject};
use rig::accounts::User;
use rig::host::{Behaviour, Host};
use rig::nats::Nats;
use rig::place::Place;
use rig::record::node_state;
use rig::wait;
use rig::world::{World, WorldOptions};

const DEADLINE: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn nats_keeps_its_state_over_a_crash_and_loses_it_on_demand() -> Result<()> {
    let place = Place::new()?;
    let nats = Nats::start(&place, &["n1"]).await?;
    let stream = jetstream::stream::Config {
        name: "kept".to_owned(),
        ..Default::default()
    };
    jetstream::new(nats.client().await?).create_stream(stream).await?;

    nats.be_away_for(Duration::from_millis(100)).await?;
    assert!(has_stream(&nats).await?, "a crash loses nothing");
    nats.lose_state().await?;
    assert!(!has_stream(&nats).await?, "all is gone");
    place.finish();
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_old_nats_server_is_older_than_the_floor() -> Result<()> {
    let place = Place::new()?;
    let nats = Nats::start_old(&place, &["n1"]).await?;
    assert!(nats.client().await?.server_info().version.starts_with("2.10."));
    place.finish();
    Ok(())
}

/// The rig's own proof: all other stories rely on it.
#[tokio::test(flavor = "multi_thread")]
async fn a_story_fails_in_which_nats_refuses_a_client() -> Result<()> {
    let world = World::start(WorldOptions {
        nodes: 1,
        ..WorldOptions::default()
    })
    .await?;
    let node: NodeName = world.host(0)?.name().parse()?;
    let other: NodeName = "another".parse()?;
    let token = node.token();
    let (role, node) = (Role::Sentinel, token.as_str());
    let sentinel = world.nats.client_of(&User { role, node }).await?;
    let report = subject::sentinel_record(&other.token());
    sentinel.publish(report.clone(), "x".into()).await?;
    sentinel.flush().await?;
    wait::eventually("the refusal in the log", DEADLINE, async || {
        Ok(!world.nats.violations().is_empty())
    })
    .await?;
    let folder = world.place.path().to_path_buf();
    world.place.be_quiet();
    let failure = world.finish().err().context("the story has passed")?.to_string();
    std::fs::remove_dir_all(folder)?;
    ensure!(
        failure.contains("sentinel.node-1_rig") && failure.contains("bellwether.up.node.another.sentinel.store"),
        "{failure}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_isolated_host_is_not_ready_until_it_rejoins_and_has_not_rebooted() -> Result<()> {
    let world = World::start(WorldOptions {
        nodes: 1,
        ..WorldOptions::default()
    })
    .await?;
    let host = world.host(0)?;
    host.isolate()?;
    wait::until("the node to be not ready", DEADLINE, async || {
        let state = node_state(&world.node(host.name()).await?);
        ensure!(!state.ready, "it is {state:?}");
        Ok(())
    })
    .await?;
    host.rejoin()?;
    world.wait_nodes_ready().await?;
    assert_eq!(host.reboots(), 0);
    world.finish()
}

#[test]
fn a_need_is_a_file_with_the_names_of_packages() -> Result<()> {
    let place = Place::new()?;
    let host = Host::new(place.path(), "host", Behaviour::default())?;
    assert!(!host.needs_reboot());
    host.upgrade_kernel("6.12.48")?;
    let packages = std::fs::read_to_string(host.root().join("var/run/reboot-required.pkgs"))?;
    assert_eq!(packages, "linux-image-6.12.48\nlinux-base\n");
    assert_eq!(host.kernel(), "6.12.41", "the new one runs after a reboot only");
    host.withdraw_need()?;
    assert!(!host.needs_reboot());
    place.finish();
    Ok(())
}

async fn has_stream(nats: &Nats) -> Result<bool> {
    let jetstream = jetstream::new(nats.client().await?);
    Ok(jetstream.get_stream("kept").await.is_ok())
}
