//! A canary that fails stops the other nodes of its policy, until an operator has looked.

use std::time::Duration;

use anyhow::Result;
use bellwether_proto::{Cause, Phase};
use k8s_openapi::api::core::v1::Node;
use kube::Api;
use kube::api::{Patch, PatchParams};
use rig::services::ServicesOptions;
use rig::wait;
use serde_json::json;

use crate::fleet::{DEADLINE, Fleet};
use crate::policies;
use crate::windows::{has, status_fits};

/// Long enough for a scheduler to start an attempt that it should not start.
const WHILE: Duration = Duration::from_secs(3);

#[tokio::test(flavor = "multi_thread")]
async fn a_canary_that_fails_stops_the_rest_until_an_operator_cancels() -> Result<()> {
    let options = ServicesOptions::default()
        .set("BELLWETHER_SLOTS", "3")
        .set("BELLWETHER_REBOOT_START_TIMEOUT", "3s")
        .set("BELLWETHER_REBOOT_TIMEOUT", "12s");
    let fleet = Fleet::start(3, options).await?;
    let canary = fleet.world.host(0)?;
    let others = [fleet.world.host(1)?, fleet.world.host(2)?];
    let nodes = Api::<Node>::all(fleet.world.client());
    let labelled = Patch::Merge(json!({ "metadata": { "labels": { "example.com/canary": "yes" } } }));
    nodes.patch(canary.name(), &PatchParams::default(), &labelled).await?;
    let canaries = json!({ "nodeSelector": { "matchLabels": { "example.com/canary": "yes" } }, "soak": "1s" });
    policies::create(&fleet.world, "all", &json!({ "canaries": canaries })).await?;
    status_fits(&fleet, "all", "the policy to be accepted", |status| {
        has(status, "Accepted", "True", "") && has(status, "Stopped", "False", "")
    })
    .await?;
    canary.behave(|it| it.ignore_reboot = true);
    canary.upgrade_kernel("6.12.48")?;
    wait::eventually("the canary's cordon", DEADLINE, async || {
        Ok(fleet.nodes.cordons(canary.name()) == 1)
    })
    .await?;
    for other in &others {
        other.upgrade_kernel("6.12.48")?;
        fleet.explained(other.name(), &["CanaryFirst", canary.name()]).await?;
    }
    let failed = fleet.in_phase(canary.name(), Phase::Failed).await?;
    assert_eq!(failed.ending.map(|ending| ending.cause), Some(Cause::RebootIgnored));
    for other in &others {
        fleet
            .explained(other.name(), &["CanaryFailed", canary.name(), "RebootIgnored"])
            .await?;
    }
    status_fits(&fleet, "all", "the policy to be stopped", |status| {
        has(status, "Stopped", "True", canary.name())
    })
    .await?;

    // A reboot by hand frees the slot of the canary, and does not speak for the update.
    canary.behave(|it| it.ignore_reboot = false);
    canary.reboot_by_hand();
    fleet.explained(canary.name(), &["Idle"]).await?;
    wait::steadily("the other nodes are not touched", WHILE, async || {
        Ok(others.iter().all(|other| fleet.nodes.cordons(other.name()) == 0))
    })
    .await?;
    fleet
        .services
        .ctl_ok(&["cancel", canary.name(), "--reason", "BIOS reset"])
        .await?;
    fleet.rebooted_once(&others).await?;
    status_fits(&fleet, "all", "the policy to continue", |status| {
        has(status, "Stopped", "False", "")
    })
    .await?;
    fleet.finish()
}
