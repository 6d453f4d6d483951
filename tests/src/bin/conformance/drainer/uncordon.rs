//! The uncordon.

use std::time::Duration;

use anyhow::{Context as _, Result};
use bellwether_proto::mark::{AUTOSCALER_GUARDS, CORDONED_FOR, GUARDED_BY};
use bellwether_proto::{AttemptRef, Fact, Phase, UncordonNode, subject};
use jiff::Timestamp;
use kube::ResourceExt as _;
use serde_json::json;
use tokio::sync::watch;

use super::cordon::names_version;
use crate::case::{Case, SOON};
use crate::check::{Check, expect};
use crate::observe::{Reply, shown};
use crate::stage::Stage;
use rig::front::{Answer, Fault};

const OWN: &str = "if the mark names this attempt, remove it, and `spec.unschedulable` with it";
const OTHER: &str = "If the mark names another attempt or is missing, change nothing.";
const ORDER: &str = "read the Node, then the record, then patch under the Node's version that was read";
const STUCK: &str = "| could not uncordon within 20 s of tries | event `uncordon-failed`, `-NAK` 5 s; without the event if \
    the record could not be read |";
const REMOVED: &str =
    "if the record has `cordon_removed_at`, the mark alone, since the present cordon is an operator's.";
const GUARDS: &str = "Whatever removes the mark removes the listed ones of these two and the list with it, no others. A drainer \
    that sets none still removes them.";

pub(super) fn checks() -> Vec<Check<Stage>> {
    vec![
        Check::must("D-UNCORDON-01", OWN, |stage| Box::pin(own(stage))),
        Check::must("D-UNCORDON-02", OTHER, |stage| Box::pin(other_mark(stage))),
        Check::must("D-UNCORDON-03", OTHER, |stage| Box::pin(no_mark(stage))),
        Check::must(
            "D-UNCORDON-04",
            "If the node is gone, nothing has to be done.",
            |stage| Box::pin(gone(stage)),
        ),
        Check::must(
            "D-UNCORDON-05",
            "and for an uncordon (`uncordoned`, even if it carries our mark)",
            |stage| Box::pin(being_deleted(stage)),
        ),
        Check::must("D-UNCORDON-06", ORDER, |stage| Box::pin(order(stage))),
        Check::must("D-UNCORDON-07", ORDER, |stage| Box::pin(moved_on_in_between(stage))),
        Check::must("D-UNCORDON-09", REMOVED, |stage| Box::pin(cordon_of_operator(stage))),
        Check::must("D-UNCORDON-10", GUARDS, |stage| Box::pin(guards(stage))),
        Check::must("D-UNCORDON-08", STUCK, |stage| Box::pin(stuck(stage))).slow(),
    ]
}

/// The answer is `uncordoned` with this value, without a change of the node.
async fn left_alone(case: &Case<'_>, unschedulable: bool) -> Result<()> {
    let command = case.uncordon().await?;
    let (_, _, left) = case.uncordoned().await?;
    case.replied(&command, &Reply::Ack).await?;
    expect(
        left == unschedulable,
        &format!("left_unschedulable {unschedulable}"),
        || left.to_string(),
    )?;
    expect(case.patches().is_empty(), "no change of the node", || {
        shown(&case.patches())
    })
}

async fn own(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    case.carry_cordon().await?;
    let command = case.uncordon().await?;
    let (event, _, left) = case.uncordoned().await?;
    let (ack, ..) = case.replied(&command, &Reply::Ack).await?;
    expect(event < ack, "the event before +ACK", || "+ACK before it".to_owned())?;
    expect(!left, "left_unschedulable false", || left.to_string())?;
    let patches = case.patches();
    let versions = patches.iter().all(|(_, _, it)| names_version(it));
    expect(
        patches.len() == 1 && versions,
        "one patch with the resourceVersion",
        || shown(&patches),
    )?;
    let (unschedulable, mark) = case.cordon_now().await?;
    expect(!unschedulable && mark.is_none(), "neither cordon nor mark", || {
        format!("unschedulable {unschedulable}, mark {mark:?}")
    })
}

