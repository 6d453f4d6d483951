//! Publishes the events of the chains, beside the leading loop: nothing waits for it.
//!
//! A leader that another one has superseded may have read the stream before, and publish after. So it publishes an event that
//! follows the stream's newest one by its hash; or, after a look at the stream, one of records that it still owns. The server
//! stores either only if the stream's newest event is still the one that was read.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use bellwether_chassis::{Backoff, Bus, Expect, PublishError, Record, Watched, clock};
use bellwether_proto::stream::EVENTS_STREAM;
use bellwether_proto::{Encoded, EventHash, Lacking, NodeEvent, OrderChanged, encode_body, subject};
use bellwether_scheduler_core::trail::{Due, Newest, Owner, oldest_kept};
use futures_util::StreamExt as _;
use tokio::time::timeout;

use crate::bus::outbox::Chains;
use crate::bus::store::Ownership;

/// A server refuses what a user may not publish without an answer, so the fault alone does not show it.
pub(crate) const ASK_RIGHT: &str = "may the scheduler's user publish this subject? proto/README.md lists the rights";

/// How often an event is looked for and published again because another writer publishes it meanwhile, or the loop writes a
/// record: there are two replicas, and the one that leads no more has one event on its way.
const TRIES_MAX: usize = 3;

/// How soon what NATS does not answer at all is tried again, and how late: once each seven seconds costs a stream nothing.
const RETRY: Backoff = Backoff::between(Duration::from_secs(1), Duration::from_secs(7));

/// How soon a chain is tried again whose event the stream did not take, and how late: a right that is missing is missing for
/// hours, and each try keeps the other chains waiting for the seconds until it has failed.
const RETRY_CHAIN: Backoff = Backoff::between(Duration::from_secs(1), Duration::from_secs(240));

/// How long the look at the newest event of each chain may take: a second for 5,000 nodes, and as much again for a slow disk
/// many times over.
const LOOK_MAX: Duration = Duration::from_secs(30);

/// Publishes what waits in the chains of one turn of leading.
pub(crate) struct Publisher {
    bus: Bus,
    ownership: Ownership,
    chains: Arc<Chains>,
}

impl Publisher {
    pub(crate) fn new(bus: Bus, ownership: Ownership, chains: Arc<Chains>) -> Self {
        Self { bus, ownership, chains }
    }

    /// Publishes, for ever: one event at a time.
    pub(crate) async fn publish(&self) {
        let mut retry = RETRY;
        // Else each node of a fleet would cost a request after each change of leader.
        while let Err(error) = self.look_at_all().await {
            report(&error, &retry);
            tokio::time::sleep(retry.after_failure()).await;
        }
        retry = RETRY;
        loop {
            let due = self.chains.next_due().await;
            let done = self.publish_due(&due).await;
            // Whatever the fault: without progress the next try would come at once, and for ever.
            let done = done.and_then(|()| {
                let has_progressed = self.chains.trail().has_progressed(&due);
                anyhow::ensure!(has_progressed, "the stream took nothing, and lacks nothing");
                Ok(())
            });
            match done {
                Ok(()) => retry = RETRY,
                Err(error) if self.bus.is_connected() => self.failed(&due.owner, &error),
                Err(error) => {
                    report(&error, &retry);
                    self.chains.trail().failed(&due.owner, None);
                    tokio::time::sleep(retry.after_failure()).await;
                }
            }
        }
    }

    /// The chain is tried again later, while the others are published. The first fault of a series is news.
    fn failed(&self, owner: &Owner, error: &anyhow::Error) {
        let error = format!("{error:#}");
        let subject = owner.subject();
        let mut trail = self.chains.trail();
        let failures = trail.failures(owner);
        if failures == 0 {
            tracing::warn!(subject, error, "Events wait in their record: {ASK_RIGHT}");
        } else {
            tracing::debug!(subject, error, failures, "Events still wait in their record");
        }
        let now = clock::now();
        let retry_at = now.checked_add(RETRY_CHAIN.after(failures)).unwrap_or(now);
        trail.failed(owner, Some(retry_at));
    }

    /// One look shows which chains the stream has in full.
    async fn look_at_all(&self) -> anyhow::Result<()> {
        let look = async {
            let max_age = self.bus.max_age(EVENTS_STREAM.name).await?;
            let kept_since = self.bus.kept_since(EVENTS_STREAM.name).await?;
            let oldest = oldest_kept(clock::now(), max_age, kept_since);
            anyhow::Ok((oldest, self.newest_of_all().await?))
        };
        let looked = timeout(LOOK_MAX, look).await;
        let (oldest, newest) = looked.context("the stream of events has not answered in time")??;
        self.chains.trail().settle(oldest, &newest);
        self.chains.notify_published();
        Ok(())
    }

