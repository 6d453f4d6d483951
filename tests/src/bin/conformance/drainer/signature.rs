//! Which record is signed, and what becomes of one that is not.

use anyhow::Result;
use bellwether_proto::stream::ATTEMPTS_STREAM;
use bellwether_proto::{Attempt, AttemptRef, Phase, PublicKeys, UncordonNode, header, subject};
use jiff::{SignedDuration, Timestamp};
use rig::record_keys::{EXPECTED, Signer};
use rig::wait;

use crate::case::{Case, SOON, packed};
use crate::check::{Check, expect};
use crate::observe::shown;
use crate::stage::Stage;

const VERIFIES: &str = "| the [signature](signatures.md#verify) of the record | verifies | verifies |";
const RESTS: &str = "while it does not verify, cannot be decoded, is missing or of a lower generation, evictions rest";
const EARLIER: &str = "No command is signed, so `not_after` on this page is the earlier one of the command's `not_after` and the \
    record's `deadline`.";

pub(super) fn checks() -> Vec<Check<Stage>> {
    vec![
        Check::must("D-SIGN-01", "| the header is there | `RecordUnsigned` |", |stage| {
            Box::pin(untrusted(stage, |_, _, _, _| None))
        }),
        Check::must(
            "D-SIGN-02",
            "| one of the keys has the key id | `RecordKeyUnknown` |",
            |stage| {
                Box::pin(untrusted(stage, |_, subject, sequence, body| {
                    let other = Signer::new(7).ok()?;
                    Some(other.key().sign(subject, sequence, body))
                }))
            },
        ),
        Check::must(
            "D-SIGN-03",
            "a record that is stored again, at another key or later, does not verify",
            |stage| {
                Box::pin(untrusted(stage, |stage, _, sequence, body| {
                    let subject = subject::attempt_record(&"another_conf".parse().ok()?);
                    Some(stage.signer.key().sign(&subject, sequence, body))
                }))
            },
        ),
        Check::must(
            "D-SIGN-04",
            "a record that is stored again, at another key or later, does not verify",
            |stage| {
                Box::pin(untrusted(stage, |stage, subject, sequence, body| {
                    Some(stage.signer.key().sign(subject, sequence - 1, body))
                }))
            },
        ),
        Check::must(
            "D-SIGN-05",
            "| the header is there once, and has exactly the form above | `RecordSignatureMalformed` |",
            |stage| {
                Box::pin(untrusted(stage, |stage, subject, sequence, body| {
                    Some(format!("{}=", stage.signer.key().sign(subject, sequence, body)))
                }))
            },
        ),
        Check::must("D-SIGN-06", VERIFIES, |stage| Box::pin(uncordon(stage))),
        Check::must("D-SIGN-07", RESTS, |stage| Box::pin(rests(stage))),
        Check::must("D-SIGN-08", EARLIER, |stage| Box::pin(late(stage))),
        Check::must("D-SIGN-09", "**Read it again for each record**", |stage| {
            Box::pin(rotated(stage))
        }),
    ]
}

/// The signature of a record with this subject, sequence and body; none: it carries none.
type Sign = fn(&Stage, &str, u64, &[u8]) -> Option<String>;

/// Stores a record with this signature. Others write at the same time, so the place has to be tried for.
async fn store_with(case: &Case<'_>, record: &Attempt, sign: Sign) -> Result<()> {
    let subject = case.record_subject();
    wait::until("the record to be stored", SOON, async || {
        let (mut headers, body) = packed(record);
        let stream = case.stage.bus.jetstream().get_stream(ATTEMPTS_STREAM.name).await?;
        let last = stream.cached_info().state.last_sequence;
        headers.insert(EXPECTED, last.to_string());
        if let Some(signature) = sign(case.stage, &subject, last + 1, &body) {
            headers.insert(header::SIGNATURE, signature);
        }
        case.publish_unsigned(subject.clone(), headers, body).await.map(drop)
    })
    .await
}

/// The command comes again; the node is as it was, and is drained once the record verifies.
async fn untrusted(stage: &Stage, sign: Sign) -> Result<()> {
    let case = Case::without_record(stage).await?;
    store_with(&case, &case.draining()?, sign).await?;
    let command = case.drain().await?;
    case.delayed(&command, 3.0..=8.0).await?;
    expect(case.patches().is_empty(), "no change of the node", || {
        shown(&case.patches())
    })?;
    expect(case.kinds()?.is_empty(), "no event", || {
        format!("{:?}", case.published())
    })?;
    case.store(|_| ()).await?;
    case.drained().await.map(drop)
}

/// A record that does not verify lets no cordon be removed.
async fn uncordon(stage: &Stage) -> Result<()> {
    let case = Case::without_record(stage).await?;
    case.carry_cordon().await?;
    let mut record = case.draining()?;
    record.generation = record.generation.next();
    record.phase = Phase::RollingBack;
    store_with(&case, &record, |_, _, _, _| None).await?;
    let attempt = AttemptRef {
        generation: record.generation,
        ..case.attempt.clone()
    };
    let subject = subject::uncordon_command(&case.node.token());
    let command = case.send(subject, &UncordonNode { attempt }).await?;
    case.delayed(&command, 3.0..=8.0).await?;
    let (unschedulable, mark) = case.cordon_now().await?;
    expect(unschedulable && mark.is_some(), "the cordon", || "none".to_owned())
}

/// The record is forged in the midst of a drain, word for word as it was.
async fn rests(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    case.pod("first", serde_json::json!({})).await?;
    case.budget("kept", "first", 0).await?;
    case.drain().await?;
    case.cordoned().await?;
    store_with(&case, &case.draining()?, |_, _, _, _| None).await?;
    // The drainer has read it: by the hint, or after 5 s.
    tokio::time::sleep(std::time::Duration::from_secs(6)).await;
    let before = case.evictions().len();
    case.allow_budget("kept", 1).await?;
    tokio::time::sleep(std::time::Duration::from_secs(6)).await;
    let after = case.evictions().len();
    expect(after == before, "no eviction while the record does not verify", || {
        format!("{} evictions", after - before)
    })?;
    case.store(|_| ()).await?;
    case.drained().await.map(drop)
}

async fn late(stage: &Stage) -> Result<()> {
    let case = Case::without_record(stage).await?;
    case.store(|record| record.deadline = Timestamp::now().checked_sub(SignedDuration::from_secs(1)).ok())
        .await?;
    case.pod("web", serde_json::json!({})).await?;
    case.drain().await?;
    case.timed_out().await?;
    expect(case.patches().is_empty(), "no change of the node", || {
        shown(&case.patches())
    })?;
    expect(case.evictions().is_empty(), "no eviction", || shown(&case.evictions()))
}

/// The file gets another key while the program runs.
async fn rotated(stage: &Stage) -> Result<()> {
    let next = Signer::new(2)?;
    let both = PublicKeys::of([stage.signer.key(), next.key()]);
    let file = stage.key_file();
    let replacing = file.with_extension("next");
    std::fs::write(&replacing, both.to_string())?;
    std::fs::rename(replacing, &file)?;
    let case = Case::without_record(stage).await?;
    store_with(&case, &case.draining()?, |_, subject, sequence, body| {
        Some(Signer::new(2).ok()?.key().sign(subject, sequence, body))
    })
    .await?;
    case.drain().await?;
    case.drained().await.map(drop)
}