/// An operator took our cordon away after the drain, and then cordoned the node.
async fn cordon_of_operator(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    case.carry_cordon().await?;
    let attempt = AttemptRef {
        generation: case.attempt.generation.next(),
        ..case.attempt.clone()
    };
    case.store(|record| {
        record.generation = attempt.generation;
        record.phase = Phase::Uncordoning;
        record.cordon_removed_at = Some(Timestamp::now());
    })
    .await?;
    case.send(subject::uncordon_command(&case.node.token()), &UncordonNode { attempt })
        .await?;
    let (_, _, left) = case.uncordoned().await?;
    let (unschedulable, mark) = case.cordon_now().await?;
    expect(
        left && unschedulable && mark.is_none(),
        "left_unschedulable true, a cordon and no mark",
        || format!("left_unschedulable {left}, unschedulable {unschedulable}, mark {mark:?}"),
    )
}

/// Another drainer set one of the two guards, and found the other one.
async fn guards(stage: &Stage) -> Result<()> {
    let [ours, foreign] = AUTOSCALER_GUARDS;
    let case = Case::new(stage).await?;
    case.carry_cordon().await?;
    case.change_node(json!({ "metadata": { "annotations": {
        ours: "true", foreign: "true", GUARDED_BY: ours, "example.com/kept": "yes",
    } } }))
    .await?;
    case.uncordon().await?;
    case.uncordoned().await?;
    let node = case.object().await?.context("the node is gone")?;
    let has = |name: &str| node.annotations().contains_key(name);
    expect(
        !has(ours) && !has(GUARDED_BY) && has(foreign) && has("example.com/kept"),
        &format!("neither {ours} nor the list, and all other annotations"),
        || format!("{:?}", node.annotations()),
    )
}

async fn other_mark(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    let mark = "33333333-3333-4333-8333-333333333333";
    case.change_node(
        json!({ "metadata": { "annotations": { CORDONED_FOR: mark } }, "spec": { "unschedulable": true } }),
    )
    .await?;
    left_alone(&case, true).await
}

async fn no_mark(stage: &Stage) -> Result<()> {
    let foreign = Case::new(stage).await?;
    foreign
        .change_node(json!({ "spec": { "unschedulable": true } }))
        .await?;
    left_alone(&foreign, true).await?;
    left_alone(&Case::new(stage).await?, false).await
}

async fn gone(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    case.nodes().delete(case.node.as_str(), &Default::default()).await?;
    let command = case.uncordon().await?;
    case.uncordoned().await?;
    case.replied(&command, &Reply::Ack).await.map(drop)
}

async fn being_deleted(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    case.carry_cordon().await?;
    case.change_node(json!({ "metadata": { "finalizers": ["conformance.example/kept"] } }))
        .await?;
    case.nodes().delete(case.node.as_str(), &Default::default()).await?;
    let command = case.uncordon().await?;
    case.uncordoned().await?;
    case.replied(&command, &Reply::Ack).await?;
    expect(case.patches().is_empty(), "no change of the node", || {
        shown(&case.patches())
    })?;
    case.change_node(json!({ "metadata": { "finalizers": null } })).await
}

async fn order(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    case.carry_cordon().await?;
    case.uncordon().await?;
    case.uncordoned().await?;
    case.read_record_before_first_patch()
}

async fn moved_on_in_between(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    case.carry_cordon().await?;
    let (release, released) = watch::channel(false);
    let path = case.node_path();
    let _late = stage
        .front
        .inject(move |it| it.is("GET", &path).then(|| Fault::Hold(released.clone())));
    let command = case.uncordon().await?;
    case.count("the read of the node", 1, SOON, || case.node_reads())
        .await?;
    case.store(|record| record.generation.0 += 5).await?;
    release.send_replace(true);
    case.replied(&command, &Reply::Ack).await?;
    expect(
        case.patches().is_empty(),
        "no patch, since the record has moved on",
        || shown(&case.patches()),
    )
}

async fn stuck(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    case.carry_cordon().await?;
    let path = case.node_path();
    let fault = stage.front.inject(move |it| {
        it.is("PATCH", &path)
            .then(|| Fault::Answer(Answer::new(500, "InternalError", "the store is away")))
    });
    let command = case.uncordon().await?;
    let failed = |fact: &Fact| matches!(fact, Fact::UncordonFailed { .. }).then_some(());
    let (_, at, ()) = case
        .event("the event uncordon-failed", Duration::from_secs(60), failed)
        .await?;
    let after = at.duration_since(command.at);
    expect(after >= Duration::from_secs(15), "tries for about 20 s", || {
        format!("{after:?}")
    })?;
    case.delayed(&command, 3.0..=8.0).await?;
    drop(fault);
    case.uncordoned().await.map(drop)
}
