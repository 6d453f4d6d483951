//! The taint of nodes that wait for their reboot.

use std::time::Duration;

use anyhow::{Context as _, Result};
use bellwether_proto::mark::{WAITS_FOR_REBOOT, WAITS_FOR_REBOOT_EFFECT};
use bellwether_proto::{TaintNode, subject};
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt as _;
use serde_json::json;

use super::cordon::names_version;
use crate::case::Case;
use crate::check::{Check, expect};
use crate::observe::{Reply, shown};
use crate::stage::Stage;

const TAINT: &str = "let the node carry exactly one taint with the key `bellwether.dev/waits-for-reboot`, with the effect \
    `PreferNoSchedule` and no value, or none with that key; under the version that was read, and without a change of \
    anything else of the Node.";
const BEFORE: &str = "Before `not_after`, and only if the Node object has the command's UID and no deletion timestamp";

pub(super) fn checks() -> Vec<Check<Stage>> {
    vec![
        Check::must("D-TAINT-01", TAINT, |stage| Box::pin(set_and_removed(stage))),
        Check::must("D-TAINT-02", TAINT, |stage| Box::pin(exactly_one(stage))),
        Check::must("D-TAINT-03", BEFORE, |stage| Box::pin(late(stage))),
        Check::must("D-TAINT-04", BEFORE, |stage| Box::pin(other_uid(stage))),
    ]
}

async fn command(case: &Case<'_>, present: bool, seconds: i64) -> Result<()> {
    let command = TaintNode {
        node: case.node.clone(),
        node_uid: case.attempt.node_uid.clone(),
        present,
        not_after: Timestamp::now().checked_add(SignedDuration::from_secs(seconds))?,
    };
    let command = case.send(subject::taint_command(&case.node.token()), &command).await?;
    case.replied(&command, &Reply::Ack).await.map(drop)
}

/// The node's taints: ours as effects with values, and the keys of all others.
async fn taints(case: &Case<'_>) -> Result<(Vec<String>, Vec<String>)> {
    let node = case.object().await?.context("no node")?;
    let all = node.spec.and_then(|spec| spec.taints).unwrap_or_default();
    let (own, others): (Vec<_>, Vec<_>) = all.into_iter().partition(|taint| taint.key == WAITS_FOR_REBOOT);
    let own = own
        .into_iter()
        .map(|taint| format!("{}{}", taint.effect, taint.value.unwrap_or_default()));
    Ok((own.collect(), others.into_iter().map(|taint| taint.key).collect()))
}

async fn expect_taints(case: &Case<'_>, wanted: &[&str]) -> Result<()> {
    let (own, others) = taints(case).await?;
    expect(own == wanted, &format!("the taints {wanted:?} with our key"), || {
        format!("{own:?}")
    })?;
    expect(
        others.contains(&"example.com/kept".to_owned()),
        "no change of other taints",
        || format!("{others:?}"),
    )
}

async fn set_and_removed(stage: &Stage) -> Result<()> {
    let case = Case::without_record(stage).await?;
    case.change_node(json!({ "metadata": { "annotations": { "example.com/kept": "yes" } } }))
        .await?;
    command(&case, true, 60).await?;
    expect_taints(&case, &[WAITS_FOR_REBOOT_EFFECT]).await?;
    let node = case.object().await?.context("no node")?;
    let kept = node.annotations().contains_key("example.com/kept");
    expect(kept, "no change of annotations", || format!("{:?}", node.annotations()))?;
    let patches = case.patches();
    expect(
        patches.iter().all(|(_, _, it)| names_version(it)),
        "resourceVersion in the patch",
        || shown(&patches),
    )?;
    command(&case, false, 60).await?;
    expect_taints(&case, &[]).await
}

async fn exactly_one(stage: &Stage) -> Result<()> {
    let case = Case::without_record(stage).await?;
    let own = json!({ "key": WAITS_FOR_REBOOT, "value": "x", "effect": "NoSchedule" });
    let kept = json!({ "key": "example.com/kept", "value": "yes", "effect": "NoExecute" });
    case.change_node(json!({ "spec": { "taints": [own, kept] } })).await?;
    command(&case, true, 60).await?;
    expect_taints(&case, &[WAITS_FOR_REBOOT_EFFECT]).await
}

async fn late(stage: &Stage) -> Result<()> {
    let case = Case::without_record(stage).await?;
    command(&case, true, -1).await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    expect(case.patches().is_empty(), "no change of the node", || {
        shown(&case.patches())
    })
}

async fn other_uid(stage: &Stage) -> Result<()> {
    let mut case = Case::without_record(stage).await?;
    case.attempt.node_uid = "44444444-4444-4444-8444-444444444444".parse()?;
    command(&case, true, 60).await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    expect(case.patches().is_empty(), "no change of the node", || {
        shown(&case.patches())
    })
}
