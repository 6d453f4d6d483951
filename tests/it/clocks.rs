//! Clocks of machines that are an hour apart: nothing reboots by mistake, the reason is there to read, and the work goes
//! on once the clock is right.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use bellwether_proto::readiness::ReadinessCode;
use bellwether_proto::{DrainFailure, Fact, NodeEvent, Phase};
use rig::clock::Clock;
use rig::gate::{Cluster, NODES, reports};
use rig::service::Service;
use rig::services::{AGENTS, ServicesOptions};
use rig::wait;

use crate::fleet::{DEADLINE, Fleet};
use crate::gatekeeper::{SENTINEL, connect, refused};

const HOUR: Duration = Duration::from_secs(3600);

/// Starts the service again on a machine whose clock this is.
async fn under(clock: &Clock, service: &Service) -> Result<()> {
    service.process.reconfigure(|program| {
        let settings = clock
            .settings()
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        program.env.extend(settings);
    });
    service.process.restart()?;
    service.wait_ready().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gatekeeper_ahead_refuses_tokens_that_are_over_for_it_and_names_the_clock() -> Result<()> {
    let _turn = rig::world::turn().await?;
    let cluster = Cluster::start().await?;
    let clock = Clock::new(&cluster.place, "gatekeeper")?;
    // Tokens last for an hour.
    clock.ahead(HOUR)?;
    let gate = cluster.gate(&clock.settings()).await?;
    let [n1, _] = NODES;
    let pod = cluster.pod(SENTINEL, "sentinel-1", Some(n1)).await?;
    let token = cluster.projected(SENTINEL, &pod).await?;
    refused(&cluster, &gate, &token, "TokenExpired").await?;
    let message = reports(&gate.gatekeeper, ReadinessCode::ClockWrong).await?;
    ensure!(
        message.contains("is the clock of the NATS pod's node right?"),
        "{message}"
    );

    clock.ahead(Duration::ZERO)?;
    connect(&cluster, &gate.nats, AGENTS, &token).await?;
    cluster.finish();
    Ok(())
}

/// A failed drain before its first eviction, with the two times that tell of a wrong clock.
async fn drain_is_over(fleet: &mut Fleet) -> Result<()> {
    let failed = |event: &NodeEvent| matches!(event.fact, Fact::DrainFailed { .. });
    let event = fleet.event("the end of the drain", failed).await?;
    let Fact::DrainFailed { failure, message, .. } = event.fact else {
        bail!("another event: {event:?}")
    };
    ensure!(failure == DrainFailure::Timeout, "{failure:?}");
    ensure!(message.contains("it ends at "), "{message}");
    ensure!(message.contains("and for the drainer it is "), "{message}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drainer_or_a_host_ahead_disturbs_no_pod_until_its_clock_is_right() -> Result<()> {
    let mut fleet = Fleet::start(1, ServicesOptions::default()).await?;
    let host = fleet.world.host(0)?;
    let clock = Clock::new(&fleet.world.place, "drainer")?;
    clock.ahead(HOUR)?;
    let drainer = fleet.services.drainers.first().context("no drainer")?;
    under(&clock, drainer).await?;
    fleet.upgrade_all()?;
    drain_is_over(&mut fleet).await?;
    ensure!(
        fleet.nodes.cordons(host.name()) == 0,
        "an order that is over cordons nothing"
    );
    clock.ahead(Duration::ZERO)?;
    fleet.rebooted_once(std::slice::from_ref(&host)).await?;

    let clock = Clock::new(&fleet.world.place, "rebooter")?;
    clock.ahead(HOUR)?;
    under(&clock, &fleet.services.agents_of(&host)?.rebooter).await?;
    host.upgrade_kernel("6.12.49")?;
    let reason = ["ClockOff", "ahead of that of NATS"];
    fleet.explained(host.name(), &reason).await?;
    ensure!(
        (fleet.nodes.cordons(host.name()), host.reboots()) == (1, 1),
        "a host that would refuse its reboot is drained"
    );
    clock.ahead(Duration::ZERO)?;
    wait::until("the second reboot", DEADLINE, async || {
        ensure!(host.reboots() == 2, "{} reboots", host.reboots());
        Ok(())
    })
    .await?;
    fleet.in_phase(host.name(), Phase::Done).await?;
    fleet.finish()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scheduler_behind_has_nothing_drained_until_its_clock_is_right() -> Result<()> {
    let options = ServicesOptions {
        schedulers: 1,
        ..ServicesOptions::default()
    };
    let mut fleet = Fleet::start(1, options).await?;
    let host = fleet.world.host(0)?;
    let clock = Clock::new(&fleet.world.place, "scheduler")?;
    clock.behind(HOUR)?;
    let leader = fleet.services.leader(&fleet.world).await?.clone();
    under(&clock, &leader).await?;
    fleet.upgrade_all()?;
    drain_is_over(&mut fleet).await?;
    ensure!(
        fleet.nodes.cordons(host.name()) == 0,
        "an order that is over cordons nothing"
    );
    clock.behind(Duration::ZERO)?;
    fleet.all_rolled(1).await
}
