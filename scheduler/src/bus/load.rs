//! Reading every record before this replica leads.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use bellwether_chassis::{Bus, Claim, PublishError, Record, Watched};
use bellwether_proto::stream::ATTEMPTS_STREAM;
use bellwether_proto::subject::{self, Topic};
use bellwether_proto::{
    Attempt, EventChain, FleetControl, FleetOrder, NodeName, NodeToken, OrderChanged, OrderKind, OrderScope,
    SignatureFault, Signed, WireError, decode_body,
};
use bellwether_scheduler_core::trail::{Owner as ChainOwner, StoredChain};
use futures_util::StreamExt as _;
use jiff::Timestamp;

use crate::bus::store::Store;
use crate::bus::wire::Rejection;
use crate::cluster::record_keys::RecordKeys;

/// How often loading starts again because another scheduler writes meanwhile. It should have lost its
/// Lease by now; if it writes on, loading fails, and the caller tries again later.
const LOADS_MAX: usize = 5;

/// All records, and the right to write the next one.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) attempts: Vec<Attempt>,
    /// The chains of their events, taken out of the records.
    pub(crate) chains: Vec<StoredChain>,
    /// Nodes whose record cannot be parsed, each with the reason.
    pub(crate) unreadable: BTreeMap<NodeName, String>,
    pub(crate) control: Option<FleetControl>,
    /// Records that count for nothing, since no scheduler has signed them: the subject of each, and the fault.
    pub(crate) untrusted: Vec<(String, SignatureFault)>,
    pub(crate) store: Store,
    /// Records that another key has signed, or none, and that count.
    outdated: Vec<Record>,
}

/// Reads every record, and signs those again that the key of today has not signed.
///
/// # Errors
/// NATS does not answer, another scheduler keeps writing, or the orders for the fleet cannot be parsed.
pub(crate) async fn load(bus: &Bus, keys: &RecordKeys) -> anyhow::Result<Loaded> {
    for _ in 0..LOADS_MAX {
        let state = bus.state(ATTEMPTS_STREAM.name).await?;
        let records = all_records(bus).await?;
        if bus.state(ATTEMPTS_STREAM.name).await? == state {
            let store = Store::new(bus.clone(), state, Arc::clone(&keys.signing));
            let mut loaded = parse(store, &records, keys)?;
            loaded.sign_again().await?;
            return Ok(loaded);
        }
    }
    bail!(
        "another scheduler keeps writing to {}: does it still lead?",
        ATTEMPTS_STREAM.name
    )
}

/// The newest record of each subject. The watch gives an error if a record that is stored does not arrive.
async fn all_records(bus: &Bus) -> anyhow::Result<Vec<Record>> {
    let mut watch = bus.watch(ATTEMPTS_STREAM.name, subject::all_attempt_records()).await?;
    // A replica that is behind gives an older record of a subject first.
    let mut records = BTreeMap::new();
    while let Some(watched) = watch.next().await {
        match watched? {
            Watched::Record(record) => drop(records.insert(record.subject.clone(), record)),
            Watched::CaughtUp => return Ok(records.into_values().collect()),
        }
    }
    bail!("the watch of the records ended before all were read")
}

impl Loaded {
    /// Every record that counts is signed by the key of today. What NATS does not store is tried again at the next load:
    /// the key before counts until then.
    pub(crate) fn is_signed(&self) -> bool {
        self.outdated.is_empty()
    }

    fn count(&mut self, owner: &Owner, record: &Trusted<'_>) -> anyhow::Result<()> {
        match owner {
            // Without this record no replica knows whether the fleet is paused: better that none leads.
            Owner::Fleet => {
                let remedy = || format!("read {}; write it again or delete it", record.0.subject);
                let mut control: FleetControl = record.read().with_context(remedy)?;
                if let Some(chain) = control.event_chain.take() {
                    self.chains.push(StoredChain {
                        at: happened_at(&chain).unwrap_or(control.since),
                        owner: ChainOwner::Fleet,
                        chain: *chain,
                    });
                }
                self.control = Some(control);
            }
            Owner::Node(token) => match attempt(record, token) {
                Ok(mut attempt) => {
                    if let Some(chain) = attempt.event_chain.take() {
                        self.chains.push(StoredChain {
                            owner: ChainOwner::Node(attempt.node.clone()),
                            chain: *chain,
                            at: attempt.phase_since(),
                        });
                    }
                    self.attempts.push(attempt);
                }
                Err(rejection) => {
                    let problem = bellwether_chassis::chain(&rejection);
                    tracing::error!(
                        subject = record.0.subject,
                        error = problem,
                        "Record cannot be read, its node is left alone"
                    );
                    self.unreadable.insert(token.name(), format!("{problem} (key {token})"));
                }
            },
        }
        Ok(())
    }

