//! Consuming in batches: takes all messages of a durable consumer that wait, bounded and in their order, keeps
//! them alive while they are handled, and settles each by its verdict.
//!
//! For a reader whose cost is per decision and not per message. It creates no consumer: one that is missing ends it,
//! since only its reader knows where a new one has to start (see [`crate::stream::ensure_consumer_since`]).

use std::future::Future;
use std::time::Duration;

use anyhow::Context as _;
use async_nats::jetstream::consumer::PullConsumer;
use async_nats::jetstream::message::Acker;
use async_nats::jetstream::stream::{ConsumerError, ConsumerErrorKind};
use async_nats::jetstream::{self, AckKind};
use bellwether_proto::stream::ConsumerDefinition;
use futures_util::{FutureExt as _, StreamExt as _};

use crate::bus::Bus;
use crate::consume::{RETRY_DELAY, SIGNAL_TIMEOUT, settled_by};
use crate::pull::PULL_EXPIRY;
use crate::record::Record;
use crate::runtime::Chassis;
use crate::stream;
use crate::verdict::Verdict;

/// How often the server reports on an idle consumer. After two missing reports the messages are requested
/// again, so a consumer that fell silent is noticed within ten seconds.
const HEARTBEAT: Duration = Duration::from_secs(5);

/// The server's codes for a consumer and for a stream that do not exist.
const MISSING: [u64; 2] = [10014, 10059];

/// Handles messages in batches, one batch after the other, until the service stops. The handler returns one verdict
/// for each record, in their order; a record without a verdict comes again after the ack wait.
///
/// # Errors
/// The consumer does not exist. Every other fault of the bus is logged and tried again.
pub async fn consume<H, F>(
    chassis: &Chassis,
    bus: &Bus,
    definition: &ConsumerDefinition,
    handle: H,
) -> anyhow::Result<()>
where
    H: Fn(Vec<Record>) -> F,
    F: Future<Output = Vec<Verdict>>,
{
    // Also when this future is dropped.
    let _reads = ReadsNoMore(bus, definition);
    let reading = async {
        while !chassis.stop.is_cancelled() {
            let error = match pull(chassis, bus, definition, &handle).await {
                Ok(Ended::Stopped) => break,
                Ok(Ended::Reconnected) => continue,
                Err(error) => error,
            };
            if is_missing(&error) {
                return Err(error.context(format!("consumer {}", definition.name)));
            }
            tracing::warn!(
                consumer = definition.name,
                error = format!("{error:#}"),
                "Messages cannot be fetched, trying again"
            );
            chassis.sleep(RETRY_DELAY).await;
        }
        Ok(())
    };
    tokio::select! {
        ended = reading => ended,
        () = stream::observe_waiting(bus, definition) => Ok(()),
    }
}

fn is_missing(error: &anyhow::Error) -> bool {
    let kind = error.downcast_ref::<ConsumerError>().map(ConsumerError::kind);
    matches!(kind, Some(ConsumerErrorKind::JetStream(cause)) if MISSING.contains(&cause.error_code().0))
}

/// Says at its end that this replica reads no more.
struct ReadsNoMore<'a>(&'a Bus, &'a ConsumerDefinition);

impl Drop for ReadsNoMore<'_> {
    fn drop(&mut self) {
        self.0.lag.forget(self.1);
    }
}

/// Why no more messages are pulled.
enum Ended {
    Stopped,
    /// The server of the new connection knows no request.
    Reconnected,
}

async fn pull<H, F>(chassis: &Chassis, bus: &Bus, definition: &ConsumerDefinition, handle: &H) -> anyhow::Result<Ended>
where
    H: Fn(Vec<Record>) -> F,
    F: Future<Output = Vec<Verdict>>,
{
    // As many as may be under way: the server sends no more.
    let mut connections = bus.connections();
    let max = usize::try_from(definition.max_ack_pending).unwrap_or(1).max(1);
    let consumer: PullConsumer = bus
        .jetstream
        .get_consumer_from_stream(definition.name, definition.stream)
        .await?;
    let pulled = consumer.stream().max_messages_per_batch(max);
    let mut messages = pulled.expires(PULL_EXPIRY).heartbeat(HEARTBEAT).messages().await?;
    loop {
        let first = tokio::select! {
            message = messages.next() => message.context("the consumer ended")??,
            changed = connections.changed() => {
                changed.context("the connection to NATS has ended")?;
                return Ok(Ended::Reconnected);
            }
            () = chassis.stop.cancelled() => return Ok(Ended::Stopped),
        };
        let mut batch = vec![first];
        let mut failed = None;
        while batch.len() < max {
            match messages.next().now_or_never() {
                Some(Some(Ok(message))) => batch.push(message),
                Some(Some(Err(error))) => {
                    failed = Some(error);
                    break;
                }
                Some(None) | None => break,
            }
        }
        if let Some(newest) = batch.last() {
            bus.lag.taken(definition, newest);
        }
        settle(batch, definition.ack_wait, handle).await;
        if let Some(error) = failed {
            return Err(error.into());
        }
    }
}

async fn settle<H, F>(messages: Vec<jetstream::Message>, ack_wait: Duration, handle: &H)
where
    H: Fn(Vec<Record>) -> F,
    F: Future<Output = Vec<Verdict>>,
{
    let mut records = Vec::with_capacity(messages.len());
    let mut ackers: Vec<Acker> = Vec::with_capacity(messages.len());
    for message in messages {
        if let Some(record) = Record::from_delivered(&message) {
            records.push(record);
            ackers.push(message.split().1);
        } else {
            tracing::warn!(subject = %message.subject, "Message without a place in a stream, left alone");
        }
    }
    let handling = handle(records);
    tokio::pin!(handling);
    // Three signals fit into one ack wait: two may get lost.
    let mut progress = tokio::time::interval(ack_wait / 3);
    progress.tick().await;
    let verdicts = loop {
        tokio::select! {
            verdicts = &mut handling => break verdicts,
            _ = progress.tick() => {
                let signals = async {
                    for acker in &ackers {
                        acker.ack_with(AckKind::Progress).await?;
                    }
                    Ok::<(), async_nats::Error>(())
                };
                // Not awaited for long: while NATS is away, the work below continues.
                if !matches!(tokio::time::timeout(SIGNAL_TIMEOUT, signals).await, Ok(Ok(()))) {
                    tracing::debug!("Progress could not be signalled");
                }
            }
        }
    };
    for (acker, verdict) in ackers.iter().zip(verdicts) {
        if let Err(error) = acker.ack_with(settled_by(verdict)).await {
            // The message comes again, and every handler bears that anyway.
            tracing::warn!(%error, "Message could not be settled");
        }
    }
}
