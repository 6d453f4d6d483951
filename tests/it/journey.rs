//! The whole way, with nothing broken.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rig::record::{ReadyPods, node_state};
use rig::services::ServicesOptions;
use rig::wait;
use rig::workload::{NAMESPACE, Workload};
use rig::world::{World, WorldOptions};

use crate::fleet::{DEADLINE, Fleet};

#[tokio::test(flavor = "multi_thread")]
async fn a_fleet_of_five_rolls_one_at_a_time_and_no_budget_is_broken() -> Result<()> {
    let world = World::start(WorldOptions {
        nodes: 4,
        control_plane_nodes: 1,
        ..WorldOptions::default()
    })
    .await?;
    let web = Workload::new("web").replicas(4);
    world.create(&web.deployment()?).await?;
    world.create(&web.max_unavailable(1)?).await?;
    world.create(&Workload::new("log").daemon_set()?).await?;
    let pods = ReadyPods::start(world.client(), NAMESPACE, "web").await?;
    pods.settle(4, Duration::from_secs(30)).await?;

    let fleet = Fleet::start_in(world, ServicesOptions::default()).await?;
    fleet.upgrade_all_at_once().await?;
    fleet.rebooted_once(&fleet.world.hosts()).await?;

    assert!(pods.fewest() >= 3, "the budget of web was broken: {}", pods.fewest());
    let order = fleet.nodes.cordon_order();
    let last = order.last().context("nodes were cordoned")?;
    assert!(
        last.starts_with("control-plane"),
        "the control plane goes last: {order:?}"
    );
    for host in fleet.world.hosts() {
        assert_eq!(host.reboot_orders(), 1, "{} got one order", host.name());
        assert_eq!(host.kernel(), "6.12.48");
        let attempt = fleet.attempt(host.name()).await?.context("a record")?;
        assert_eq!(attempt.kernel_after.as_deref(), Some("6.12.48"));
        assert_eq!(attempt.boot_after.map(|boot| boot.to_string()), Some(host.boot_id()));
    }
    fleet.all_rolled(1).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_that_a_budget_blocks_says_so_waits_and_continues() -> Result<()> {
    let world = World::start(WorldOptions::default()).await?;
    let node = world.host(0)?.name().to_owned();
    let db = Workload::new("db").on_node(&node);
    world.create(&db.deployment()?).await?;
    world.create(&db.min_available(1)?).await?;
    world.wait_ready_pods("db", 1).await?;
    let fleet = Fleet::start_in(world, ServicesOptions::default().without_drain_checks()).await?;
    fleet.world.host(0)?.upgrade_kernel("6.12.48")?;

    wait::until("the budget to be named", DEADLINE, async || {
        let story = fleet.services.ctl_ok(&["explain", &node]).await?;
        ensure!(story.contains("default/db"), "{story}");
        Ok(())
    })
    .await?;
    assert_eq!(fleet.world.host(0)?.reboots(), 0);
    fleet
        .world
        .pods("db")
        .await?
        .first()
        .context("the pod is still there")?;

    let kubectl = fleet.world.kubectl()?;
    kubectl.run(&["delete", "pdb", "db"], "").await?;
    fleet.rebooted_once(&[fleet.world.host(0)?]).await?;
    let story = fleet.services.ctl_ok(&["explain", &node]).await?;
    assert!(story.contains("1 pod gone"), "it was waited for to its end: {story}");
    fleet.finish()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_cordoned_by_another_actor_stays_cordoned_and_is_not_rebooted() -> Result<()> {
    let fleet = Fleet::start(3, ServicesOptions::default().set("BELLWETHER_SLOTS", "2")).await?;
    let host = fleet.world.host(0)?;
    fleet.world.set_cordon(host.name(), true).await?;
    fleet.upgrade_all()?;
    fleet
        .rebooted_once(&[fleet.world.host(1)?, fleet.world.host(2)?])
        .await?;

    let status = fleet.services.ctl_ok(&["status"]).await?;
    assert!(status.contains("an operator or another program cordoned"), "{status}");
    assert!(node_state(&fleet.world.node(host.name()).await?).cordoned);
    assert_eq!((host.reboots(), host.reboot_orders()), (0, 0));
    // It took one of two slots all the time, so the others went one at a time.
    assert!(fleet.nodes.most_disrupted().len() <= 2);

    fleet.world.set_cordon(host.name(), false).await?;
    fleet.rebooted_once(&[host]).await?;
    fleet.finish()
}
