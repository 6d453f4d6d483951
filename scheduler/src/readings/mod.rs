//! Readings: asks other servers what gates depend on, and hands the outcomes to the core.
//!
//! One file for each kind of server. Nothing is decided here: an outcome says what was found, and the core what follows.
//! Every query has a time-out. The core bounds how many there are at once: one for each gate that a node waits for.

mod daemon_pods;
pub(crate) mod drain;
mod pods;
mod prometheus;
mod secret;

use std::future::pending;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bellwether_chassis::{Bus, chain};
use bellwether_proto::CheckDrain;
use bellwether_scheduler_core::Input;
use bellwether_scheduler_core::reading::{Outcome, Query};
use jiff::Timestamp;
use kube::Client;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

pub(crate) use secret::DEFAULT_FOLDER;

/// How many listings of pods are under way at once, and the pause after each: about thirty a second at most, however
/// many nodes have a pod that keeps them.
const LISTINGS_MAX: usize = 4;
const PAUSE: Duration = Duration::from_millis(100);

/// The pause after an answer that a node cannot be drained, before the core takes the answer and asks about the next
/// node: less than ten a second, so that a fleet in which no node can be drained costs the API server little.
const AFTER_OBSTACLE: Duration = Duration::from_millis(100);

/// The queries that are being asked. Dropped, they are broken off.
pub(crate) struct Readings {
    /// Where the files are that policies name.
    secrets: PathBuf,
    client: Client,
    bus: Bus,
    /// At most so many listings of pods at once.
    listings: Arc<Semaphore>,
    asked: JoinSet<Input>,
}

impl Readings {
    pub(crate) fn new(secrets: PathBuf, client: Client, bus: Bus) -> Self {
        Self {
            secrets,
            client,
            bus,
            listings: Arc::new(Semaphore::new(LISTINGS_MAX)),
            asked: JoinSet::new(),
        }
    }

    /// Begins to ask.
    pub(crate) fn ask(&mut self, query: Query, asked_at: Timestamp) {
        let (secrets, client, listings) = (self.secrets.clone(), self.client.clone(), Arc::clone(&self.listings));
        let bus = self.bus.clone();
        self.asked.spawn(async move {
            let outcome = match &query {
                Query::Prometheus(gate) => prometheus::ask(gate, &secrets).await,
                Query::Drain { node, beside } => {
                    let question = CheckDrain {
                        node: node.clone(),
                        asked_at,
                        beside: beside.clone(),
                    };
                    let outcome = drain::outcome_of(&drain::ask(&bus, &question).await);
                    if outcome != Outcome::Open {
                        tokio::time::sleep(AFTER_OBSTACLE).await;
                    }
                    outcome
                }
                Query::DaemonPods { node, selector } => daemon_pods::ask(&client, node, selector).await,
                Query::Pods { node, gate } => {
                    // The semaphore is never closed.
                    let _turn = listings.acquire().await;
                    let outcome = pods::ask(&client, node, gate).await;
                    tokio::time::sleep(PAUSE).await;
                    outcome
                }
            };
            Input::Reading {
                query,
                asked_at,
                outcome,
            }
        });
    }

    /// The next outcome; waits for ever if nothing is asked. Dropping this future loses none.
    pub(crate) async fn next(&mut self) -> Input {
        loop {
            match self.asked.join_next().await {
                Some(Ok(reading)) => return reading,
                // The core asks again after a while.
                Some(Err(error)) => tracing::error!(error = chain(&error), "Query of a gate ended without an outcome"),
                None => pending().await,
            }
        }
    }
}
