//! Every part dies in every bad moment: the nodes reboot once each all the same, the budget
//! holds, no node is left cordoned.

use std::time::Duration;

use anyhow::{Result, bail, ensure};
use bellwether_proto::Phase;
use rig::kubelet::TERMINATION;
use rig::services::ServicesOptions;
use rig::wait;
use rig::workload::Workload;
use rig::world::{World, WorldOptions};

use crate::fleet::{DEADLINE, Fleet};
use crate::traces;

/// Longer than a service takes to stop.
const STOP_DEADLINE: Duration = Duration::from_secs(20);

/// Far below the ack wait of a command, which is 15 s.
const HANDED_OVER: Duration = Duration::from_secs(6);

#[tokio::test(flavor = "multi_thread")]
async fn the_scheduler_is_killed_in_each_phase_and_the_standby_continues() -> Result<()> {
    let phases = [
        Phase::Draining,
        Phase::Rebooting,
        Phase::Verifying,
        Phase::Uncordoning,
        Phase::Soaking,
    ];
    let mut fleet = Fleet::start(phases.len(), ServicesOptions::default()).await?;
    fleet.upgrade_all()?;
    for phase in phases {
        fleet.kill_leader_entering(phase).await?;
    }
    fleet.all_rolled(1).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drainer_that_stops_in_mid_drain_hands_its_command_over_at_once() -> Result<()> {
    let world = World::start(WorldOptions::default()).await?;
    world.block_drain(0).await?;
    let options = ServicesOptions {
        drainers: 2,
        ..ServicesOptions::default().without_drain_checks()
    };
    let fleet = Fleet::start_in(world, options).await?;
    fleet.world.host(0)?.upgrade_kernel("6.12.48")?;
    let draining = async || {
        let drainers = fleet.services.drainers.iter().filter(|it| it.process.is_running());
        for drainer in drainers {
            if drainer.metric("bellwether_drainer_drains_under_way").await? > 0.0 {
                return Ok(drainer.clone());
            }
        }
        bail!("no drainer drains")
    };
    let node = fleet.world.host(0)?.name().to_owned();
    wait::eventually("the node's cordon", DEADLINE, async || {
        Ok(fleet.nodes.cordons(&node) == 1)
    })
    .await?;
    let first = wait::until("a drain", DEADLINE, draining).await?;
    first.process.terminate(STOP_DEADLINE).await?;
    // Else the command would come only after the ack wait.
    let second = wait::until("another drainer to continue", HANDED_OVER, draining).await?;
    ensure!(second.process.name() != first.process.name(), "it was stopped");
    ensure!(fleet.nodes.cordons(&node) == 1, "it was cordoned again");
    fleet.finish()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drainer_killed_in_mid_drain_is_replaced_by_another() -> Result<()> {
    let world = World::start(WorldOptions::default()).await?;
    let slow = Workload::new("slow")
        .replicas(6)
        .annotate(TERMINATION, "4s")
        .spec("terminationGracePeriodSeconds", 10.into());
    world.create(&slow.deployment()?).await?;
    world.wait_ready_pods("slow", 6).await?;
    let options = ServicesOptions {
        drainers: 2,
        ..ServicesOptions::default()
    };
    let mut fleet = Fleet::start_in(world, options).await?;
    fleet.world.host(0)?.upgrade_kernel("6.12.48")?;
    fleet.entering(Phase::Draining).await?;
    let node = fleet.world.host(0)?.name().to_owned();
    wait::until("a pod to be ending on the node", DEADLINE, async || {
        let pods = fleet.world.pods("slow").await?;
        let ending = pods.iter().filter(|pod| pod.metadata.deletion_timestamp.is_some());
        let here = ending.filter(|pod| {
            pod.spec
                .as_ref()
                .is_some_and(|it| it.node_name.as_deref() == Some(&node))
        });
        ensure!(here.count() > 0, "none is ending");
        Ok(())
    })
    .await?;
    // Whichever works on it: one dies and comes back, so at any time at least one is there.
    for drainer in &fleet.services.drainers {
        drainer.process.kill9();
    }
    fleet
        .services
        .drainers
        .last()
        .map_or(Ok(()), |drainer| drainer.process.restart())?;
    fleet.rebooted_once(&[fleet.world.host(0)?]).await?;
    ensure!(fleet.nodes.cordons(&node) == 1, "it was cordoned again");
    traces::is_whole(&fleet, &node).await?;
    fleet.finish()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebooter_killed_before_and_after_the_reboot_call_reboots_once() -> Result<()> {
    let mut fleet = Fleet::start(2, ServicesOptions::default()).await?;
    // Before: it hangs when the order comes, and dies so.
    let before = fleet.world.host(0)?;
    let rebooter = fleet.services.agents_of(&before)?.rebooter.process;
    rebooter.pause()?;
    before.upgrade_kernel("6.12.48")?;
    fleet.entering(Phase::Rebooting).await?;
    rebooter.kill9();
    assert_eq!(before.reboot_orders(), 0);
    rebooter.restart()?;
    fleet.rebooted_once(&[before]).await?;
    // After: the host has its order and is slow to obey.
    let after = fleet.world.host(1)?;
    after.behave(|it| it.ignore_reboot = true);
    after.upgrade_kernel("6.12.48")?;
    wait::until_equal("the order to reboot", DEADLINE, 1, async || Ok(after.reboot_orders())).await?;
    let rebooter = fleet.services.agents_of(&after)?.rebooter.process;
    rebooter.kill9();
    after.behave(|it| it.ignore_reboot = false);
    rebooter.restart()?;
    fleet.all_rolled(1).await
}

#[tokio::test(flavor = "multi_thread")]
async fn nats_is_away_for_twenty_seconds_during_a_reboot() -> Result<()> {
    let options = ServicesOptions::default()
        .set("BELLWETHER_REBOOT_TIMEOUT", "90s")
        .set("BELLWETHER_REBOOT_START_TIMEOUT", "60s");
    let mut fleet = Fleet::start(2, options).await?;
    fleet.upgrade_all()?;
    fleet.entering(Phase::Rebooting).await?;
    fleet.world.nats.be_away_for(Duration::from_secs(20)).await?;
    fleet.all_rolled(1).await
}

#[tokio::test(flavor = "multi_thread")]
async fn nats_loses_all_its_state_and_our_cordon_is_found_and_taken_away() -> Result<()> {
    let world = World::start(WorldOptions::default()).await?;
    world.block_drain(0).await?;
    let mut fleet = Fleet::start_in(world, ServicesOptions::default().without_drain_checks()).await?;
    let host = fleet.world.host(0)?;
    host.upgrade_kernel("6.12.48")?;
    fleet.entering(Phase::Draining).await?;
    wait::eventually("our cordon", DEADLINE, async || {
        Ok(fleet.nodes.cordons(host.name()) == 1)
    })
    .await?;
    // The need goes, so that nothing but the way back is left to do.
    host.withdraw_need()?;
    fleet.world.nats.lose_state().await?;
    wait::eventually("the cordon to be gone", DEADLINE, async || {
        let node = fleet.world.node(host.name()).await?;
        let annotations = node.metadata.annotations.unwrap_or_default();
        let cordoned = node.spec.is_some_and(|spec| spec.unschedulable == Some(true));
        Ok(!cordoned && !annotations.contains_key(bellwether_proto::mark::CORDONED_FOR))
    })
    .await?;
    assert_eq!(host.reboot_orders(), 0);
    fleet.finish()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_gets_sigterm_ends_well_and_another_leads() -> Result<()> {
    let fleet = Fleet::start(1, ServicesOptions::default()).await?;
    let leader = fleet.services.leader(&fleet.world).await?.clone();
    ensure!(
        leader.process.terminate(Duration::from_secs(15)).await?.success(),
        "{}",
        leader.process.output()
    );
    let next = fleet.services.leader(&fleet.world).await?.clone();
    ensure!(next.process.name() != leader.process.name(), "the stopped one leads");
    let host = fleet.world.host(0)?;
    let agents = fleet.services.agents_of(&host)?;
    let drainer = fleet.services.drainers.iter();
    let rest = drainer.chain([&agents.sentinel, &agents.rebooter, &next]);
    for service in rest {
        let status = service.process.terminate(Duration::from_secs(15)).await?;
        ensure!(status.success(), "{} ended with {status}", service.process.name());
    }
    fleet.finish()
}