    fn distrust(&mut self, owner: &Owner, record: &Record, fault: SignatureFault) {
        let (subject, code) = (&record.subject, fault.code());
        tracing::error!(subject, code, error = %fault, "Record is not trusted, and counts as none");
        if matches!(owner, Owner::Fleet) {
            self.control = Some(paused(record, &fault));
        }
        self.untrusted.push((subject.clone(), fault));
    }

    async fn sign_again(&mut self) -> anyhow::Result<()> {
        if self.is_signed() {
            return Ok(());
        }
        tracing::info!(records = self.outdated.len(), "Signing records with the key of today");
        while let Some(record) = self.outdated.last() {
            match self.store.sign_again(record).await {
                Ok(()) => drop(self.outdated.pop()),
                Err(error @ PublishError::Conflict { .. }) => return Err(error.into()),
                Err(error) => {
                    let error = bellwether_chassis::chain(&error);
                    tracing::warn!(error, "Records are not signed with the key of today");
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

/// Whose record it is.
enum Owner {
    Fleet,
    Node(NodeToken),
}

/// A record that counts. Only [`trust`] makes one, so nothing else is read as what a scheduler wrote.
struct Trusted<'a>(&'a Record);

impl Trusted<'_> {
    fn read<M: Signed>(&self) -> Result<M, WireError> {
        self.0.claim().map(Claim::unverified)
    }
}

fn parse(store: Store, records: &[Record], keys: &RecordKeys) -> anyhow::Result<Loaded> {
    let mut loaded = Loaded {
        attempts: Vec::new(),
        chains: Vec::new(),
        unreadable: BTreeMap::new(),
        control: None,
        untrusted: Vec::new(),
        store,
        outdated: Vec::new(),
    };
    for record in records.iter().filter(|record| !record.deleted) {
        let owner = match Topic::parse(&record.subject) {
            Some(Topic::Control) => Owner::Fleet,
            Some(Topic::Attempt(token)) => Owner::Node(token),
            Some(
                Topic::Drain(_)
                | Topic::Uncordon(_)
                | Topic::Taint(_)
                | Topic::DrainQuestion(_)
                | Topic::DrainAnswer(_)
                | Topic::Event(..)
                | Topic::FleetEvent(_)
                | Topic::OrderChanged
                | Topic::Sentinel(_)
                | Topic::Rebooter(_),
            )
            | None => {
                tracing::warn!(subject = record.subject, "Record with an unknown key, left alone");
                continue;
            }
        };
        match trust(record, keys) {
            Ok(trusted) => {
                if record.named_key() != Some(keys.signing.id()) {
                    loaded.outdated.push(record.clone());
                }
                loaded.count(&owner, &trusted)?;
            }
            Err(fault) => loaded.distrust(&owner, record, fault),
        }
    }
    Ok(loaded)
}

/// Whether a record counts: a scheduler has signed it; or no record is signed yet, since this release is new here.
fn trust<'a>(record: &'a Record, keys: &RecordKeys) -> Result<Trusted<'a>, SignatureFault> {
    match record.verify(&keys.public) {
        Err(SignatureFault::Unsigned) if keys.adopts => Ok(Trusted(record)),
        verified => verified.map(|()| Trusted(record)),
    }
}

fn attempt(record: &Trusted<'_>, token: &NodeToken) -> Result<Attempt, Rejection> {
    let attempt: Attempt = record.read()?;
    subject::same_node(token, &attempt.node)?;
    Ok(attempt)
}

/// When the newest event about orders happened: the record may have been stored since, with a new key.
fn happened_at(chain: &EventChain) -> Option<Timestamp> {
    let event: OrderChanged = decode_body(chain.unpublished.last()?).ok()?;
    Some(event.at)
}

/// What counts in place of orders that are not trusted: nothing starts until an operator has looked.
fn paused(record: &Record, fault: &SignatureFault) -> FleetControl {
    let by = "bellwether-scheduler".to_owned();
    let reason = format!(
        "the stored orders are not trusted, {}: {fault}. Resume the fleet, and give again the orders that have to stand",
        fault.code()
    );
    FleetControl {
        by: by.clone(),
        reason: reason.clone(),
        since: record.stored_at,
        orders: vec![FleetOrder {
            kind: OrderKind::Block,
            scope: OrderScope::Fleet,
            by,
            reason,
            since: record.stored_at,
            until: None,
        }],
        event_chain: None,
    }
}
