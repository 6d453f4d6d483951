//! "May I act?": the record decides, and nothing else.

use std::time::Duration;

use anyhow::Result;
use async_nats::HeaderMap;
use bellwether_proto::{Attempt, Fact, Phase, UncordonNode, subject};
use rig::wait;

use crate::case::{Case, SOON, packed};
use crate::check::{Check, expect};
use crate::observe::{Reply, shown};
use crate::stage::Stage;

const MOVED_ON: &str =
    "| the record has moved on: another attempt, UID or phase, or a higher generation | `+ACK`, no event |";
const NOT_YET: &str = "| no record, or one of a lower generation | `-NAK` 1 s; `+ACK` once the command was stored 60 s ago: \
    the record was lost |";
const UNREADABLE: &str = "| the record cannot be read within 5 s, or does not verify, or cannot be decoded, or names another \
    node than its key | `-NAK` 5 s |";
const LATE: &str = "A drainer answers a drain at or after `not_after` with `drain-failed` `TIMEOUT`, if the record permits \
    the drain, and patches and evicts nothing";

pub(super) fn checks() -> Vec<Check<Stage>> {
    vec![
        Check::must("D-PERMIT-01", MOVED_ON, |stage| Box::pin(other_attempt(stage))),
        Check::must("D-PERMIT-02", MOVED_ON, |stage| Box::pin(other_phase(stage))),
        Check::must("D-PERMIT-03", MOVED_ON, |stage| Box::pin(higher_generation(stage))),
        Check::must("D-PERMIT-04", MOVED_ON, |stage| Box::pin(other_uid(stage))),
        Check::must("D-PERMIT-05", NOT_YET, |stage| Box::pin(no_record(stage))),
        Check::must("D-PERMIT-06", NOT_YET, |stage| Box::pin(lower_generation(stage))),
        Check::must("D-PERMIT-07", UNREADABLE, |stage| Box::pin(garbled(stage))),
        Check::must("D-PERMIT-08", UNREADABLE, |stage| Box::pin(other_node(stage))),
        Check::must("D-PERMIT-09", "the record exists and is not deleted", |stage| {
            Box::pin(deleted(stage))
        }),
        Check::must("D-PERMIT-10", LATE, |stage| Box::pin(late(stage))),
        Check::must(
            "D-PERMIT-11",
            "| `phase` | Draining | Uncordoning, RollingBack or Failed |",
            |stage| Box::pin(uncordon_phases(stage)),
        ),
        Check::must(
            "D-PERMIT-12",
            "the drainer always, the rebooter in its last check before the call",
            |stage| Box::pin(from_the_leader(stage)),
        ),
        Check::must(
            "D-PERMIT-13",
            "`+ACK` once the command was stored 60 s ago: the record was lost",
            |stage| Box::pin(record_lost(stage)),
        )
        .slow(),
    ]
}

/// The command is acknowledged; the node is as it was, and no event was published.
async fn ignored(case: &Case<'_>, change: impl FnOnce(&mut Attempt)) -> Result<()> {
    case.store(change).await?;
    let command = case.drain().await?;
    case.replied(&command, &Reply::Ack).await?;
    untouched(case)
}

/// Neither a change of the node nor an event.
fn untouched(case: &Case<'_>) -> Result<()> {
    expect(case.patches().is_empty(), "no change of the node", || {
        shown(&case.patches())
    })?;
    expect(case.kinds()?.is_empty(), "no event", || {
        format!("{:?}", case.published())
    })
}

async fn other_attempt(stage: &Stage) -> Result<()> {
    let case = Case::without_record(stage).await?;
    let other = "33333333-3333-4333-8333-333333333333".parse()?;
    ignored(&case, |record| record.id = other).await
}

async fn other_phase(stage: &Stage) -> Result<()> {
    for phase in [Phase::Rebooting, Phase::RollingBack, Phase::Done] {
        let case = Case::without_record(stage).await?;
        ignored(&case, |record| record.phase = phase).await?;
    }
    Ok(())
}

async fn higher_generation(stage: &Stage) -> Result<()> {
    let case = Case::without_record(stage).await?;
    ignored(&case, |record| record.generation = record.generation.next()).await
}

async fn other_uid(stage: &Stage) -> Result<()> {
    let case = Case::without_record(stage).await?;
    let other = "44444444-4444-4444-8444-444444444444".parse()?;
    ignored(&case, |record| record.node_uid = other).await
}