    /// The newest event of each chain, by its subject.
    async fn newest_of_all(&self) -> anyhow::Result<BTreeMap<String, Newest>> {
        let of_orders = self
            .bus
            .read_current(EVENTS_STREAM.name, subject::order_changed())
            .await?;
        let filter = subject::ALL_PHASE_CHANGED.to_owned();
        let mut watch = self.bus.watch(EVENTS_STREAM.name, filter).await?;
        let mut newest = BTreeMap::new();
        newest.extend(
            of_orders
                .iter()
                .map(|record| (record.subject.clone(), newest_event(record))),
        );
        while let Some(watched) = watch.next().await {
            match watched? {
                Watched::Record(record) => drop(newest.insert(record.subject.clone(), newest_event(&record))),
                Watched::CaughtUp => return Ok(newest),
            }
        }
        anyhow::bail!("the watch of the events ended before all were read")
    }

    /// Publishes what the stream lacks of one chain.
    async fn publish_due(&self, due: &Due) -> anyhow::Result<()> {
        let subject = due.owner.subject();
        let mut known = due.newest;
        for _ in 0..TRIES_MAX {
            let newest = match known.take() {
                Some(newest) => Some(newest),
                None => {
                    let read = self.bus.read_current(EVENTS_STREAM.name, subject.clone()).await?;
                    read.as_ref().map(newest_event)
                }
            };
            let lacking = lacking(due, newest.map(|newest| newest.hash));
            if lacking.bodies.is_empty() {
                self.chains.trail().complete(due, newest);
                self.chains.notify_published();
                return Ok(());
            }
            if !self.may_publish(&lacking).await? {
                continue;
            }
            match self.publish_after(&due.owner, &subject, newest, lacking.bodies).await {
                Ok(()) => return Ok(()),
                // Another replica has published it, or the newest event has left the stream.
                Err(PublishError::Conflict { .. }) => (),
                Err(error) => return Err(error.into()),
            }
        }
        anyhow::bail!("another writer publishes to {subject}, or writes records: another scheduler may lead")
    }

    /// Asked after the look at the stream, so that events of a leader that has superseded this one are known by it.
    async fn may_publish(&self, lacking: &Lacking<'_>) -> anyhow::Result<bool> {
        if lacking.follows {
            return Ok(true);
        }
        self.ownership.is_proved().await
    }

    async fn publish_after(
        &self,
        owner: &Owner,
        subject: &str,
        mut newest: Option<Newest>,
        bodies: &[Vec<u8>],
    ) -> Result<(), PublishError> {
        for body in bodies {
            let hash = EventHash::of(body);
            let event = encoded(owner, body);
            let expected = Expect::LastOfSubject(newest.map_or(0, |newest| newest.sequence));
            // Without a message id, which another client could use up: the sequence shows a repetition.
            match self.bus.publish_aside(subject.to_owned(), event, expected).await {
                Ok(sequence) => newest = Some(Newest { sequence, hash }),
                Err(error @ PublishError::TooLong { .. }) => {
                    let error = bellwether_chassis::chain(&error);
                    tracing::warn!(subject, error, "Event left out: the chain has a gap");
                }
                Err(error) => return Err(error),
            }
            self.published(owner, newest, hash);
        }
        Ok(())
    }

    fn published(&self, owner: &Owner, newest: Option<Newest>, done: EventHash) {
        self.chains.trail().published(owner, newest, done);
        self.chains.notify_published();
    }
}

fn lacking(due: &Due, newest: Option<EventHash>) -> Lacking<'_> {
    match due.owner {
        Owner::Fleet => due.chain.lacking::<OrderChanged>(newest),
        Owner::Node(_) => due.chain.lacking::<NodeEvent>(newest),
    }
}

fn encoded(owner: &Owner, body: &[u8]) -> Encoded {
    match owner {
        Owner::Fleet => encode_body::<OrderChanged>(body.to_vec()),
        Owner::Node(_) => encode_body::<NodeEvent>(body.to_vec()),
    }
}

fn newest_event(record: &Record) -> Newest {
    Newest {
        sequence: record.sequence,
        hash: EventHash::of(record.body()),
    }
}

/// The first fault of a series is news.
fn report(error: &anyhow::Error, retry: &Backoff) {
    let error = format!("{error:#}");
    if retry.is_first() {
        tracing::warn!(error, "Events wait in their records");
    } else {
        tracing::debug!(error, "Events still wait in their records");
    }
}
