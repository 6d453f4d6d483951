//! Policies at work: a blackout keeps the nodes and says why, in `kubectl reboots` and in the status of the policy; a
//! mistake stops the nodes of its policy; once the policy lets them, they reboot.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use bellwether_policy::RebootPolicyStatus;
use kube::api::{DeleteParams, Patch, PatchParams};
use rig::services::ServicesOptions;
use rig::wait;
use serde::Deserialize as _;
use serde_json::{Value, json};

use crate::fleet::{DEADLINE, Fleet};
use crate::policies;

/// Long enough for a scheduler to start an attempt that it should not start.
const WHILE: Duration = Duration::from_secs(3);

/// Changes the fields of a policy's spec.
pub(crate) async fn change(fleet: &Fleet, name: &str, spec: Value) -> Result<()> {
    let patch = Patch::Merge(json!({ "spec": spec }));
    let api = policies::api(fleet.world.client());
    let patched = api.patch(name, &PatchParams::default(), &patch).await;
    patched
        .map(drop)
        .with_context(|| format!("cannot change the policy {name}"))
}

/// Waits until the status of a policy fits.
pub(crate) async fn status_fits(
    fleet: &Fleet,
    name: &str,
    awaited: &str,
    fits: impl Fn(&RebootPolicyStatus) -> bool,
) -> Result<()> {
    let api = policies::api(fleet.world.client());
    wait::until(awaited, DEADLINE, async || {
        let object = api.get(name).await?;
        let status = object.data.get("status").context("no status yet")?;
        let status = RebootPolicyStatus::deserialize(status)?;
        ensure!(fits(&status), "{status:?}");
        Ok(())
    })
    .await
}

pub(crate) fn has(status: &RebootPolicyStatus, type_: &str, value: &str, word: &str) -> bool {
    let mut conditions = status.conditions.iter();
    conditions
        .any(|condition| condition.type_ == type_ && condition.status == value && condition.message.contains(word))
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_wait_for_their_policy_which_says_why_and_reboot_once_it_lets_them() -> Result<()> {
    let fleet = Fleet::start(2, ServicesOptions::default()).await?;
    let node = fleet.world.hosts()[0].name().to_owned();
    let freeze = json!({ "from": "2020-01-01", "to": "2199-12-31", "reason": "year-end freeze" });
    policies::create(&fleet.world, "all", &json!({ "blackouts": [freeze] })).await?;
    // The scheduler knows the policy before the first node needs a reboot.
    status_fits(&fleet, "all", "the policy to be accepted and shut", |status| {
        let shut = status.window.as_ref().is_some_and(|window| !window.open);
        has(status, "Accepted", "True", "") && has(status, "Conflict", "False", "") && shut
    })
    .await?;
    fleet.upgrade_all()?;
    fleet
        .explained(&node, &["WindowShut", "policy all", "year-end freeze"])
        .await?;
    status_fits(&fleet, "all", "two nodes to wait", |status| {
        let blackout = status.window.as_ref().and_then(|window| window.blackout.as_deref());
        let waiting = status
            .nodes
            .is_some_and(|nodes| (nodes.governed, nodes.waiting) == (2, 2));
        waiting && blackout == Some("year-end freeze")
    })
    .await?;
    // A second policy of the same priority.
    policies::create(&fleet.world, "more", &json!({})).await?;
    fleet.explained(&node, &["PolicyConflict", "all and more"]).await?;
    for (policy, other) in [("all", "more"), ("more", "all")] {
        status_fits(&fleet, policy, "the conflict to be shown", |status| {
            has(status, "Conflict", "True", &format!("policy {other}"))
        })
        .await?;
    }
    let api = policies::api(fleet.world.client());
    api.delete("more", &DeleteParams::default()).await?;
    fleet.explained(&node, &["WindowShut"]).await?;
    // A mistake that the API server cannot see, without the blackout.
    let wrong = json!({ "days": ["Sit"], "start": "22:00", "end": "04:00" });
    change(&fleet, "all", json!({ "blackouts": null, "windows": [wrong] })).await?;
    fleet
        .explained(&node, &["PolicyRefused", "spec.windows[0].days", "Mon-Fri"])
        .await?;
    status_fits(&fleet, "all", "the policy not to be accepted", |status| {
        has(status, "Accepted", "False", "spec.windows[0].days")
    })
    .await?;
    wait::steadily("no node is touched", WHILE, async || {
        Ok(fleet.nodes.cordon_order().is_empty())
    })
    .await?;
    change(&fleet, "all", json!({ "windows": null })).await?;
    fleet.all_rolled(1).await
}
