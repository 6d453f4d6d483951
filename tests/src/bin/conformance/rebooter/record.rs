//! Which records are read.

use anyhow::Result;
use async_nats::HeaderMap;
use bellwether_proto::stream::ATTEMPTS_STREAM;
use bellwether_proto::{HostReport, Message as _, header, subject};

use crate::agent::case::{Case, deletion, publish};
use crate::agent::stage::Stage;
use crate::case::packed;
use crate::check::Check;

const MALFORMED: &str = "| the record names another node; the record is malformed | no: only logged and counted |";
const MISSING: &str = "readers reject a message without it, or of another type";
const MAJOR: &str = "readers reject a message without it, or of another major";

pub(super) fn checks() -> Vec<Check<Stage>> {
    vec![
        Check::must("R-RECORD-01", MALFORMED, |stage| {
            Box::pin(changed(stage, |headers, _| {
                (headers, b"\xff\xff\xff not protobuf".to_vec())
            }))
        }),
        Check::must("R-RECORD-02", MISSING, |stage| {
            Box::pin(changed(stage, |headers, body| {
                (with(&headers, header::TYPE, None), body)
            }))
        }),
        Check::must("R-RECORD-03", MISSING, |stage| {
            Box::pin(changed(stage, |headers, body| {
                (with(&headers, header::TYPE, Some(HostReport::TYPE)), body)
            }))
        }),
        Check::must("R-RECORD-04", MAJOR, |stage| {
            Box::pin(changed(stage, |headers, body| {
                (with(&headers, header::SCHEMA, None), body)
            }))
        }),
        Check::must("R-RECORD-05", MAJOR, |stage| {
            Box::pin(changed(stage, |headers, body| {
                (with(&headers, header::SCHEMA, Some("2.0")), body)
            }))
        }),
        Check::must(
            "R-RECORD-06",
            "An attempt record that cannot be decoded stops its drainer and its rebooter",
            |stage| {
                Box::pin(changed(stage, |headers, mut body| {
                    // Field 5, `phase`, once more, with a value of a newer version: the last one counts.
                    body.extend([PHASE, 99]);
                    (headers, body)
                }))
            },
        ),
        Check::must(
            "R-RECORD-07",
            "A reader rejects a message as a whole if a value breaks this table.",
            |stage| {
                Box::pin(changed(stage, |headers, mut body| {
                    // Field 2, `node`, once more: no DNS subdomain.
                    body.extend([0x12, 2, b'A', b'_']);
                    (headers, body)
                }))
            },
        ),
        Check::must(
            "R-RECORD-08",
            "A message with a `KV-Operation` other than `PUT`: the record is deleted.",
            |stage| Box::pin(deleted(stage)),
        ),
        Check::must(
            "R-RECORD-09",
            "A newer minor may have more fields; readers ignore unknown fields.",
            |stage| Box::pin(newer_minor(stage)),
        ),
        Check::must(
            "R-RECORD-10",
            "readers of messages also accept other forms and compare the value",
            |stage| Box::pin(other_form(stage)),
        ),
    ]
}

/// The key of the field `phase` of an attempt: a number.
const PHASE: u8 = PHASE_FIELD << 3;

/// The number of that field.
const PHASE_FIELD: u8 = 5;

/// The headers with another value of one, or without that one.
fn with(headers: &HeaderMap, name: &str, value: Option<&str>) -> HeaderMap {
    let mut changed = HeaderMap::new();
    for (key, values) in headers.iter() {
        let key: &str = key.as_ref();
        for kept in values.iter().filter(|_| key != name) {
            changed.append(key, kept.as_str());
        }
    }
    if let Some(value) = value {
        changed.insert(name, value);
    }
    changed
}

/// An order with a change of its bytes is no order, and no event is about it.
async fn changed(stage: &Stage, change: impl FnOnce(HeaderMap, Vec<u8>) -> (HeaderMap, Vec<u8>)) -> Result<()> {
    let case = Case::new(stage).await?;
    let (headers, body) = packed(&case.order()?);
    let (headers, body) = change(headers, body);
    store(&case, headers, body).await?;
    case.does_nothing().await?;
    // A record that can be read is an order all the same.
    case.ordered(|_| ()).await?;
    case.called(1).await
}

async fn store(case: &Case<'_>, headers: HeaderMap, body: Vec<u8>) -> Result<()> {
    let subject = subject::attempt_record(&case.node.token());
    publish(case.stage, subject, headers, body).await.map(drop)
}

async fn deleted(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    // The body of an order, which a reader of the marker must not look at.
    let (mut headers, body) = packed(&case.order()?);
    for (key, values) in deletion(&ATTEMPTS_STREAM).iter() {
        let key: &str = key.as_ref();
        for value in values {
            headers.append(key, value.as_str());
        }
    }
    store(&case, headers, body).await?;
    case.does_nothing().await
}

async fn newer_minor(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    let (headers, mut body) = packed(&case.order()?);
    // Field 990 with a number.
    body.extend([0xf0, 0x3d, 0x01]);
    store(&case, with(&headers, header::SCHEMA, Some("1.9")), body).await?;
    case.called(1).await
}

async fn other_form(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    let record = case.order()?;
    let (headers, mut body) = packed(&record);
    let text = record.id.to_string();
    let at = body.windows(text.len()).position(|window| window == text.as_bytes());
    if let Some(slot) = at.and_then(|at| body.get_mut(at..at + text.len())) {
        slot.copy_from_slice(text.to_uppercase().as_bytes());
    }
    store(&case, headers, body).await?;
    case.started(&record).await?;
    case.called(1).await
}
