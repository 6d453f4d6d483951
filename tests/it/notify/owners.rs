//! Who answers for the pods that block a drain: from the annotation of their namespace to the target of that team.

use anyhow::{Context as _, Result, ensure};
use bellwether_proto::{DrainProgress, Fact, OWNER};
use rig::hook::Hook;
use rig::services::ServicesOptions;
use rig::workload::NAMESPACE;
use rig::world::{World, WorldOptions};
use serde_json::json;

use super::{asked, notifier};
use crate::fleet::{DEADLINE, Fleet};

/// Long enough for two owners, each of whom has blocked for a second, on a busy machine.
const DRAIN_TIMEOUT: &str = "40s";

/// The namespace of the pods gets this owner.
async fn owned_by(fleet: &Fleet, owner: &str) -> Result<()> {
    let annotation = format!("{OWNER}={owner}");
    let kubectl = fleet.world.kubectl()?;
    let annotate = ["annotate", "--overwrite", "namespace", NAMESPACE, &annotation];
    kubectl.run(&annotate, "").await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_owner_of_the_namespace_whose_pod_blocks_a_drain_has_the_messages_about_it() -> Result<()> {
    let world = World::start(WorldOptions::default()).await?;
    world.block_drain(0).await?;
    let options = ServicesOptions::default()
        .without_drain_checks()
        .set("BELLWETHER_DRAIN_TIMEOUT", DRAIN_TIMEOUT);
    let mut fleet = Fleet::start_in(world, options).await?;
    let (shop, cart, all) = (Hook::start()?, Hook::start()?, Hook::start()?);
    let config = json!({
        "blockedAfter": "1s",
        "targets": [
            { "name": "shop", "perMinute": 600, "webhook": { "url": shop.url("/shop") } },
            { "name": "cart", "perMinute": 600, "webhook": { "url": cart.url("/cart") } },
            { "name": "all", "perMinute": 600, "webhook": { "url": all.url("/all") } },
        ],
        "routes": [
            { "targets": ["shop"], "owners": ["team-shop"] },
            { "targets": ["cart"], "owners": ["team-cart"] },
            { "targets": ["all"] },
        ],
    });
    let notifier = notifier(&fleet.world.place, &fleet.world.nats, &config)?;
    notifier.wait_ready().await?;
    owned_by(&fleet, "team-shop").await?;
    let host = fleet.world.host(0)?;
    let node = host.name();
    host.upgrade_kernel("6.12.48")?;
    let blocked = asked(&shop, 1, node, "DrainBlocked").await?;
    let blocked = blocked.first().context("a request")?;
    assert_eq!(blocked.field("owners"), "team-shop");
    ensure!(
        blocked.field("summary").contains("default/stuck of team-shop"),
        "{blocked:?}"
    );
    ensure!(cart.requests().is_empty(), "{:?}", cart.requests());

    // The namespace changes hands while the drain is blocked: the drainer reports the new owner, and the drain fails under that one.
    owned_by(&fleet, "team-cart").await?;
    let is_of_cart = |progress: &DrainProgress| {
        let mut blockers = progress.blockers.iter();
        blockers.any(|blocker| blocker.namespace_owners == ["team-cart"])
    };
    fleet
        .event(
            "progress with the new owner",
            |event| matches!(&event.fact, Fact::DrainProgressed(progress) if is_of_cart(progress)),
        )
        .await?;
    asked(&cart, 1, node, "DrainBlocked").await?;
    for kind in ["DrainFailed", "RolledBack", "AttemptFailed"] {
        asked(&cart, 1, node, kind).await?;
        asked(&all, 1, node, kind).await?;
    }
    asked(&all, 1, node, "DrainBlocked").await?;
    let kinds: Vec<String> = shop.requests().iter().map(|it| it.field("kind")).collect();
    assert_eq!(kinds, ["DrainBlocked"], "the first owner has no part in the end");
    notifier.process.terminate(DEADLINE).await?;
    fleet.finish()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_hears_of_a_node_that_its_pods_keep_from_being_drained_at_all() -> Result<()> {
    let world = World::start(WorldOptions::default()).await?;
    world.block_drain(0).await?;
    let fleet = Fleet::start_in(world, ServicesOptions::default()).await?;
    let (shop, all) = (Hook::start()?, Hook::start()?);
    let config = json!({
        "blockedAfter": "1s",
        "targets": [
            { "name": "shop", "perMinute": 600, "webhook": { "url": shop.url("/shop") } },
            { "name": "all", "perMinute": 600, "webhook": { "url": all.url("/all") } },
        ],
        "routes": [{ "targets": ["shop"], "owners": ["team-shop"] }, { "targets": ["all"] }],
    });
    let notifier = notifier(&fleet.world.place, &fleet.world.nats, &config)?;
    notifier.wait_ready().await?;
    owned_by(&fleet, "team-shop").await?;
    let host = fleet.world.host(0)?;
    host.upgrade_kernel("6.12.48")?;
    let undrainable = asked(&shop, 1, "", "NodesUndrainable").await?;
    let undrainable = undrainable.first().context("a request")?;
    assert_eq!(undrainable.field("owners"), "team-shop");
    let detail = undrainable.field("detail");
    ensure!(detail.starts_with(&format!("{}: ", host.name())), "{detail}");
    ensure!(detail.contains("PodDisruptionBudget default/stuck"), "{detail}");
    asked(&all, 1, "", "NodesUndrainable").await?;
    ensure!(
        shop.requests().len() == 1,
        "nothing else is its matter: {:?}",
        shop.requests()
    );
    notifier.process.terminate(DEADLINE).await?;
    fleet.finish()
}
