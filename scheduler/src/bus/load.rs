//! Reading every record before this replica leads.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail};
use bellwether_chassis::{Bus, Record, Watched};
use bellwether_proto::stream::ATTEMPTS_STREAM;
use bellwether_proto::subject::{self, Topic};
use bellwether_proto::{Attempt, FleetControl, NodeName, NodeToken};
use futures_util::StreamExt as _;

use crate::bus::store::Store;
use crate::bus::wire::Rejection;

/// How often loading starts again because another scheduler writes meanwhile. It should have lost its
/// Lease by now; if it writes on, loading fails, and the caller tries again later.
const LOADS_MAX: usize = 5;

/// All records, and the right to write the next one.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) attempts: Vec<Attempt>,
    /// Nodes whose record cannot be parsed, each with the reason.
    pub(crate) unreadable: BTreeMap<NodeName, String>,
    pub(crate) control: Option<FleetControl>,
    pub(crate) store: Store,
}

/// Reads every record.
///
/// # Errors
/// NATS does not answer, another scheduler keeps writing, or the orders for the fleet cannot be parsed.
pub(crate) async fn load(bus: &Bus) -> anyhow::Result<Loaded> {
    for _ in 0..LOADS_MAX {
        let state = bus.state(ATTEMPTS_STREAM.name).await?;
        let records = all_records(bus).await?;
        if bus.state(ATTEMPTS_STREAM.name).await? == state {
            return parse(Store::new(bus.clone(), state), &records);
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

fn parse(store: Store, records: &[Record]) -> anyhow::Result<Loaded> {
    let mut loaded = Loaded {
        attempts: Vec::new(),
        unreadable: BTreeMap::new(),
        control: None,
        store,
    };
    for record in records.iter().filter(|record| !record.deleted) {
        match Topic::parse(&record.subject) {
            // Without this record no replica knows whether the fleet is paused: better that none leads.
            Some(Topic::Control) => {
                let remedy = || format!("read {}; write it again or delete it", record.subject);
                loaded.control = Some(record.decode().with_context(remedy)?);
            }
            Some(Topic::Attempt(token)) => match attempt(record, &token) {
                Ok(attempt) => loaded.attempts.push(attempt),
                Err(rejection) => {
                    let problem = bellwether_chassis::chain(&rejection);
                    tracing::error!(
                        subject = record.subject,
                        error = problem,
                        "Record cannot be read, its node is left alone"
                    );
                    loaded
                        .unreadable
                        .insert(token.name(), format!("{problem} (key {token})"));
                }
            },
            Some(
                Topic::Drain(_)
                | Topic::Uncordon(_)
                | Topic::Taint(_)
                | Topic::DrainQuestion(_)
                | Topic::DrainAnswer(_)
                | Topic::Event(..)
                | Topic::Sentinel(_)
                | Topic::Rebooter(_),
            )
            | None => {
                tracing::warn!(subject = record.subject, "Record with an unknown key, left alone");
            }
        }
    }
    Ok(loaded)
}

fn attempt(record: &Record, token: &NodeToken) -> Result<Attempt, Rejection> {
    let attempt: Attempt = record.decode()?;
    subject::same_node(token, &attempt.node)?;
    Ok(attempt)
}
