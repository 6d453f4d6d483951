//! Which commands are read, and which are thrown out of the queue.

use std::path::Path;

use anyhow::{Context as _, Result};
use async_nats::HeaderMap;
use bellwether_proto::{Message as _, UncordonNode, header, subject};
use rig::tools;

use super::permit::without;
use crate::case::{Case, packed};
use crate::check::{Check, expect};
use crate::observe::{Reply, shown};
use crate::stage::Stage;

const UNREADABLE: &str =
    "| the command cannot be decoded, is of an unknown kind, or names another node than its subject | `+TERM` |";
const MISSING: &str = "readers reject a message without it, or of another type";
const MAJOR: &str = "readers reject a message without it, or of another major";

pub(super) fn checks() -> Vec<Check<Stage>> {
    vec![
        Check::must("D-DECODE-01", UNREADABLE, |stage| Box::pin(garbage(stage))),
        Check::must("D-DECODE-02", UNREADABLE, |stage| Box::pin(other_node(stage))),
        Check::must("D-DECODE-03", UNREADABLE, |stage| Box::pin(unknown_kind(stage))),
        Check::must("D-DECODE-04", MISSING, |stage| Box::pin(no_type(stage))),
        Check::must("D-DECODE-05", MISSING, |stage| Box::pin(other_type(stage))),
        Check::must("D-DECODE-06", MAJOR, |stage| Box::pin(no_schema(stage))),
        Check::must("D-DECODE-07", MAJOR, |stage| Box::pin(other_major(stage))),
        Check::must(
            "D-DECODE-08",
            "A newer minor may have more fields; readers ignore unknown fields.",
            |stage| Box::pin(newer_minor(stage)),
        ),
        Check::must(
            "D-DECODE-09",
            "readers of messages also accept other forms and compare the value",
            |stage| Box::pin(other_form(stage)),
        ),
        Check::must(
            "D-DECODE-10",
            "A reader rejects a message as a whole if a value breaks this table.",
            |stage| Box::pin(broken_values(stage)),
        ),
        Check::must("D-DECODE-11", "A reader rejects a message as a whole", |stage| {
            Box::pin(golden(stage))
        }),
    ]
}

