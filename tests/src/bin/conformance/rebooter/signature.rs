//! Which record is signed, and what becomes of one that is not.

use anyhow::{Context as _, Result, ensure};
use async_nats::HeaderMap;
use bellwether_proto::stream::ATTEMPTS_STREAM;
use bellwether_proto::{Attempt, Fact, KeyId, NodeEvent, PublicKeys, RebooterReport, header, setting, subject};
use rig::record_keys::{EXPECTED, Signer};
use rig::wait;

use crate::agent::case::{Case, SOON, Setup, publish_unsigned};
use crate::agent::stage::Stage;
use crate::case::packed;
use crate::check::{Check, expect};

const VERIFIES: &str = "| its [signature](signatures.md#verify) | verifies, with the keys that the file has now |";
const REFUSED: &str = "| the record does not verify, and would be an order if it did | yes, about the attempt and generation \
    that it names |";

pub(super) fn checks() -> Vec<Check<Stage>> {
    vec![
        Check::must("R-SIGN-01", "| the header is there | `RecordUnsigned` |", |stage| {
            Box::pin(refused(stage, "RecordUnsigned", |_, _, _| Ok(None)))
        }),
        Check::must(
            "R-SIGN-02",
            "| the header is there once, and has exactly the form above | `RecordSignatureMalformed` |",
            |stage| {
                Box::pin(refused(stage, "RecordSignatureMalformed", |stage, place, body| {
                    let right = stage.signer.key().sign(&place.0, place.1, body);
                    Ok(Some(format!("{right}=")))
                }))
            },
        ),
        Check::must(
            "R-SIGN-03",
            "| one of the keys has the key id | `RecordKeyUnknown` |",
            |stage| {
                Box::pin(refused(stage, "RecordKeyUnknown", |_, place, body| {
                    Ok(Some(Signer::new(7)?.key().sign(&place.0, place.1, body)))
                }))
            },
        ),
        Check::must(
            "R-SIGN-04",
            "a record that is stored again, at another key or later, does not verify",
            |stage| {
                Box::pin(refused(stage, "RecordSignatureWrong", |stage, place, body| {
                    let other = subject::attempt_record(&stage.next_node()?.token());
                    Ok(Some(stage.signer.key().sign(&other, place.1, body)))
                }))
            },
        ),
        Check::must(
            "R-SIGN-05",
            "a record that is stored again, at another key or later, does not verify",
            |stage| {
                Box::pin(refused(stage, "RecordSignatureWrong", |stage, place, body| {
                    Ok(Some(stage.signer.key().sign(&place.0, place.1 - 1, body)))
                }))
            },
        ),
        Check::must("R-SIGN-06", REFUSED, |stage| Box::pin(no_order(stage))),
        Check::must(
            "R-SIGN-07",
            "A file that is missing, empty or malformed verifies nothing.",
            |stage| Box::pin(without_keys(stage)),
        ),
        Check::must("R-SIGN-08", VERIFIES, |stage| Box::pin(rotated(stage))),
        Check::must(
            "R-SIGN-09",
            "a rebooter obeys none that is older than one it has verified before",
            |stage| Box::pin(shown_again(stage)),
        ),
    ]
}

/// The subject of a record, and the sequence that it gets.
type Place = (String, u64);

/// Stores an order with this signature, which is refused with this code; the right one is obeyed in its next generation.
async fn refused(
    stage: &Stage,
    code: &str,
    sign: impl Fn(&Stage, &Place, &[u8]) -> Result<Option<String>>,
) -> Result<()> {
    let case = Case::new(stage).await?;
    let mut record = case.order()?;
    store_with(&case, &record, sign).await?;
    refused_with(&case, &record, code).await?;
    record.generation = record.generation.next();
    case.store(&record).await?;
    case.called(1).await
}

/// Stores a record with this signature. Others write at the same time, so the place has to be tried for.
async fn store_with(
    case: &Case<'_>,
    record: &Attempt,
    sign: impl Fn(&Stage, &Place, &[u8]) -> Result<Option<String>>,
) -> Result<()> {
    let subject = subject::attempt_record(&case.node.token());
    wait::until("the record to be stored", SOON, async || {
        let (mut headers, body) = packed(record);
        let stream = case.stage.bus.jetstream().get_stream(ATTEMPTS_STREAM.name).await?;
        let last = stream.cached_info().state.last_sequence;
        headers.insert(EXPECTED, last.to_string());
        if let Some(signature) = sign(case.stage, &(subject.clone(), last + 1), &body)? {
            headers.insert(header::SIGNATURE, signature);
        }
        publish_unsigned(case.stage, subject.clone(), headers, body)
            .await
            .map(drop)
    })
    .await
}

