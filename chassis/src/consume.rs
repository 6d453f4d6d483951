//! The consume loop: takes messages of a durable consumer, keeps them alive while they are
//! handled, and settles each by its verdict.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::{self, AckKind};
use bellwether_proto::stream::ConsumerDefinition;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::args::StreamArgs;
use crate::bus::Bus;
use crate::pull::Pulls;
use crate::record::Record;
use crate::runtime::Chassis;
use crate::stream;
use crate::verdict::Verdict;

/// How long a signal of progress may take to be handed to the connection.
pub(crate) const SIGNAL_TIMEOUT: Duration = Duration::from_secs(1);

/// How long to wait after the server refused, before asking again.
pub(crate) const RETRY_DELAY: Duration = Duration::from_secs(2);

/// How long handlers may take after the order to stop; below the time that the service has for that.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(8);

/// How long the server may take to confirm that the last replies have arrived.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// Handles messages until the service stops; handlers have some seconds to end. `concurrency` is how many at once; with one,
/// they are handled in the order of the stream. With more, `handle` is called in that order, and the futures that it
/// returns run beside each other.
///
/// # Errors
/// None of the bus: those are logged and tried again for as long as the service runs.
pub async fn consume<H, F>(
    chassis: &Chassis,
    bus: &Bus,
    args: &StreamArgs,
    definition: &ConsumerDefinition,
    concurrency: usize,
    handle: H,
) -> anyhow::Result<()>
where
    H: Fn(Record) -> F + Send + Sync + 'static,
    F: Future<Output = Verdict> + Send + 'static,
{
    let free = Arc::new(Semaphore::new(concurrency));
    let mut under_way = JoinSet::new();
    let reading = async {
        while !chassis.stop.is_cancelled() {
            let pulling = pull(chassis, bus, definition, &free, &mut under_way, &handle);
            if let Err(error) = pulling.await {
                tracing::warn!(
                    consumer = definition.name,
                    error = format!("{error:#}"),
                    "Messages cannot be fetched, trying again"
                );
                // A new connection is worth a new try at once.
                let mut connections = bus.connections();
                tokio::select! {
                    () = tokio::time::sleep(RETRY_DELAY) => (),
                    Ok(()) = connections.changed() => (),
                    () = chassis.stop.cancelled() => break,
                }
                // The server may have lost its state: what is missing is made again.
                if bus.is_connected()
                    && let Err(error) = stream::ensure(bus, args).await
                {
                    tracing::warn!(error = format!("{error:#}"), "JetStream is not set up");
                }
            }
        }
    };
    tokio::select! {
        () = reading => (),
        () = stream::observe_waiting(bus, definition) => (),
    }
    let settled = async { while under_way.join_next().await.is_some() {} };
    if tokio::time::timeout(SETTLE_TIMEOUT, settled).await.is_err() {
        // Their ack wait ends, and another replica continues them.
        tracing::warn!(messages = under_way.len(), "Messages are not settled, and dropped");
    }
    under_way.shutdown().await;
    // The last replies are on their way to the server, and would be lost with the connection.
    if !matches!(
        tokio::time::timeout(FLUSH_TIMEOUT, bus.client.flush()).await,
        Ok(Ok(()))
    ) {
        tracing::debug!("The last replies to messages may not have arrived");
    }
    Ok(())
}

async fn pull<H, F>(
    chassis: &Chassis,
    bus: &Bus,
    definition: &ConsumerDefinition,
    free: &Arc<Semaphore>,
    under_way: &mut JoinSet<()>,
    handle: &H,
) -> anyhow::Result<()>
where
    H: Fn(Record) -> F + Send + Sync + 'static,
    F: Future<Output = Verdict> + Send + 'static,
{
    let mut pulls = Pulls::open(bus, definition).await?;
    let ended = async {
        loop {
            // A place first, then a message: what is fetched is handled at once.
            let place = tokio::select! {
                place = Arc::clone(free).acquire_owned() => place?,
                () = chassis.stop.cancelled() => return Ok(()),
            };
            while under_way.try_join_next().is_some() {}
            let message = tokio::select! {
                message = pulls.next() => message?,
                () = chassis.stop.cancelled() => return Ok(()),
            };
            bus.lag.taken(definition, &message);
            let Some(record) = Record::from_delivered(&message) else {
                tracing::warn!(subject = %message.subject, "Message without a place in a stream, left alone");
                continue;
            };
            let handling = handle(record);
            let ack_wait = definition.ack_wait;
            under_way.spawn(async move {
                settle(message, ack_wait, handling).await;
                drop(place);
            });
        }
    }
    .await;
    pulls.end().await;
    ended
}

async fn settle(message: jetstream::Message, ack_wait: Duration, handling: impl Future<Output = Verdict>) {
    let (message, acker) = message.split();
    tokio::pin!(handling);
    // Three signals fit into one ack wait: two may get lost.
    let mut progress = tokio::time::interval(ack_wait / 3);
    progress.tick().await;
    let verdict = loop {
        tokio::select! {
            verdict = &mut handling => break verdict,
            _ = progress.tick() => {
                // Not awaited for long: while NATS is away, the work below must go on.
                let signal = acker.ack_with(AckKind::Progress);
                if !matches!(tokio::time::timeout(SIGNAL_TIMEOUT, signal).await, Ok(Ok(()))) {
                    tracing::debug!("Progress could not be signalled");
                }
            }
        }
    };
    if let Err(error) = acker.ack_with(settled_by(verdict)).await {
        // It will come again, and every handler has to bear that anyway.
        tracing::warn!(subject = %message.subject, %error, "Message could not be settled");
    }
}

/// The reply that settles a message.
pub(crate) fn settled_by(verdict: Verdict) -> AckKind {
    match verdict {
        Verdict::Ack => AckKind::Ack,
        Verdict::RetryAfter(delay) => AckKind::Nak(Some(delay)),
        Verdict::Terminate => AckKind::Term,
    }
}
