//! The end of a drain's time, by the policy of the node: on real budgets, with the rights of the deploy folder.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use bellwether_proto::mark::{AUTOSCALER_GUARDS, OUT_OF_LOAD_BALANCERS};
use bellwether_proto::{Cause, Fact, Phase};
use k8s_openapi::api::core::v1::Node;
use kube::{Api, ResourceExt as _};
use rig::services::ServicesOptions;
use rig::wait;
use rig::world::{World, WorldOptions};
use serde_json::json;

use crate::fleet::{DEADLINE, Fleet};
use crate::policies;

/// Long enough for the cordon and the first try of the budget, on a busy machine.
const DRAIN_TIMEOUT: &str = "20s";
/// A held node stays as it is for longer than a rollback takes.
const WHILE: Duration = Duration::from_secs(8);

/// A fleet in which one node needs a reboot whose budget lets no pod go, under a policy with this end of a drain.
async fn blocked(on_timeout: &str, may_delete: bool) -> Result<Fleet> {
    let world = World::start(WorldOptions::default()).await?;
    world.block_drain(0).await?;
    let spec = json!({ "drain": { "onTimeout": on_timeout, "loadBalancerWait": "1s" } });
    policies::create(&world, "patch-by-friday", &spec).await?;
    if may_delete {
        let rights = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/components/force-drain/rights.yaml");
        let rights = rights.to_str().context("a path in UTF-8")?;
        world.kubectl()?.run(&["apply", "-f", rights], "").await?;
    }
    // A right counts as missing after a minute.
    let is_refused = on_timeout == "Force" && !may_delete;
    let timeout = if is_refused { "100s" } else { DRAIN_TIMEOUT };
    let options = ServicesOptions::default()
        .without_drain_checks()
        .set("BELLWETHER_DRAIN_TIMEOUT", timeout);
    let fleet = Fleet::start_in(world, options).await?;
    fleet.world.host(0)?.upgrade_kernel("6.12.48")?;
    Ok(fleet)
}

#[tokio::test(flavor = "multi_thread")]
async fn force_deletes_what_its_budget_keeps_and_names_the_pod() -> Result<()> {
    let mut fleet = blocked("Force", true).await?;
    let message = fleet.drained().await?;
    ensure!(
        message.contains("deleted") && message.contains("default/stuck-"),
        "{message}"
    );
    let drainer = fleet.services.drainers.first().context("a drainer")?;
    ensure!(drainer.metric("bellwether_drainer_forced_deletions_total").await? >= 1.0);
    fleet.rebooted_once(&[fleet.world.host(0)?]).await?;
    fleet.finish()
}

#[tokio::test(flavor = "multi_thread")]
async fn force_without_the_right_to_delete_pods_touches_nothing_and_names_the_remedy() -> Result<()> {
    let mut fleet = blocked("Force", false).await?;
    let is_failed = |fact: &Fact| matches!(fact, Fact::DrainFailed { .. });
    let event = fleet
        .event("the end of the drain", |event| is_failed(&event.fact))
        .await?;
    let Fact::DrainFailed { message, .. } = event.fact else {
        anyhow::bail!("another event")
    };
    ensure!(message.contains("deploy/components/force-drain"), "{message}");
    fleet.world.wait_ready_pods("stuck", 1).await?;
    fleet.finish()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_node_stays_cordoned_until_an_operator_cancels() -> Result<()> {
    let mut fleet = blocked("Hold", false).await?;
    let host = fleet.world.host(0)?;
    let held = fleet.in_phase(host.name(), Phase::Failed).await?;
    ensure!(held.slot_held && held.ending.is_some_and(|ending| ending.cause == Cause::DrainFailed));
    let nodes: Api<Node> = Api::all(fleet.world.client());
    let is_cordoned = async || -> Result<bool> {
        let node = nodes.get(host.name()).await?;
        Ok(node.spec.and_then(|spec| spec.unschedulable) == Some(true))
    };
    wait::steadily("the cordon of a held node", WHILE, &is_cordoned).await?;
    let guards = async || -> Result<usize> {
        let node = nodes.get(host.name()).await?;
        let annotations = AUTOSCALER_GUARDS
            .iter()
            .filter(|guard| node.annotations().contains_key(**guard));
        let labels = [OUT_OF_LOAD_BALANCERS].into_iter();
        let labels = labels.filter(|guard| node.labels().contains_key(*guard));
        Ok(annotations.count() + labels.count())
    };
    ensure!(
        guards().await? == AUTOSCALER_GUARDS.len() + 1,
        "autoscalers or load balancers use the node"
    );
    fleet
        .explained(host.name(), &["held by the policy", "default/stuck"])
        .await?;
    fleet
        .services
        .ctl_ok(&["cancel", host.name(), "--reason", "the budget is corrected"])
        .await?;
    // The slot is kept for half a minute more, and the next attempt follows at once.
    wait::until("the end of the cordon", DEADLINE, async || {
        ensure!(!is_cordoned().await? && guards().await? == 0);
        Ok(())
    })
    .await?;
    fleet.entering(Phase::Cancelled).await?;
    fleet.finish()
}

#[tokio::test(flavor = "multi_thread")]
async fn proceed_reboots_with_the_pods_that_are_left_and_names_them() -> Result<()> {
    let fleet = blocked("Proceed", false).await?;
    let host = fleet.world.host(0)?;
    fleet.rebooted_once(&[fleet.world.host(0)?]).await?;
    let record = wait::until("the end of the attempt", DEADLINE, async || {
        let record = fleet.attempt(host.name()).await?.context("a record")?;
        ensure!(record.phase == Phase::Done, "{:?}", record.phase);
        Ok(record)
    })
    .await?;
    ensure!(record.left_behind.contains("default/stuck"), "{}", record.left_behind);
    fleet
        .explained(host.name(), &["Pods left behind", "default/stuck"])
        .await?;
    fleet.finish()
}
