//! The rig itself, which all other tests take for granted.

use std::time::Duration;

use anyhow::{Result, ensure};
use rig::record::{NodeRecorder, ReadyPods};
use rig::wait;
use rig::workload::{NAMESPACE, Workload};
use rig::world::{World, WorldOptions};

#[tokio::test(flavor = "multi_thread")]
async fn a_world_has_ready_nodes_running_pods_and_budgets_that_hold() -> Result<()> {
    let world = World::start(WorldOptions::default()).await?;
    let web = Workload::new("web").replicas(3);
    world.create(&web.deployment()?).await?;
    world.create(&web.min_available(3)?).await?;
    let pods = world.wait_ready_pods("web", 3).await?;

    // The budget's controller has to see the pods first; until then it allows none either.
    let pod = pods.first().expect("three pods");
    assert_eq!(world.evict(pod).await?, 429);
    world.finish()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reboot_looks_like_one_from_the_api() -> Result<()> {
    let world = World::start(WorldOptions::default()).await?;
    let web = Workload::new("web").replicas(3).one_per_node();
    world.create(&web.deployment()?).await?;
    let ready = ReadyPods::start(world.client(), NAMESPACE, "web").await?;
    ready.settle(3, Duration::from_secs(30)).await?;
    let nodes = NodeRecorder::start(world.client()).await?;

    let host = world.host(0)?;
    let (name, boot_id) = (host.name().to_owned(), host.boot_id());
    host.upgrade_kernel("6.12.48")?;
    host.behave(|it| it.down_for = Duration::from_secs(6));
    host.reboot_by_hand();
    let deadline = Duration::from_secs(30);
    wait::until_equal("nodes reported down", deadline, vec![name.clone()], async || {
        Ok(nodes.most_disrupted())
    })
    .await?;
    wait::until("the node to be back", deadline, async || {
        let node = world.node(&name).await?;
        let info = node.status.and_then(|status| status.node_info).unwrap_or_default();
        ensure!(info.boot_id != boot_id, "the boot id is the old one");
        ensure!(
            info.kernel_version == "6.12.48",
            "the kernel is {}",
            info.kernel_version
        );
        Ok(())
    })
    .await?;
    world.wait_nodes_ready().await?;
    ready.settle(3, deadline).await?;

    assert_eq!(host.reboots(), 1);
    assert!(!host.needs_reboot(), "the sentinel file lives in memory");
    assert_eq!(nodes.cordons(&name), 0);
    world.finish()
}