/// A drain command with a change is terminated, and nothing follows.
async fn refused(
    stage: &Stage,
    change: impl FnOnce(&Case<'_>, HeaderMap, Vec<u8>) -> (HeaderMap, Vec<u8>),
) -> Result<()> {
    let case = Case::new(stage).await?;
    let (headers, body) = packed(&case.drain_command(crate::case::LONG)?);
    let (headers, body) = change(&case, headers, body);
    let command = case
        .send_raw(subject::drain_command(&case.node.token()), headers, body)
        .await?;
    case.replied(&command, &Reply::Term).await?;
    expect(case.patches().is_empty(), "no change of the node", || {
        shown(&case.patches())
    })
}

async fn garbage(stage: &Stage) -> Result<()> {
    refused(stage, |_, headers, _| (headers, b"\xff\xff\xff".to_vec())).await
}

async fn other_node(stage: &Stage) -> Result<()> {
    let (case, victim) = (Case::new(stage).await?, Case::new(stage).await?);
    let command = victim.drain_command(crate::case::LONG)?;
    let command = case.send(subject::drain_command(&case.node.token()), &command).await?;
    case.replied(&command, &Reply::Term).await?;
    expect(victim.patches().is_empty(), "no change of the node in the body", || {
        shown(&victim.patches())
    })
}

async fn unknown_kind(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    let (headers, body) = packed(&case.drain_command(crate::case::LONG)?);
    let subject = subject::drain_command(&case.node.token()).replace("drain", "repaint");
    let command = case.send_raw(subject, headers, body).await?;
    case.replied(&command, &Reply::Term).await.map(drop)
}

async fn no_type(stage: &Stage) -> Result<()> {
    refused(stage, |_, headers, body| (without(&headers, header::TYPE), body)).await
}

async fn other_type(stage: &Stage) -> Result<()> {
    refused(stage, |_, headers, body| {
        let mut headers = without(&headers, header::TYPE);
        headers.insert(header::TYPE, UncordonNode::TYPE);
        (headers, body)
    })
    .await
}

async fn no_schema(stage: &Stage) -> Result<()> {
    refused(stage, |_, headers, body| (without(&headers, header::SCHEMA), body)).await
}

async fn other_major(stage: &Stage) -> Result<()> {
    for schema in ["2.0", "0.9", "1", "x.y"] {
        refused(stage, |_, headers, body| {
            let mut headers = without(&headers, header::SCHEMA);
            headers.insert(header::SCHEMA, schema);
            (headers, body)
        })
        .await?;
    }
    Ok(())
}

async fn newer_minor(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    let (headers, mut body) = packed(&case.drain_command(crate::case::LONG)?);
    let mut headers = without(&headers, header::SCHEMA);
    headers.insert(header::SCHEMA, "1.9");
    // Field 99 with a number, and field 98 with a text.
    body.extend([0x98, 0x06, 0x01, 0x92, 0x06, 0x02, b'h', b'i']);
    case.send_raw(subject::drain_command(&case.node.token()), headers, body)
        .await?;
    case.drained().await.map(drop)
}

async fn other_form(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    let (headers, body) = packed(&case.drain_command(crate::case::LONG)?);
    let text = case.attempt.attempt.to_string();
    let at = body.windows(text.len()).position(|window| window == text.as_bytes());
    let mut changed = body.clone();
    if let Some(slot) = at.and_then(|at| changed.get_mut(at..at + text.len())) {
        slot.copy_from_slice(text.to_uppercase().as_bytes());
    }
    case.send_raw(subject::drain_command(&case.node.token()), headers, changed)
        .await?;
    case.drained().await.map(drop)
}

async fn broken_values(stage: &Stage) -> Result<()> {
    // `not_after`, the last field, is missing; or no UUID, or no node.
    refused(stage, |_, headers, body| {
        let cut = body.iter().rposition(|byte| *byte == 0x2a).unwrap_or(body.len());
        (headers, body.get(..cut).unwrap_or_default().to_vec())
    })
    .await?;
    refused(stage, |case, headers, mut body| {
        let text = case.attempt.attempt.to_string();
        let at = body.windows(text.len()).position(|window| window == text.as_bytes());
        if let Some(byte) = at.and_then(|at| body.get_mut(at)) {
            *byte = b'g';
        }
        (headers, body)
    })
    .await?;
    refused(stage, |_, headers, body| {
        // The node's length is the second byte.
        let length = usize::from(body.get(1).copied().unwrap_or(0));
        (
            headers,
            [&[0x0a, 0], body.get(2 + length..).unwrap_or_default()].concat(),
        )
    })
    .await
}

/// The messages that every reader rejects, as plain files: commands, and records that do not permit one.
async fn golden(stage: &Stage) -> Result<()> {
    let folder = tools::repository().join("proto/tests/golden");
    let list = std::fs::read_to_string(folder.join("rejected/list.txt"))?;
    let mut case = Case::without_record(stage).await?;
    case.node = "node-1.rig".parse()?;
    let node = case.node.token();
    let command = message(&folder.join("previous/drain-node.txt"))?;
    for line in list.lines().filter(|line| !line.starts_with('#')) {
        let mut words = line.split(" | ");
        let (name, kind) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let (headers, body) = message(&folder.join(format!("rejected/{name}.txt")))?;
        let (sent, term) = match kind {
            "drain" => (case.send_raw(subject::drain_command(&node), headers, body).await?, true),
            "uncordon" => (
                case.send_raw(subject::uncordon_command(&node), headers, body).await?,
                true,
            ),
            _ => {
                case.publish(case.record_subject(), headers, body).await?;
                let (headers, body) = command.clone();
                (
                    case.send_raw(subject::drain_command(&node), headers, body).await?,
                    false,
                )
            }
        };
        let replied = if term {
            case.replied(&sent, &Reply::Term).await.map(drop)
        } else {
            case.delayed(&sent, 3.0..=8.0).await
        };
        replied.with_context(|| format!("rejected/{name}.txt"))?;
    }
    Ok(())
}

/// A message as a file of the contract has it: its name, its headers, and its body in hex.
fn message(path: &Path) -> Result<(HeaderMap, Vec<u8>)> {
    let text = std::fs::read_to_string(path).with_context(|| format!("no file {}", path.display()))?;
    let (mut headers, mut body) = (HeaderMap::new(), Vec::new());
    for line in text.lines().skip(1).filter(|line| !line.is_empty()) {
        if let Some((name, value)) = line.split_once(": ") {
            headers.insert(name, value);
            continue;
        }
        for pair in line.as_bytes().chunks(2) {
            body.push(u8::from_str_radix(std::str::from_utf8(pair)?, 16)?);
        }
    }
    Ok((headers, body))
}