async fn no_record(stage: &Stage) -> Result<()> {
    let case = Case::without_record(stage).await?;
    let command = case.drain().await?;
    case.delayed(&command, 0.5..=2.0).await?;
    untouched(&case)?;
    // The record is on its way.
    case.store(|_| ()).await?;
    case.drained().await.map(drop)
}

async fn lower_generation(stage: &Stage) -> Result<()> {
    let case = Case::without_record(stage).await?;
    case.store(|record| record.generation.0 -= 1).await?;
    let command = case.drain().await?;
    case.delayed(&command, 0.5..=2.0).await?;
    untouched(&case)?;
    case.store(|_| ()).await?;
    case.drained().await.map(drop)
}

async fn garbled(stage: &Stage) -> Result<()> {
    let case = Case::without_record(stage).await?;
    let (headers, _) = packed(&case.draining()?);
    case.publish(case.record_subject(), headers, b"\xff\xff\xff".to_vec())
        .await?;
    let command = case.drain().await?;
    case.delayed(&command, 3.0..=8.0).await?;
    untouched(&case)?;
    case.store(|_| ()).await?;
    case.drained().await.map(drop)
}

async fn other_node(stage: &Stage) -> Result<()> {
    let case = Case::without_record(stage).await?;
    let mut record = case.draining()?;
    record.node = "another.conf".parse()?;
    let (headers, body) = packed(&record);
    case.publish(case.record_subject(), headers, body).await?;
    let command = case.drain().await?;
    case.delayed(&command, 3.0..=8.0).await?;
    untouched(&case)
}

async fn deleted(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    case.delete_record().await?;
    let command = case.drain().await?;
    case.delayed(&command, 0.5..=2.0).await?;
    untouched(&case)
}

async fn late(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    case.pod("web", serde_json::json!({})).await?;
    let command = case.drain_within(Duration::ZERO).await?;
    case.timed_out().await?;
    case.replied(&command, &Reply::Ack).await?;
    expect(case.patches().is_empty(), "no change of the node", || {
        shown(&case.patches())
    })?;
    expect(case.evictions().is_empty(), "no eviction", || shown(&case.evictions()))
}

async fn uncordon_phases(stage: &Stage) -> Result<()> {
    for phase in [Phase::Uncordoning, Phase::RollingBack, Phase::Failed] {
        let case = Case::without_record(stage).await?;
        case.carry_cordon().await?;
        case.uncordon_in(phase).await?;
        let uncordoned = |fact: &Fact| matches!(fact, Fact::Uncordoned { .. }).then_some(());
        case.event(&format!("the event uncordoned in {}", phase.as_str()), SOON, uncordoned)
            .await?;
    }
    for phase in [
        Phase::Draining,
        Phase::Rebooting,
        Phase::Verifying,
        Phase::Soaking,
        Phase::Done,
    ] {
        let case = Case::without_record(stage).await?;
        case.carry_cordon().await?;
        let command = case.uncordon_in(phase).await?;
        case.replied(&command, &Reply::Ack).await?;
        untouched(&case)?;
    }
    Ok(())
}

async fn from_the_leader(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    case.drain().await?;
    case.drained().await?;
    // Before the begin, the cordon and the event `drained`.
    let reads = case.record_reads().len();
    expect(
        reads >= 3,
        "three reads of the record or more from the leader of its stream",
        || reads.to_string(),
    )
}

async fn record_lost(stage: &Stage) -> Result<()> {
    let case = Case::without_record(stage).await?;
    let command = UncordonNode {
        attempt: case.attempt.clone(),
    };
    let command = case
        .send(subject::uncordon_command(&case.node.token()), &command)
        .await?;
    let (_, at, _) = wait::until("+ACK", Duration::from_secs(90), async || {
        let acks = case.replies(&command);
        acks.into_iter()
            .find(|(_, _, reply)| *reply == Reply::Ack)
            .ok_or_else(|| anyhow::anyhow!("no +ACK"))
    })
    .await?;
    let after = at.duration_since(command.at);
    expect(after >= Duration::from_secs(59), "no +ACK before 60 s", || {
        format!("{after:?}")
    })
}

/// For other sections: headers without one.
pub(super) fn without(headers: &HeaderMap, name: &str) -> HeaderMap {
    let mut kept = HeaderMap::new();
    for (key, values) in headers.iter() {
        if key.to_string() != name {
            for value in values {
                kept.append(key.to_string(), value.to_string());
            }
        }
    }
    kept
}
