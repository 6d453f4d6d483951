//! Reports of the agents that nothing but a new connection makes due: their refresh is ten minutes away.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use jiff::Timestamp;
use rig::bus::Bus;
use rig::host::Host;
use rig::services::ServicesOptions;
use rig::wait;

use crate::fleet::{DEADLINE, Fleet};

async fn fleet(nodes: usize) -> Result<Fleet> {
    Fleet::start(
        nodes,
        ServicesOptions::default().set("BELLWETHER_REFRESH_INTERVAL", "10m"),
    )
    .await
}

/// Waits for reports of both agents that were made after this instant and are of the boot that runs.
async fn reported(fleet: &Fleet, host: &Host, since: Timestamp) -> Result<()> {
    // A client of its own: the story ends connections.
    let reports = Bus::connect(&fleet.world.nats).await?;
    wait::until("reports of both agents", DEADLINE, async || {
        let sentinel = reports
            .host_report(host.name())
            .await?
            .context("none of the sentinel")?;
        let rebooter = reports
            .rebooter_report(host.name())
            .await?
            .context("none of the rebooter")?;
        for (boot, at) in [
            (sentinel.boot_id, sentinel.reported_at),
            (rebooter.boot_id, rebooter.reported_at),
        ] {
            ensure!(boot.as_str() == host.boot_id(), "{boot} is another boot");
            ensure!(at >= since, "made before, at {at}");
        }
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nats_that_has_lost_its_state_gets_every_report_at_once() -> Result<()> {
    let fleet = fleet(2).await?;
    let begun = Timestamp::now();
    fleet.world.nats.lose_state().await?;
    for host in fleet.world.hosts() {
        reported(&fleet, &host, begun).await?;
        fleet.explained(host.name(), &["Idle"]).await?;
    }
    fleet.upgrade_all()?;
    fleet.all_rolled(1).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_boot_without_nats_is_reported_when_nats_comes_and_each_new_connection_brings_a_report() -> Result<()> {
    let fleet = fleet(1).await?;
    let host = fleet.world.host(0)?;
    let boot = host.boot_id();
    fleet.world.nats.kill9();
    host.reboot_by_hand();
    wait::eventually("the next boot", DEADLINE, async || Ok(host.boot_id() != boot)).await?;
    let agents = fleet.services.agents_of(&host)?;
    for service in [&agents.sentinel, &agents.rebooter] {
        wait::until("an agent that waits for NATS", DEADLINE, async || {
            let (status, body) = service.get("/readyz").await?;
            ensure!(status == 503 && body.contains("NatsUnreachable"), "{status} {body}");
            Ok(())
        })
        .await?;
    }
    // By now the client's own tries would be seconds apart.
    wait::steadily("no agent ends", Duration::from_secs(12), async || {
        Ok(agents.sentinel.process.is_running() && agents.rebooter.process.is_running())
    })
    .await?;
    let begun = Timestamp::now();
    fleet.world.nats.restart().await?;
    reported(&fleet, &host, begun).await?;
    // Nothing is lost this time, and nothing changes.
    let begun = Timestamp::now();
    fleet.world.nats.be_away_for(Duration::from_millis(100)).await?;
    reported(&fleet, &host, begun).await?;
    fleet.finish()
}
