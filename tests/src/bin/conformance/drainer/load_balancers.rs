//! The node's time to leave external load balancers.

use std::time::Duration;

use anyhow::{Context as _, Result};
use bellwether_proto::DrainTerms;
use bellwether_proto::mark::{GUARDED_BY, OUT_OF_LOAD_BALANCERS};
use kube::ResourceExt as _;
use serde_json::json;

use crate::case::Case;
use crate::check::{Check, expect};
use crate::observe::shown;
use crate::stage::Stage;

const LABEL: &str = "If the record has `drain_terms.load_balancer_wait_seconds`, the patch that cordons also sets the label \
    `node.kubernetes.io/exclude-from-external-load-balancers` to `true`, listed and removed like those annotations.";
const WAIT: &str = "Evict nothing, and do not publish `drained`, before so many seconds have passed since the cordon.";
const WAITS: Duration = Duration::from_secs(5);

pub(super) fn checks() -> Vec<Check<Stage>> {
    vec![
        Check::must("D-BALANCER-01", LABEL, |stage| Box::pin(label(stage))),
        Check::must("D-BALANCER-02", LABEL, |stage| Box::pin(label_of_others(stage))),
        Check::must("D-BALANCER-03", WAIT, |stage| Box::pin(wait(stage))),
        Check::must("D-BALANCER-04", WAIT, |stage| Box::pin(wait_of_an_empty_node(stage))),
    ]
}

/// A node whose record demands the wait.
async fn leaving(stage: &Stage) -> Result<Case<'_>> {
    let case = Case::without_record(stage).await?;
    case.store(|record| {
        record.drain_terms = DrainTerms {
            load_balancer_wait: Some(WAITS),
            ..DrainTerms::default()
        };
    })
    .await?;
    Ok(case)
}

/// The label of the node, and whether our list has it.
async fn label_now(case: &Case<'_>) -> Result<(Option<String>, bool)> {
    let node = case.object().await?.context("the node is gone")?;
    let listed = node.annotations().get(GUARDED_BY).cloned().unwrap_or_default();
    let is_listed = listed.split(',').any(|name| name == OUT_OF_LOAD_BALANCERS);
    Ok((node.labels().get(OUT_OF_LOAD_BALANCERS).cloned(), is_listed))
}

async fn label(stage: &Stage) -> Result<()> {
    let case = leaving(stage).await?;
    case.drain().await?;
    case.cordoned().await?;
    let with = label_now(&case).await?;
    expect(
        with == (Some("true".to_owned()), true) && case.patches().len() == 1,
        "the label and its name in the list, by the patch of the cordon",
        || format!("{with:?} by {}", shown(&case.patches())),
    )?;
    case.uncordon().await?;
    case.uncordoned().await?;
    let without = label_now(&case).await?;
    expect(without == (None, false), "neither after the uncordon", || {
        format!("{without:?}")
    })
}

async fn label_of_others(stage: &Stage) -> Result<()> {
    let case = leaving(stage).await?;
    case.change_node(json!({ "metadata": { "labels": { OUT_OF_LOAD_BALANCERS: "mine" } } }))
        .await?;
    case.drain().await?;
    case.cordoned().await?;
    case.uncordon().await?;
    case.uncordoned().await?;
    let after = label_now(&case).await?;
    expect(
        after == (Some("mine".to_owned()), false),
        "the label of another owner as it was",
        || format!("{after:?}"),
    )
}

async fn wait(stage: &Stage) -> Result<()> {
    let case = leaving(stage).await?;
    case.pod("web", json!({})).await?;
    case.drain().await?;
    case.drained().await?;
    let (patches, evictions) = (case.patches(), case.evictions());
    let (_, _, cordon) = patches.first().context("no patch")?;
    let (_, evicted, _) = evictions.first().context("no eviction")?;
    let after = evicted.duration_since(cordon.answered.context("no answer")?);
    expect(after >= WAITS, "no eviction before the wait is over", || {
        format!("one after {after:?}")
    })
}

async fn wait_of_an_empty_node(stage: &Stage) -> Result<()> {
    let case = leaving(stage).await?;
    case.drain().await?;
    let (_, drained, ()) = case.drained().await?;
    let patches = case.patches();
    let (_, _, cordon) = patches.first().context("no patch")?;
    let after = drained.duration_since(cordon.answered.context("no answer")?);
    expect(after >= WAITS, "no end before the wait is over", || {
        format!("drained after {after:?}")
    })
}
