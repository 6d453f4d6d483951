//! The audit trail: the chains of events as they are stored, between two looks at where they stand. One answer is a page: it
//! ends with a cut, behind which the client asks for the next one.
//!
//! It judges nothing: the client computes the hashes.

use bellwether_chassis::{Bus, Record, Watched};
use bellwether_proto::stream::EVENTS_STREAM;
use bellwether_proto::subject::{self, Topic};
use bellwether_proto::wire::{self, read_history_response::Part};
use bellwether_proto::{NodeEvent, OrderChanged, to_timestamp};
use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use jiff::Timestamp;
use tonic::Status;

use crate::api::handle::ApiHandle;
use crate::bus::outbox::ChainsOf;
use crate::error::Refusal;
use crate::message::Request;

/// How many events one answer has at most: those of a month of 5,000 nodes that reboot weekly. They take a second or two, and
/// 60 MB of a client that keeps them.
pub(super) const EVENTS_MAX: usize = 200_000;

/// A part of the answer.
type Answer = Result<wire::ReadHistoryResponse, Status>;

/// A request for a page, its fields checked.
#[derive(Debug, Clone)]
pub(super) struct Query {
    pub(super) of: ChainsOf,
    /// When an event happened that is asked for, at the earliest; none: from the oldest on.
    pub(super) since: Option<Timestamp>,
    /// Before which time.
    pub(super) until: Option<Timestamp>,
    /// The place behind which the page begins; 0: at the begin.
    pub(super) after: u64,
    /// Most events of the page.
    pub(super) events_max: usize,
}

/// What is being read: the nodes' events, and those about orders, each in the order of the stream.
struct Reading {
    query: Query,
    sources: Vec<Source>,
    /// How many events the page has.
    events: usize,
    /// The place of the last event that was read.
    place: u64,
}

struct Source {
    stored: BoxStream<'static, anyhow::Result<Watched>>,
    next: Option<Record>,
    is_read: bool,
}

/// Reads a page.
///
/// # Errors
/// This replica does not lead, or NATS does not answer.
pub(super) async fn read(handle: ApiHandle, bus: &Bus, query: Query) -> Result<BoxStream<'static, Answer>, Status> {
    let kept_since = bus.kept_since(EVENTS_STREAM.name).await;
    let kept_since = kept_since.map_err(|error| Refusal::events(&error))?;
    let of = query.of.clone();
    let heads = move |of, reply| Request::ChainHeads(of, kept_since, reply);
    let before = handle.send(|reply| heads(of.clone(), reply)).await?;
    let reading = Reading::begin(bus, query)
        .await
        .map_err(|error| Refusal::events(&error))?;
    let events = stream::unfold(Some(reading), next);
    let after = async move {
        match handle.send(|reply| heads(of, reply)).await {
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
        let record = match reading.next_record().await {
            Ok(record) => record?,
            Err(error) => return Some((Err(Refusal::events(&error).into()), None)),
        };
        let Some(event) = reading.event(&record) else {
            reading.place = record.sequence;
            continue;
        };
        if reading.events >= reading.query.events_max {
            let place = reading.place;
            return Some((Ok(part(Part::Cut(wire::HistoryCut { place }))), None));
        }
        reading.place = record.sequence;
        reading.events = reading.events.saturating_add(1);
        return Some((Ok(part(Part::Event(event))), Some(reading)));
    }
}

impl Reading {
    async fn begin(bus: &Bus, query: Query) -> anyhow::Result<Self> {
        let of_nodes = query.of.node.as_ref().map_or_else(
            || subject::ALL_PHASE_CHANGED.to_owned(),
            |node| subject::phase_changed(&node.token()),
        );
        let of_orders = query.of.orders.then(subject::order_changed);
        let mut sources = Vec::new();
        for filter in [Some(of_nodes), of_orders].into_iter().flatten() {
            sources.push(Source {
                stored: bus.follow_after(EVENTS_STREAM.name, filter, query.after).await?,
                next: None,
                is_read: false,
            });
        }
        Ok(Self {
            place: query.after,
            query,
            sources,
            events: 0,
        })
    }

    /// The next record of all sources. None: all are read.
    async fn next_record(&mut self) -> anyhow::Result<Option<Record>> {
        for source in &mut self.sources {
            source.look().await?;
        }
        let waiting = self.sources.iter_mut().filter(|source| source.next.is_some());
        let first = waiting.min_by_key(|source| source.next.as_ref().map(|record| record.sequence));
        Ok(first.and_then(|source| source.next.take()))
    }

    /// The event of a record, if it is asked for. One that cannot be read is: the client judges.
    fn event(&self, record: &Record) -> Option<wire::HistoryEvent> {
        let (node, at) = match Topic::parse(&record.subject)? {
            Topic::Event(token, _) => (token.name().to_string(), record.decode::<NodeEvent>().map(|it| it.at)),
            Topic::OrderChanged => (String::new(), record.decode::<OrderChanged>().map(|it| it.at)),
            // Nothing else is on these subjects.
            Topic::Drain(_)
            | Topic::Uncordon(_)
            | Topic::Taint(_)
            | Topic::DrainQuestion(_)
            | Topic::DrainAnswer(_)
            | Topic::FleetEvent(_)
            | Topic::Attempt(_)
            | Topic::Control
            | Topic::Sentinel(_)
            | Topic::Rebooter(_) => return None,
        };
        at.map_or(true, |at| self.query.includes(at))
            .then(|| wire::HistoryEvent {
                node,
                place: record.sequence,
                stored_at: Some(to_timestamp(record.stored_at)),
                body: record.body().to_vec(),
            })
    }
}

impl Query {
    fn includes(&self, at: Timestamp) -> bool {
        self.since.is_none_or(|since| at >= since) && self.until.is_none_or(|until| at < until)
    }
}

impl Source {
    /// Reads its next record, if that is not there yet.
    async fn look(&mut self) -> anyhow::Result<()> {
        if self.is_read || self.next.is_some() {
            return Ok(());
        }
        match self.stored.next().await.transpose()? {
            Some(Watched::Record(record)) => self.next = Some(record),
            Some(Watched::CaughtUp) | None => self.is_read = true,
        }
        Ok(())
    }
}

fn part(part: Part) -> wire::ReadHistoryResponse {
    wire::ReadHistoryResponse { part: Some(part) }
}
