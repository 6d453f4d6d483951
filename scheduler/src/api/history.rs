//! The audit trail: the chains of events as they are stored, between two looks at where they stand.
//!
//! It judges nothing: the client computes the hashes.

use bellwether_chassis::{Bus, Record, Watched};
use bellwether_proto::stream::EVENTS_STREAM;
use bellwether_proto::subject::{self, Topic};
use bellwether_proto::wire::{self, read_history_response::Part};
use bellwether_proto::{NodeName, to_timestamp};
use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use tonic::Status;

use crate::api::handle::ApiHandle;
use crate::error::Refusal;
use crate::message::Request;

/// How many events one answer has: those of a month of 5,000 nodes that reboot weekly. They take a second or two, and
/// 60 MB of the client.
const EVENTS_MAX: usize = 200_000;

/// A part of the answer.
type Answer = Result<wire::ReadHistoryResponse, Status>;

/// What is being read.
struct Reading {
    stored: BoxStream<'static, anyhow::Result<Watched>>,
    events: usize,
}

/// Reads the chain of a node, or of each.
///
/// # Errors
/// This replica does not lead, or NATS does not answer.
pub(super) async fn read(
    handle: ApiHandle,
    bus: &Bus,
    node: Option<NodeName>,
) -> Result<BoxStream<'static, Answer>, Status> {
    let kept_since = bus.kept_since(EVENTS_STREAM.name).await;
    let kept_since = kept_since.map_err(|error| Refusal::events(&error))?;
    let heads = move |node, reply| Request::ChainHeads(node, kept_since, reply);
    let before = handle.send(|reply| heads(node.clone(), reply)).await?;
    let filter = node.as_ref().map_or_else(
        || subject::ALL_PHASE_CHANGED.to_owned(),
        |node| subject::phase_changed(&node.token()),
    );
    let stored = bus.follow_all(EVENTS_STREAM.name, filter).await;
    let stored = stored.map_err(|error| Refusal::events(&error))?;
    let reading = Reading { stored, events: 0 };
    let events = stream::unfold(Some(reading), next);
    let after = async move {
        match handle.send(|reply| heads(node, reply)).await {
            Ok(heads) => heads.into_iter().map(|head| Ok(part(Part::After(head)))).collect(),
            Err(refusal) => vec![Err(refusal.into())],
        }
    };
    let before = stream::iter(before.into_iter().map(|head| Ok(part(Part::Before(head)))));
    let after = stream::once(after).flat_map(stream::iter);
    Ok(before.chain(events).chain(after).boxed())
}

/// The next event, until all that was stored has been read.
async fn next(reading: Option<Reading>) -> Option<(Answer, Option<Reading>)> {
    let mut reading = reading?;
    // Bounded by the messages of the stream.
    loop {
        match reading.stored.next().await? {
            Ok(Watched::Record(_)) if reading.events >= EVENTS_MAX => {
                return Some((Ok(part(Part::Cut(wire::HistoryCut {}))), None));
            }
            Ok(Watched::Record(record)) => {
                if let Some(event) = event(&record) {
                    reading.events = reading.events.saturating_add(1);
                    return Some((Ok(part(Part::Event(event))), Some(reading)));
                }
            }
            Ok(Watched::CaughtUp) => return None,
            Err(error) => return Some((Err(Refusal::events(&error).into()), None)),
        }
    }
}

fn event(record: &Record) -> Option<wire::HistoryEvent> {
    // Nothing else is on these subjects.
    let Some(Topic::Event(token, _)) = Topic::parse(&record.subject) else {
        return None;
    };
    Some(wire::HistoryEvent {
        node: token.name().to_string(),
        place: record.sequence,
        stored_at: Some(to_timestamp(record.stored_at)),
        body: record.body().to_vec(),
    })
}

fn part(part: Part) -> wire::ReadHistoryResponse {
    wire::ReadHistoryResponse { part: Some(part) }
}
