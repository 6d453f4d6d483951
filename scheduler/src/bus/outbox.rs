//! The chain of events: an event is stored in its node's record first, and published after that. So a leader that dies in
//! between leaves no gap: the next one publishes what the stream lacks.
//!
//! No decision waits for an event. What the stream does not take stays in the records, and is tried again.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::identity;
use std::time::Duration;

use anyhow::Context as _;

use bellwether_chassis::{Bus, Expect, PublishError, Record, Watched, clock};
use bellwether_proto::stream::EVENTS_STREAM;
use bellwether_proto::{Attempt, EventChain, EventHash, NodeEvent, NodeName, chain, encode_body, subject, wire};
use futures_util::StreamExt as _;
use jiff::Timestamp;
use tokio::time::timeout;

/// How often an event is looked for and published again because another replica publishes it meanwhile. There are two
/// replicas, and the one that leads no more has one event on its way.
const TRIES_MAX: usize = 3;

/// How long the leading loop may wait for the stream at a time: a stream on a healthy server answers in milliseconds. What it has
/// not taken by then waits in the record.
const PATIENCE: Duration = Duration::from_millis(500);

/// How long a load may: one read of the newest event of each node, and the few events that a dead leader had on their way.
const LOAD_PATIENCE: Duration = Duration::from_secs(2);

/// So many nodes in a row whose event is not taken: then the stream is at fault, and not the node.
const FAULTS_MAX: usize = 2;

/// Why an event waits that neither was refused nor is stored.
const SLOW: &str = "the stream of events has not answered in time";

/// A chain as a record has it.
#[derive(Debug)]
pub(crate) struct StoredChain {
    pub(crate) node: NodeName,
    pub(crate) chain: EventChain,
    /// When its newest event happened: the record may have been stored since, as it is with a new key.
    pub(crate) at: Timestamp,
}

/// A chain, and when its newest event happened.
#[derive(Debug)]
struct Kept {
    chain: EventChain,
    at: Timestamp,
}

/// The newest event of a subject.
#[derive(Debug, Clone, Copy)]
struct Newest {
    sequence: u64,
    hash: EventHash,
}

/// The chain of each node.
#[derive(Debug)]
pub(crate) struct Outbox {
    bus: Bus,
    chains: BTreeMap<NodeName, Kept>,
    /// Nodes with an event that the stream may not have.
    waiting: BTreeSet<NodeName>,
    /// The stream did not take the last event.
    fails: bool,
    /// The node of the last try again.
    tried: Option<NodeName>,
}

impl Outbox {
    /// Continues these chains, after what the stream lacks is published.
    pub(crate) async fn load(bus: Bus, stored: Vec<StoredChain>) -> Self {
        let mut outbox = Self {
            bus,
            chains: BTreeMap::new(),
            waiting: BTreeSet::new(),
            fails: false,
            tried: None,
        };
        for StoredChain { node, chain, at } in stored {
            if !chain.unpublished.is_empty() {
                outbox.waiting.insert(node.clone());
            }
            outbox.chains.insert(node, Kept { chain, at });
        }
        let caught_up = timeout(LOAD_PATIENCE, outbox.catch_up()).await;
        if let Err(error) = caught_up.context(SLOW).and_then(identity) {
            outbox.failed(&error);
        }
        outbox
    }

    /// Gives a record its chain, to which the event is added.
    pub(crate) fn enter(&mut self, attempt: &mut Attempt, event: Option<NodeEvent>) {
        let chain = self.chains.remove(&attempt.node).map(|kept| kept.chain);
        let chain = match event {
            Some(event) => Some(chain::with(chain, event)),
            None => chain,
        };
        if let Some(chain) = chain {
            attempt.event_chain = Some(Box::new(chain.clone()));
            let at = attempt.phase_since();
            self.chains.insert(attempt.node.clone(), Kept { chain, at });
        }
    }

    /// Publishes what is new in the chain of this node, whose record is stored.
    pub(crate) async fn publish(&mut self, node: &NodeName) {
        self.waiting.insert(node.clone());
        // Else each event would cost the leader the time of a request.
        if self.fails {
            return;
        }
        let published = timeout(PATIENCE, self.publish_one(node, None)).await;
        if let Err(error) = published.context(SLOW).and_then(identity) {
            self.failed(&error);
        }
    }

    /// Tries again to publish what the stream did not take.
    pub(crate) async fn retry(&mut self) {
        let retried = timeout(PATIENCE, self.publish_waiting()).await;
        if let Err(error) = retried.context(SLOW).and_then(identity) {
            self.failed(&error);
        }
    }

    /// Publishes what waits, the nodes first that were not tried last: one whose event is never taken keeps no other one waiting.
    async fn publish_waiting(&mut self) -> anyhow::Result<()> {
        let mut nodes: Vec<NodeName> = self.waiting.iter().cloned().collect();
        let last = self.tried.as_ref();
        let tried = nodes.partition_point(|node| last.is_some_and(|last| node <= last));
        nodes.rotate_left(tried);
        let mut faults = 0;
        for node in nodes {
            self.tried = Some(node.clone());
            match self.publish_one(&node, None).await {
                Ok(()) => {
                    self.fails = false;
                    faults = 0;
                }
                Err(error) if faults + 1 < FAULTS_MAX => {
                    faults += 1;
                    tracing::debug!(%node, error = format!("{error:#}"), "An event waits in its record");
                }
                Err(error) => return Err(error.context(format!("the event of {node}"))),
            }
        }
        Ok(())
    }

