//! When a node is drained.

use std::time::Duration;

use anyhow::{Context as _, Result};
use bellwether_proto::mark::CORDONED_FOR;
use serde_json::json;

use crate::case::Case;
use crate::check::{Check, expect};
use crate::observe::{Reply, between, shown};
use crate::stage::{LASTS, Stage};

const PROOF: &str = "list the pods from the API server (not from a cache): none has to go; read the Node: our cordon is on \
    it; read the record.";
const SETTLE: &str = "**Wait 2 s between the cordon and `drained`.**";

pub(super) fn checks() -> Vec<Check<Stage>> {
    vec![
        Check::must("D-PROOF-01", SETTLE, |stage| Box::pin(settles(stage))),
        Check::must("D-PROOF-02", SETTLE, |stage| Box::pin(late_binding(stage))),
        Check::must("D-PROOF-03", PROOF, |stage| Box::pin(order(stage))),
        Check::must("D-PROOF-04", PROOF, |stage| Box::pin(not_while_terminating(stage))),
        Check::must("D-PROOF-05", PROOF, |stage| Box::pin(moved_on_at_the_end(stage))),
        Check::must("D-PROOF-06", "The 2 s begin again with each cordon", |stage| {
            Box::pin(settles_again(stage))
        }),
    ]
}

async fn settles(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    case.drain().await?;
    let (_, drained, ()) = case.drained().await?;
    let patches = case.patches();
    let (_, _, patch) = patches.first().context("no patch")?;
    let after = drained.duration_since(patch.answered.context("no answer")?);
    expect(
        after >= Duration::from_secs(2),
        "2 s or more between cordon and drained",
        || format!("{after:?}"),
    )
}

async fn late_binding(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    case.drain().await?;
    case.cordoned().await?;
    tokio::time::sleep(Duration::from_millis(800)).await;
    // As a kube-scheduler that chose the node before the cordon.
    case.pod("bound", json!({})).await?;
    case.drained().await?;
    expect(
        !case.has_pod("bound").await?,
        "that the pod is gone before drained",
        || "it is still there".to_owned(),
    )
}

async fn order(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    case.pod("web", json!({})).await?;
    case.drain().await?;
    let (drained, ..) = case.drained().await?;
    let lists = case.pod_lists();
    let list = lists.iter().rev().find(|(index, ..)| *index < drained);
    let (list, ..) = list.context("no list of pods from the store before drained")?;
    let reads = case.node_reads();
    let read = reads.iter().find(|(index, ..)| (*list..drained).contains(index));
    let Some((read, ..)) = read else {
        return expect(false, "a read of the node between the last list and drained", || {
            shown(&reads)
        });
    };
    expect(
        between(&case.record_reads(), *read, drained),
        "a read of the record after that of the node",
        || "none there".to_owned(),
    )
}

async fn not_while_terminating(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    case.pod("web", json!({ "metadata": { "annotations": { LASTS: "" } } }))
        .await?;
    case.drain().await?;
    case.cordoned().await?;
    tokio::time::sleep(Duration::from_secs(5)).await;
    expect(!case.is_drained()?, "no event drained while the pod is there", || {
        "drained".to_owned()
    })?;
    case.end_pod("web").await?;
    case.drained().await.map(drop)
}

async fn moved_on_at_the_end(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    case.pod("web", json!({ "metadata": { "annotations": { LASTS: "" } } }))
        .await?;
    let command = case.drain().await?;
    case.cordoned().await?;
    case.roll_back().await?;
    case.end_pod("web").await.ok();
    case.replied(&command, &Reply::Ack).await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    expect(
        !case.is_drained()?,
        "no event drained once the record has moved on",
        || "drained".to_owned(),
    )
}

async fn settles_again(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    case.drain().await?;
    case.cordoned().await?;
    tokio::time::sleep(Duration::from_millis(1200)).await;
    case.change_node(
        json!({ "metadata": { "annotations": { CORDONED_FOR: null } }, "spec": { "unschedulable": null } }),
    )
    .await?;
    let (_, drained, ()) = case.drained().await?;
    let patches = case.patches();
    expect(patches.len() >= 2, "a second cordon", || shown(&patches))?;
    let (_, _, patch) = patches.last().context("no patch")?;
    let after = drained.duration_since(patch.answered.context("no answer")?);
    expect(
        after >= Duration::from_secs(2),
        "2 s or more between the second cordon and drained",
        || format!("{after:?}"),
    )
}
