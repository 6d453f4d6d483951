//! The event about what waits for reboots, published by the leader beside its loop: nothing waits for it.
//!
//! The next leader continues after the newest event in the stream, so each change is one event.

use std::time::Duration;

use anyhow::Context as _;
use bellwether_chassis::{Backoff, Bus, Expect, clock};
use bellwether_proto::stream::EVENTS_STREAM;
use bellwether_proto::{FleetEvent, FleetFact, PolicyQueue, encode, subject};
use bellwether_scheduler_core::queues_differ;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::bus::publisher::ASK_RIGHT;

/// How long after an event the next one comes at the earliest. A rollout changes the queues with each
/// node, and what is published about them are waits of minutes to days.
const INTERVAL: Duration = Duration::from_secs(60);

/// How soon what NATS did not take is tried again, and how late: a right that is missing is missing for hours.
const RETRY: Backoff = Backoff::between(INTERVAL, Duration::from_secs(960));

/// How long NATS may take for one read and one event.
const TIMEOUT: Duration = Duration::from_secs(5);

/// What waits; none: the leader has not decided yet.
pub(crate) type Queues = Option<Vec<PolicyQueue>>;

/// The newest event in the stream.
struct Newest {
    /// 0: there is none.
    sequence: u64,
    /// None: the event is of a version that this one does not read.
    queues: Queues,
}

/// Publishes what is sent and differs from the newest event, for ever. What NATS does not take is logged once, and tried again.
pub(crate) async fn publish(bus: Bus, source: String, mut queues: watch::Receiver<Queues>) {
    let (mut newest, mut retry) = (None, RETRY);
    // The sender lives as long as the leader, and this future too.
    while queues.changed().await.is_ok() {
        let Some(present) = queues.borrow_and_update().clone() else {
            continue;
        };
        let published = timeout(TIMEOUT, publish_news(&bus, &source, &present, &mut newest)).await;
        match published.context("NATS has not answered in time").flatten() {
            Ok(false) => retry = RETRY,
            Ok(true) => {
                retry = RETRY;
                tokio::time::sleep(INTERVAL).await;
            }
            Err(error) => {
                report(&error, &retry);
                newest = None;
                queues.mark_changed();
                tokio::time::sleep(retry.after_failure()).await;
            }
        }
    }
}

/// The first fault of a series is news.
fn report(error: &anyhow::Error, retry: &Backoff) {
    let error = format!("{error:#}");
    let subject = subject::queues_changed();
    if retry.is_first() {
        tracing::warn!(subject, error, "Event about the queues not published: {ASK_RIGHT}");
    } else {
        tracing::debug!(subject, error, "Event about the queues still not published");
    }
}

/// False: the stream has it already.
async fn publish_news(
    bus: &Bus,
    source: &str,
    present: &[PolicyQueue],
    newest: &mut Option<Newest>,
) -> anyhow::Result<bool> {
    let known = match newest.take() {
        Some(known) => known,
        None => read(bus).await?,
    };
    let is_news = known
        .queues
        .as_ref()
        .is_none_or(|before| queues_differ(before, present));
    if !is_news {
        *newest = Some(known);
        return Ok(false);
    }
    let event = FleetEvent {
        at: clock::now(),
        source: source.to_owned(),
        fact: FleetFact::QueuesChanged(present.to_vec()),
    };
    // Of two replicas only one stores it.
    let expect = Expect::LastOfSubject(known.sequence);
    let sequence = bus
        .publish_aside(subject::fleet_event(&event), encode(&event), expect)
        .await?;
    let queues = Some(present.to_vec());
    *newest = Some(Newest { sequence, queues });
    Ok(true)
}

async fn read(bus: &Bus) -> anyhow::Result<Newest> {
    let stored = bus.read_current(EVENTS_STREAM.name, subject::queues_changed()).await?;
    let Some(record) = stored else {
        // Before the first event nothing waits.
        let queues = Some(Vec::new());
        return Ok(Newest { sequence: 0, queues });
    };
    let event = record.decode::<FleetEvent>().ok();
    Ok(Newest {
        sequence: record.sequence,
        queues: event.map(|event| match event.fact {
            FleetFact::QueuesChanged(queues) => queues,
        }),
    })
}
