//! Replies to commands, and the life of the program beside them: it is stopped, killed, and cut off from NATS.

use std::time::Duration;

use anyhow::{Context as _, Result};
use bellwether_proto::Phase;
use rig::proxy::Way;
use serde_json::json;

use crate::case::{Case, Sent, packed};
use crate::check::{Check, expect};
use crate::observe::{At, Reply, drained, shown};
use crate::stage::{LASTS, Stage};

const PROGRESS: &str = "While you work on a message, send `+WPI` (in progress) every third of the ack wait: each 5 s of 15 s, \
    so two may get lost.";
const HAND_OVER: &str = "**When the drainer stops in order, hand the command over**: reply `-NAK` without a delay, so that \
    another drainer continues at once and not after the ack wait. Publish nothing about a drain that has not ended.";
const CONTINUES: &str = "A drain may start on a half-drained node that another drainer left.";
const UNREAD: &str = "while it cannot be read, the last successful reading is valid for 30 s";

pub(super) fn checks() -> Vec<Check<Stage>> {
    vec![
        Check::must("D-SETTLE-01", PROGRESS, |stage| Box::pin(progress(stage))),
        Check::must(
            "D-SETTLE-02",
            "| this process already works on the same command | `-NAK` 10 s |",
            |stage| Box::pin(same_command(stage)),
        ),
        Check::must("D-SETTLE-03", "Never act on the body of a hint.", |stage| {
            Box::pin(false_hint(stage))
        }),
        Check::must("D-SETTLE-04", CONTINUES, |stage| Box::pin(killed(stage))).alone(),
        Check::must("D-SETTLE-05", HAND_OVER, |stage| Box::pin(stopped(stage))).alone(),
        Check::must(
            "D-SETTLE-06",
            "**Every message may come twice, late, out of order, or never.**",
            |stage| Box::pin(paused(stage)),
        )
        .slow()
        .alone(),
        Check::must(
            "D-SETTLE-07",
            "| NATS unavailable | wait without limit; do not exit, also if a file of the table below is missing or empty |",
            |stage| Box::pin(short_silence(stage)),
        )
        .alone(),
        Check::must("D-SETTLE-08", UNREAD, |stage| Box::pin(long_silence(stage)))
            .slow()
            .alone(),
    ]
}

/// Commands a drain that lasts until the pod `web` is ended.
async fn lasting(case: &Case<'_>) -> Result<Sent> {
    case.pod("web", json!({ "metadata": { "annotations": { LASTS: "" } } }))
        .await?;
    let command = case.drain().await?;
    case.cordoned().await?;
    Ok(command)
}

async fn progress(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    let command = lasting(&case).await?;
    tokio::time::sleep(Duration::from_secs(18)).await;
    let replies = case.replies(&command);
    case.end_pod("web").await?;
    case.drained().await?;
    let mut before = command.at;
    for (_, at, reply) in &replies {
        expect(*reply == Reply::InProgress, "+WPI alone", || format!("{reply:?}"))?;
        let pause = at.duration_since(before);
        expect(pause <= Duration::from_millis(7500), "+WPI each 5 s", || {
            format!("none for {pause:?}")
        })?;
        before = *at;
    }
    expect(replies.len() >= 2, "two +WPI or more in 18 s", || {
        replies.len().to_string()
    })
}

async fn same_command(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    case.pod("web", json!({ "metadata": { "annotations": { LASTS: "" } } }))
        .await?;
    let command = case.drain_command(crate::case::LONG)?;
    let subject = bellwether_proto::subject::drain_command(&case.node.token());
    case.send(subject.clone(), &command).await?;
    case.cordoned().await?;
    let again = case.send(subject, &command).await?;
    case.delayed(&again, 7.0..=13.0).await?;
    case.end_pod("web").await?;
    case.drained().await.map(drop)
}

