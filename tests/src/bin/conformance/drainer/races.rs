//! What overtakes what: other programs and the scheduler act between two steps of the drainer.

use std::time::Duration;

use anyhow::{Context as _, Result};
use bellwether_proto::{DrainFailure, Fact};
use rig::wait;
use serde_json::json;
use tokio::sync::watch;

use crate::case::{Case, SOON, create_node};
use crate::check::{Check, expect};
use crate::observe::{Reply, shown};
use crate::stage::{LASTS, Stage};
use rig::front::Fault;

const NAMESAKE: &str = "it exists, has the command's UID, and has no deletion timestamp";
const VERSION: &str = "then patch under the Node's version that was read";
const RECORD: &str = "At `not_after` publish `drain-failed` with `TIMEOUT`; also if the record was deleted, or could not be \
    read, until then.";
const RESTS: &str = "while it does not verify, cannot be decoded, is missing or of a lower generation, evictions rest";

pub(super) fn checks() -> Vec<Check<Stage>> {
    vec![
        Check::must("D-RACE-01", NAMESAKE, |stage| Box::pin(namesake(stage))),
        Check::must("D-RACE-02", VERSION, |stage| Box::pin(changed_in_between(stage))),
        Check::must("D-RACE-03", VERSION, |stage| Box::pin(uncordon_overtakes(stage))),
        Check::must("D-RACE-04", RECORD, |stage| Box::pin(record_deleted(stage))),
        Check::must("D-RACE-05", RESTS, |stage| Box::pin(record_garbled(stage))),
    ]
}

async fn namesake(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    case.pod("web", json!({ "metadata": { "annotations": { LASTS: "" } } }))
        .await?;
    let command = case.drain().await?;
    case.cordoned().await?;
    case.nodes().delete(case.node.as_str(), &Default::default()).await?;
    let before = stage.ledger.len();
    create_node(stage, case.node.as_str(), json!({})).await?;
    let gone = |fact: &Fact| {
        matches!(
            fact,
            Fact::DrainFailed {
                failure: DrainFailure::NodeGone,
                ..
            }
        )
        .then_some(())
    };
    case.event("the event drain-failed NODE_GONE", SOON, gone).await?;
    case.replied(&command, &Reply::Ack).await?;
    let mut late = case.patches();
    late.retain(|(index, ..)| *index >= before);
    expect(late.is_empty(), "no change of the new node", || shown(&late))
}

/// Another program changes the node while the drainer's patch is on its way.
async fn changed_in_between(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    let (release, released) = watch::channel(false);
    let path = case.node_path();
    let _held = stage
        .front
        .inject(move |it| it.is("PATCH", &path).then(|| Fault::Hold(released.clone())));
    let command = case.drain().await?;
    case.count("the patch", 1, SOON, || case.patches()).await?;
    // An operator cordons, and has the node for themselves.
    case.change_node(json!({ "spec": { "unschedulable": true } })).await?;
    release.send_replace(true);
    let foreign = |fact: &Fact| {
        matches!(
            fact,
            Fact::DrainFailed {
                failure: DrainFailure::ForeignCordon,
                ..
            }
        )
        .then_some(())
    };
    case.event("the event drain-failed FOREIGN_CORDON", SOON, foreign)
        .await?;
    case.replied(&command, &Reply::Ack).await?;
    let (unschedulable, mark) = case.cordon_now().await?;
    expect(
        unschedulable && mark.is_none(),
        "the operator's cordon without a mark",
        || format!("unschedulable {unschedulable}, mark {mark:?}"),
    )
}

/// The scheduler takes the drain back while the cordon is on its way; the uncordon finds nothing to remove.
async fn uncordon_overtakes(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    let (release, released) = watch::channel(false);
    let path = case.node_path();
    let held = stage
        .front
        .inject(move |it| it.is("PATCH", &path).then(|| Fault::Hold(released.clone())));
    case.drain().await?;
    case.count("the patch", 1, SOON, || case.patches()).await?;
    case.uncordon().await?;
    let uncordoned = |fact: &Fact| matches!(fact, Fact::Uncordoned { .. }).then_some(());
    case.event("the event uncordoned", SOON, uncordoned).await?;
    drop(held);
    release.send_replace(true);
    // The late cordon may take effect; no second one follows, and another uncordon removes it.
    tokio::time::sleep(Duration::from_secs(2)).await;
    expect(case.patches().len() == 1, "no further cordon", || {
        shown(&case.patches())
    })?;
    case.store(|record| {
        record.generation.0 += 2;
        record.phase = bellwether_proto::Phase::RollingBack;
    })
    .await?;
    let mut attempt = case.attempt.clone();
    attempt.generation.0 += 2;
    let subject = bellwether_proto::subject::uncordon_command(&case.node.token());
    let command = case.send(subject, &bellwether_proto::UncordonNode { attempt }).await?;
    case.replied(&command, &Reply::Ack).await?;
    let (unschedulable, mark) = case.cordon_now().await?;
    expect(!unschedulable && mark.is_none(), "neither cordon nor mark", || {
        format!("unschedulable {unschedulable}, mark {mark:?}")
    })
}

async fn record_deleted(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    case.pod("web", json!({})).await?;
    case.budget("tight", "web", 0).await?;
    let command = case.drain_within(Duration::from_secs(12)).await?;
    case.cordoned().await?;
    case.delete_record().await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let before = stage.ledger.len();
    case.allow_budget("tight", 1).await?;
    case.timed_out().await?;
    case.replied(&command, &Reply::Ack).await?;
    let mut late = case.evictions();
    late.retain(|(index, ..)| *index >= before);
    expect(late.is_empty(), "no eviction without a record", || shown(&late))
}

async fn record_garbled(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    case.pod("web", json!({})).await?;
    case.budget("tight", "web", 0).await?;
    case.drain().await?;
    case.cordoned().await?;
    let (headers, _) = crate::case::packed(&case.draining()?);
    case.publish(case.record_subject(), headers, b"\xff\xff\xff".to_vec())
        .await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let before = stage.ledger.len();
    case.allow_budget("tight", 1).await?;
    tokio::time::sleep(Duration::from_secs(8)).await;
    let mut late = case.evictions();
    late.retain(|(index, ..)| *index >= before);
    expect(
        late.is_empty(),
        "no eviction while the record cannot be decoded",
        || shown(&late),
    )?;
    case.store(|_| ()).await?;
    wait::until("the event drained", Duration::from_secs(60), async || {
        case.is_drained()?.then_some(()).context("not yet")
    })
    .await
}