    /// Where the chain of this node stands, or each chain. `kept_since`: from when on the stream has each event.
    pub(crate) fn heads(&self, node: Option<&NodeName>, kept_since: Option<Timestamp>) -> Vec<wire::HistoryHead> {
        let chains = self
            .chains
            .iter()
            .filter(|(name, _)| node.is_none_or(|node| node == *name));
        let heads = chains.map(|(name, Kept { chain, at })| wire::HistoryHead {
            node: name.to_string(),
            sequence: chain.sequence,
            hash: chain.hash.bytes().to_vec(),
            unpublished: chain.unpublished.clone(),
            has_left: chain.unpublished.is_empty() && kept_since.is_some_and(|since| *at < since),
        });
        heads.collect()
    }

    /// The record of this node is deleted: its next chain begins again. An event that is not published yet stays.
    pub(crate) fn forget(&mut self, node: &NodeName) {
        if !self.waiting.contains(node) {
            self.chains.remove(node);
        }
    }

    fn failed(&mut self, error: &anyhow::Error) {
        self.fails = true;
        let nodes = self.waiting.len();
        tracing::warn!(nodes, error = format!("{error:#}"), "Events wait in their records");
    }

    fn is_published(&mut self, node: &NodeName) {
        self.waiting.remove(node);
        if let Some(kept) = self.chains.get_mut(node) {
            kept.chain.unpublished.clear();
        }
    }

    /// Publishes what the stream lacks of all chains. One read shows the newest event of each.
    async fn catch_up(&mut self) -> anyhow::Result<()> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let max_age = self.bus.max_age(EVENTS_STREAM.name).await?;
        let oldest = max_age.map(|age| clock::now().checked_sub(age).unwrap_or(Timestamp::MIN));
        let newest = self.newest().await?;
        for node in self.waiting.clone() {
            // The stream had it for as long as it keeps events; or it was never published, and would have left by now.
            let at = self.chains.get(&node).map(|kept| kept.at);
            let has_left = at.zip(oldest).is_some_and(|(at, oldest)| at < oldest);
            let found = newest.get(&subject::phase_changed(&node.token()));
            if has_left {
                self.is_published(&node);
            } else {
                self.publish_one(&node, Some(found.copied())).await?;
            }
        }
        Ok(())
    }

    /// The newest event of each chain, by its subject.
    async fn newest(&self) -> anyhow::Result<BTreeMap<String, Newest>> {
        let mut watch = self
            .bus
            .watch(EVENTS_STREAM.name, subject::ALL_PHASE_CHANGED.to_owned())
            .await?;
        let mut newest = BTreeMap::new();
        while let Some(watched) = watch.next().await {
            match watched? {
                Watched::Record(record) => drop(newest.insert(record.subject.clone(), Newest::of(&record))),
                Watched::CaughtUp => return Ok(newest),
            }
        }
        anyhow::bail!("the watch of the events ended before all were read")
    }

    /// Publishes what the stream lacks of one chain. `known` is its newest event in the stream, if that is known.
    async fn publish_one(&mut self, node: &NodeName, mut known: Option<Option<Newest>>) -> anyhow::Result<()> {
        let subject = subject::phase_changed(&node.token());
        for _ in 0..TRIES_MAX {
            let newest = match known.take() {
                Some(newest) => newest,
                None => self
                    .bus
                    .read_current(EVENTS_STREAM.name, subject.clone())
                    .await?
                    .as_ref()
                    .map(Newest::of),
            };
            match self.publish_after(node, &subject, newest).await {
                Ok(()) => {
                    self.is_published(node);
                    return Ok(());
                }
                // Another replica has published it, or the newest event has left the stream.
                Err(PublishError::Conflict { .. }) => (),
                Err(error) => return Err(error.into()),
            }
        }
        anyhow::bail!("another writer keeps publishing to {subject}")
    }

    async fn publish_after(&self, node: &NodeName, subject: &str, newest: Option<Newest>) -> Result<(), PublishError> {
        let Some(Kept { chain, .. }) = self.chains.get(node) else {
            return Ok(());
        };
        let mut sequence = newest.map_or(0, |newest| newest.sequence);
        for body in chain.lacking(newest.map(|newest| newest.hash)) {
            let event = encode_body::<NodeEvent>(body.clone());
            // Without a message id, which another client could use up: the sequence shows a repetition.
            let stored = self
                .bus
                .publish(subject.to_owned(), event, None, Expect::LastOfSubject(sequence));
            match stored.await {
                Ok(stored) => sequence = stored,
                Err(error @ PublishError::TooLong { .. }) => {
                    let error = bellwether_chassis::chain(&error);
                    tracing::warn!(%node, error, "Event left out: the chain has a gap");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl Newest {
    fn of(record: &Record) -> Self {
        Self {
            sequence: record.sequence,
            hash: EventHash::of(record.body()),
        }
    }
}