async fn false_hint(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    let command = lasting(&case).await?;
    let mut record = case.draining()?;
    record.generation = record.generation.next();
    record.phase = Phase::RollingBack;
    let (mut headers, body) = packed(&record);
    headers.insert("Nats-Expected-Last-Sequence", "1");
    let stored = case.publish(case.record_subject(), headers, body).await;
    anyhow::ensure!(stored.is_err(), "the stream took a write that it had to refuse");
    tokio::time::sleep(Duration::from_secs(2)).await;
    let mut settled = case.replies(&command);
    settled.retain(|(_, _, reply)| *reply != Reply::InProgress);
    expect(settled.is_empty(), "that the drain continues", || {
        format!("{settled:?}")
    })?;
    case.end_pod("web").await?;
    case.drained().await.map(drop)
}

async fn killed(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    lasting(&case).await?;
    stage.service.process.kill9();
    stage.service.process.restart()?;
    stage.wait_ready().await?;
    case.end_pod("web").await?;
    case.event("the event drained", Duration::from_secs(60), drained)
        .await?;
    let (unschedulable, mark) = case.cordon_now().await?;
    expect(unschedulable && mark.is_some(), "the cordon of the attempt", || {
        format!("unschedulable {unschedulable}, mark {mark:?}")
    })
}

async fn stopped(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    let command = lasting(&case).await?;
    let before = stage.ledger.len();
    let ended = stage.service.process.terminate(Duration::from_secs(30)).await;
    stage.tap.catch_up().await?;
    let replies = case.replies(&command);
    let mut kinds = case.events()?;
    kinds.retain(|(index, _, event)| *index >= before && event.fact.kind() != "drain-progressed");
    stage.service.process.restart()?;
    stage.wait_ready().await?;
    case.end_pod("web").await?;
    case.event("the event drained", Duration::from_secs(60), drained)
        .await?;
    ended.context("the program did not end within 30 s")?;
    let last = replies.last().map(|(_, _, reply)| reply.clone());
    expect(last == Some(Reply::Nak(Duration::ZERO)), "-NAK without a delay", || {
        format!("{last:?}")
    })?;
    expect(kinds.is_empty(), "no event", || format!("{kinds:?}"))
}

async fn paused(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    case.pod("web", json!({})).await?;
    case.budget("tight", "web", 0).await?;
    case.drain().await?;
    case.cordoned().await?;
    stage.service.process.pause()?;
    // Beyond the ack wait; meanwhile the scheduler takes the drain back, and the budget has room.
    tokio::time::sleep(Duration::from_secs(20)).await;
    case.roll_back().await?;
    case.allow_budget("tight", 1).await?;
    let before = stage.ledger.len();
    stage.service.process.resume()?;
    tokio::time::sleep(Duration::from_secs(8)).await;
    stage.wait_ready().await?;
    let mut late: Vec<At<_>> = case.evictions();
    late.retain(|(index, ..)| *index >= before);
    expect(late.is_empty(), "no eviction, since the record has moved on", || {
        shown(&late)
    })?;
    expect(!case.is_drained()?, "no event drained", || "drained".to_owned())
}

async fn short_silence(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    lasting(&case).await?;
    stage.nats_way.set(Way::Silent);
    tokio::time::sleep(Duration::from_secs(5)).await;
    case.end_pod("web").await?;
    stage.nats_way.set(Way::Open);
    case.event("the event drained", Duration::from_secs(60), drained)
        .await
        .map(drop)
}

async fn long_silence(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    case.pod("web", json!({})).await?;
    case.budget("tight", "web", 0).await?;
    case.drain().await?;
    case.cordoned().await?;
    stage.nats_way.set(Way::Silent);
    tokio::time::sleep(Duration::from_secs(36)).await;
    let before = stage.ledger.len();
    case.allow_budget("tight", 1).await?;
    tokio::time::sleep(Duration::from_secs(8)).await;
    let mut late: Vec<At<_>> = case.evictions();
    late.retain(|(index, ..)| *index >= before);
    stage.nats_way.set(Way::Open);
    case.event("the event drained", Duration::from_secs(90), drained)
        .await?;
    stage.wait_ready().await?;
    expect(
        late.is_empty(),
        "no eviction after 30 s without a reading of the record",
        || shown(&late),
    )
}
