//! The records: loading them, and carrying out what the core wants, in order.
//!
//! Every write demands that the bucket's last message is the one that we know of. So a
//! replica that has been overtaken cannot store anything, on any node: not only one attempt,
//! but the budget as a whole is protected by compare-and-swap.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail};
use bellwether_chassis::{Bus, Expect, Record, Watched};
use bellwether_proto::stream::{ATTEMPTS_STREAM, COMMANDS_STREAM};
use bellwether_proto::subject::{self, Topic};
use bellwether_proto::{Attempt, DrainNode, FleetControl, NodeName, UncordonNode, encode};
use bellwether_scheduler_core::{Command, Effect};
use futures_util::StreamExt as _;

use crate::bus::wire;
use crate::error::EffectError;
use crate::observe::metrics::Metrics;
use crate::observe::spans;

/// How often loading starts again because somebody writes meanwhile: another leader, which
/// should have lost its lease by now.
const LOADS_MAX: usize = 5;

/// All records, and the place in the bucket up to which they are complete.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) attempts: Vec<Attempt>,
    pub(crate) unreadable: BTreeMap<NodeName, String>,
    pub(crate) control: Option<FleetControl>,
    pub(crate) store: Store,
}

/// The right to write, for as long as nobody else does.
#[derive(Debug)]
pub(crate) struct Store {
    bus: Bus,
    sequence: u64,
}

/// Reads every record.
pub(crate) async fn load(bus: &Bus) -> anyhow::Result<Loaded> {
    for _ in 0..LOADS_MAX {
        let sequence = bus.last_sequence(ATTEMPTS_STREAM.name).await?;
        let records = all_records(bus).await?;
        if bus.last_sequence(ATTEMPTS_STREAM.name).await? == sequence {
            return understand(bus, sequence, &records);
        }
    }
    bail!(
        "somebody else keeps writing to {}: does another scheduler lead?",
        ATTEMPTS_STREAM.name
    )
}

async fn all_records(bus: &Bus) -> anyhow::Result<Vec<Record>> {
    let mut watch = bus.watch(ATTEMPTS_STREAM.name, subject::all_attempt_records()).await?;
    let mut records = Vec::new();
    while let Some(watched) = watch.next().await {
        match watched? {
            Watched::Record(record) => records.push(record),
            Watched::CaughtUp => return Ok(records),
        }
    }
    bail!("the records were not told to the end")
}

fn understand(bus: &Bus, sequence: u64, records: &[Record]) -> anyhow::Result<Loaded> {
    let mut loaded = Loaded {
        attempts: Vec::new(),
        unreadable: BTreeMap::new(),
        control: None,
        store: Store {
            bus: bus.clone(),
            sequence,
        },
    };
    for record in records.iter().filter(|record| !record.deleted) {
        match Topic::parse(&record.subject) {
            // Without it nobody knows whether the fleet is paused: better nobody leads.
            Some(Topic::Control) => {
                let remedy = || format!("read {}; write it anew or delete it", record.subject);
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
            Some(Topic::Drain(_) | Topic::Uncordon(_) | Topic::Event(_) | Topic::Sentinel(_) | Topic::Rebooter(_))
            | None => {
                tracing::warn!(subject = record.subject, "Record with a strange key, left alone");
            }
        }
    }
    Ok(loaded)
}

fn attempt(record: &Record, token: &bellwether_proto::NodeToken) -> Result<Attempt, wire::Rejection> {
    let attempt: Attempt = record.decode()?;
    wire::same_node(token, &attempt.node)?;
    Ok(attempt)
}

impl Store {
    /// Does one thing that the core wants. After an error nothing more may be done: load anew.
    pub(crate) async fn carry_out(&mut self, effect: Effect, metrics: &Metrics) -> Result<(), EffectError> {
        match effect {
            Effect::Store(attempt) => {
                let subject = subject::attempt_record(&attempt.node.token());
                self.sequence = self
                    .bus
                    .publish(subject, encode(attempt.as_ref()), None, self.unchanged())
                    .await?;
            }
            Effect::StoreControl(control) => {
                let subject = subject::control_record();
                self.sequence = self
                    .bus
                    .publish(subject, encode(&control), None, self.unchanged())
                    .await?;
                tracing::info!(
                    paused = control.paused,
                    by = control.by,
                    reason = control.reason,
                    "Fleet ordered"
                );
            }
            Effect::Delete(node) => {
                let subject = subject::attempt_record(&node.token());
                self.sequence = self.bus.delete(subject, self.unchanged()).await?;
            }
            Effect::Announce(event) => {
                tracing::info!(node = %event.node, attempt = %event.attempt, fact = ?event.fact, "Phase changed");
                let id = format!("{}:{}:{}", event.attempt, event.generation, event.fact.kind());
                let subject = subject::event(&event.node.token(), &event.fact);
                self.bus
                    .publish(subject, encode(&event), Some(id), Expect::Anything)
                    .await?;
            }
            Effect::Ask(command) => self.ask(&command).await?,
            Effect::PhaseOver {
                attempt,
                phase,
                began,
                ended,
            } => {
                metrics.phase_over(&attempt, phase, began, ended);
                spans::write(&attempt, phase, began, ended);
            }
        }
        Ok(())
    }

    /// Nobody else has written.
    pub(crate) async fn is_newest(&self) -> anyhow::Result<bool> {
        Ok(self.bus.last_sequence(ATTEMPTS_STREAM.name).await? == self.sequence)
    }

    fn unchanged(&self) -> Expect {
        Expect::LastSequence(self.sequence)
    }

    /// Queues a command, unless the same one is queued or under way: a second copy would be
    /// given to a second drainer.
    async fn ask(&self, command: &Command) -> Result<(), EffectError> {
        let (subject, encoded) = wire::command(command);
        let queued = self.bus.read(COMMANDS_STREAM.name, subject.clone()).await;
        let queued = queued.map_err(|error| EffectError::Queue(error.into()))?;
        if queued.is_some_and(|queued| is_same(&queued, command)) {
            return Ok(());
        }
        self.bus.publish(subject, encoded, None, Expect::Anything).await?;
        Ok(())
    }
}

fn is_same(queued: &Record, command: &Command) -> bool {
    match command {
        Command::Drain(drain) => queued.decode::<DrainNode>().is_ok_and(|queued| queued == *drain),
        Command::Uncordon(uncordon) => queued.decode::<UncordonNode>().is_ok_and(|queued| queued == *uncordon),
    }
}
