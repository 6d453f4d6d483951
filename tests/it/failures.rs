//! Attempts that fail: reported and bounded, and the other nodes continue.

use std::time::Duration;

use anyhow::{Result, ensure};
use bellwether_proto::{Cause, Fact, NodeEvent, Phase};
use rig::record::node_state;
use rig::services::ServicesOptions;
use rig::wait;
use rig::world::{World, WorldOptions};

use crate::fleet::{DEADLINE, Fleet};

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_ignores_its_reboot_fails_uncordoned_keeps_its_slot_and_the_rest_continues() -> Result<()> {
    let options = ServicesOptions::default()
        .set("BELLWETHER_SLOTS", "2")
        .set("BELLWETHER_REBOOT_START_TIMEOUT", "3s")
        .set("BELLWETHER_REBOOT_TIMEOUT", "12s");
    let fleet = Fleet::start(3, options).await?;
    let deaf = fleet.world.host(0)?;
    deaf.behave(|it| it.ignore_reboot = true);
    fleet.upgrade_all()?;
    fleet
        .rebooted_once(&[fleet.world.host(1)?, fleet.world.host(2)?])
        .await?;
    let failed = fleet.in_phase(deaf.name(), Phase::Failed).await?;
    assert_eq!(failed.ending.map(|ending| ending.cause), Some(Cause::RebootIgnored));
    assert!(failed.slot_held);
    assert!(!node_state(&fleet.world.node(deaf.name()).await?).cordoned, "Way back");
    let status = fleet.services.ctl_ok(&["status"]).await?;
    assert!(status.contains("still runs the same boot"), "{status}");
    assert!(fleet.nodes.most_disrupted().len() <= 2);

    // A person looks, reboots it by hand, and the slot is free again.
    deaf.behave(|it| it.ignore_reboot = false);
    deaf.reboot_by_hand();
    wait::until("the slot to be free", DEADLINE, async || {
        let status = fleet.services.ctl_ok(&["status"]).await?;
        ensure!(status.contains("0/2"), "{status}");
        Ok(())
    })
    .await?;
    fleet.finish()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_comes_back_late_is_uncordoned_and_done() -> Result<()> {
    let options = ServicesOptions::default()
        .set("BELLWETHER_REBOOT_START_TIMEOUT", "10s")
        .set("BELLWETHER_REBOOT_TIMEOUT", "15s");
    let fleet = Fleet::start(2, options).await?;
    let host = fleet.world.host(0)?;
    host.behave(|it| it.never_come_back = true);
    host.upgrade_kernel("6.12.48")?;
    let failed = fleet.in_phase(host.name(), Phase::Failed).await?;
    assert_eq!(failed.ending.map(|ending| ending.cause), Some(Cause::NodeNotBack));
    assert!(
        node_state(&fleet.world.node(host.name()).await?).cordoned,
        "nothing is scheduled to a dead node"
    );
    fleet.world.host(1)?.upgrade_kernel("6.12.48")?;
    wait::until("the other to wait for the slot", DEADLINE, async || {
        let status = fleet.services.ctl_ok(&["status"]).await?;
        ensure!(status.contains("1 slot is taken by"), "{status}");
        Ok(())
    })
    .await?;
    host.behave(|it| it.never_come_back = false);
    fleet.all_rolled(1).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_deleted_in_mid_attempt_frees_its_slot_and_its_namesake_is_left_alone() -> Result<()> {
    let world = World::start(WorldOptions {
        nodes: 2,
        ..WorldOptions::default()
    })
    .await?;
    world.block_drain(0).await?;
    let mut fleet = Fleet::start_in(world, ServicesOptions::default().without_drain_checks()).await?;
    let (gone, next) = (fleet.world.host(0)?, fleet.world.host(1)?);
    gone.upgrade_kernel("6.12.48")?;
    fleet.entering(Phase::Draining).await?;
    wait::eventually("our cordon", DEADLINE, async || {
        Ok(fleet.nodes.cordons(gone.name()) == 1)
    })
    .await?;
    next.upgrade_kernel("6.12.48")?;
    gone.withdraw_need()?;
    fleet.world.recreate_node(&gone).await?;
    fleet.rebooted_once(&[next]).await?;
    let node = fleet.world.node(gone.name()).await?;
    assert!(!node_state(&node).cordoned, "the newcomer was touched");
    assert_eq!(gone.reboot_orders(), 0);
    // The record goes with the Node once the stream has its last event: the chain of the newcomer begins again, or continues if
    // its attempt came first.
    gone.upgrade_kernel("6.12.50")?;
    let again = |event: &NodeEvent| {
        let begins = matches!(
            event.fact,
            Fact::PhaseChanged {
                to: Phase::Draining,
                ..
            }
        );
        begins && event.node.as_str() == gone.name()
    };
    fleet.event("an attempt of the newcomer", again).await?;
    let history = fleet.services.ctl_ok(&["history", gone.name()]).await?;
    ensure!(
        history.contains("Cancelled") && history.contains("NodeGone"),
        "{history}"
    );
    fleet.services.ctl_ok(&["history", gone.name(), "--verify"]).await?;
    fleet.finish()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_pauses_reads_why_resumes_and_cancels() -> Result<()> {
    let world = World::start(WorldOptions::default()).await?;
    world.block_drain(0).await?;
    let options = ServicesOptions::default()
        .without_drain_checks()
        .set("BELLWETHER_RETRY_DELAY", "1h");
    let fleet = Fleet::start_in(world, options).await?;
    let name = fleet.world.host(0)?.name().to_owned();

    fleet.services.leader(&fleet.world).await?;
    fleet.services.ctl_ok(&["pause", "--reason", "release night"]).await?;
    fleet.world.host(0)?.upgrade_kernel("6.12.48")?;
    wait::until("the pause to be reported", DEADLINE, async || {
        let status = fleet.services.ctl_ok(&["status"]).await?;
        ensure!(
            status.contains("release night") && status.contains("Waiting"),
            "{status}"
        );
        Ok(())
    })
    .await?;
    // A pause outlives the scheduler that took the order.
    let leader = fleet.services.leader(&fleet.world).await?.clone();
    leader.process.kill9();
    fleet.services.leader(&fleet.world).await?;
    let still = || {
        wait::steadily("paused", Duration::from_secs(2), async || {
            Ok(fleet.nodes.cordons(&name) == 0)
        })
    };
    still().await?;
    leader.process.restart()?;

    fleet.services.ctl_ok(&["resume"]).await?;
    fleet.in_phase(&name, Phase::Draining).await?;
    wait::eventually("our cordon", DEADLINE, async || Ok(fleet.nodes.cordons(&name) == 1)).await?;
    fleet.services.ctl_ok(&["cancel", &name, "--reason", "not now"]).await?;
    let cancelled = fleet.in_phase(&name, Phase::Cancelled).await?;
    let message = cancelled.ending.map(|ending| ending.message).unwrap_or_default();
    assert!(message.contains("not now"), "{message}");
    assert!(!node_state(&fleet.world.node(&name).await?).cordoned);
    let story = fleet.services.ctl_ok(&["explain", &name]).await?;
    assert!(story.contains("CoolingDown") && story.contains("not now"), "{story}");
    assert_eq!(fleet.world.host(0)?.reboot_orders(), 0);
    fleet.finish()
}