async fn refused_with(case: &Case<'_>, record: &Attempt, code: &str) -> Result<()> {
    let is_of = |event: &NodeEvent| (event.attempt, event.generation) == (record.id, record.generation);
    let code_of = |event: &NodeEvent| {
        if let Fact::RebootRefused { code, .. } = &event.fact {
            Some(code.clone())
        } else {
            None
        }
    };
    let (_, _, found) = case
        .event("the event reboot-refused", 0, |event| {
            code_of(event).filter(|_| is_of(event))
        })
        .await?;
    expect(found == code, &format!("the code {code}"), || found.clone())?;
    let calls = case.calls();
    expect(calls == 0, "no call for a reboot", || format!("{calls} calls"))
}

/// A record that does not verify and would be no order is nothing.
async fn no_order(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    let mut record = case.order()?;
    record.boot_before = "33333333-3333-4333-8333-333333333333".parse()?;
    store_with(&case, &record, |_, _, _| Ok(None)).await?;
    case.does_nothing().await
}

async fn without_keys(stage: &Stage) -> Result<()> {
    let setup = Setup::new(stage)?;
    let file = setup.path("keys");
    let case = setup.set(setting::RECORD_KEYS, &file.display().to_string()).start()?;
    let mut record = case.order()?;
    for content in [None, Some(""), Some("hunter2")] {
        if let Some(content) = content {
            std::fs::write(&file, content)?;
        }
        case.store(&record).await?;
        refused_with(&case, &record, "RecordKeysMissing").await?;
        record.generation = record.generation.next();
    }
    reports(&case, &[]).await?;
    std::fs::copy(&stage.keys, &file)?;
    case.wait_ready().await?;
    case.store(&record).await?;
    case.called(1).await
}

/// The file gets another key while the program runs.
async fn rotated(stage: &Stage) -> Result<()> {
    let setup = Setup::new(stage)?;
    let file = setup.path("keys");
    std::fs::copy(&stage.keys, &file)?;
    let case = setup.set(setting::RECORD_KEYS, &file.display().to_string()).start()?;
    case.wait_ready().await?;
    let next = Signer::new(2)?;
    let both = PublicKeys::of([stage.signer.key(), next.key()]);
    let replacing = case.path("keys.next");
    std::fs::write(&replacing, both.to_string())?;
    std::fs::rename(replacing, &file)?;
    let ids: Vec<KeyId> = both.ids().collect();
    reports(&case, &ids).await?;
    let record = case.order()?;
    store_with(&case, &record, |_, place, body| {
        Ok(Some(next.key().sign(&place.0, place.1, body)))
    })
    .await?;
    case.called(1).await
}

/// Waits until the program reports just these keys.
async fn reports(case: &Case<'_>, keys: &[KeyId]) -> Result<()> {
    case.report("a report with the keys", 0, SOON, |report: &RebooterReport| {
        let known = report.record_keys.as_ref()?;
        (known == keys).then_some(())
    })
    .await
    .map(drop)
}

/// The newest record is deleted, so that the one before, whose signature is right, is the newest again.
async fn shown_again(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    let order = case.order()?;
    let mut taken_back = order.clone();
    // The program verifies this one first: it has the later phase, and comes after the order.
    let subject = subject::attempt_record(&case.node.token());
    case.way.set(rig::proxy::Way::Cut);
    case.store(&order).await?;
    taken_back.generation = order.generation.next();
    taken_back.phase = bellwether_proto::Phase::RollingBack;
    taken_back.need_since = order.need_since.checked_add(jiff::SignedDuration::from_secs(1))?;
    let (headers, body): (HeaderMap, Vec<u8>) = packed(&taken_back);
    let sequence = stage
        .signer
        .store(stage.bus.jetstream(), subject, headers, body)
        .await?;
    let from = stage.ledger.len();
    case.way.set(rig::proxy::Way::Open);
    // It looks at the record before it reports.
    case.report("a report over the new connection", from, SOON, |_: &RebooterReport| {
        Some(())
    })
    .await?;
    case.does_nothing().await?;
    let stream = stage.bus.jetstream().get_stream(ATTEMPTS_STREAM.name).await?;
    let deleted = stream
        .delete_message(sequence)
        .await
        .context("cannot delete the newest record")?;
    ensure!(deleted, "the newest record is still there");
    case.does_nothing().await
}
