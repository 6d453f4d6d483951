//! The stage of an agent: a real NATS server with the streams of the contract, and what listens on it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use bellwether_proto::permission::Role;
use bellwether_proto::stream::StreamDefinition;
use bellwether_proto::{NodeName, PublicKeys};
use rig::accounts::User;
use rig::bus::Bus;
use rig::nats::Nats;
use rig::place::Place;
use rig::record_keys::Signer;
use rig::{streams, tools, wait};
use tokio::task::JoinSet;

use super::rights;
use crate::ledger::Ledger;
use crate::stage::Command;
use crate::tap::Tap;

/// How many trials there may be: each has a node, which is a user of the NATS server.
const NODES_MAX: u32 = 200;

/// A server on loopback lists its streams within milliseconds.
const STREAM_DEADLINE: Duration = Duration::from_secs(10);

/// Everything that runs beside the processes of the trials.
pub(crate) struct Stage {
    pub(crate) role: Role,
    pub(crate) command: Command,
    pub(crate) bus: Bus,
    pub(crate) ledger: Ledger,
    pub(crate) tap: Tap,
    pub(super) nats: Nats,
    /// Signs the records.
    pub(crate) signer: Signer,
    /// The file of the keys that the program knows.
    pub(crate) keys: PathBuf,
    numbers: AtomicU32,
    _tasks: JoinSet<()>,
    /// The folder with logs and hosts. It goes after all that writes into it.
    pub(crate) place: Place,
}

impl Stage {
    /// Starts all of it for this role.
    pub(crate) async fn start(role: Role, command: &Command) -> Result<Self> {
        let place = Place::new()?;
        let tokens = (1..=NODES_MAX).map(|number| Ok(name(number)?.token().as_str().to_owned()));
        let tokens: Vec<String> = tokens.collect::<Result<_>>()?;
        let nats = Nats::start(&place, &tokens).await?;
        let signer = Signer::new(1)?;
        let keys = place.file("keys", PublicKeys::of([signer.key()]).to_string())?;
        let bus = Bus::connect(&nats).await?;
        streams::create(bus.jetstream(), 1).await?;
        let mut tasks = JoinSet::new();
        let ledger = Ledger::default();
        let tap = Tap::start(&nats, ledger.clone(), &mut tasks).await?;
        Ok(Self {
            role,
            command: command.clone(),
            bus,
            ledger,
            tap,
            nats,
            signer,
            keys,
            numbers: AtomicU32::new(1),
            _tasks: tasks,
            place,
        })
    }

    /// A node that no other trial has.
    pub(crate) fn next_node(&self) -> Result<NodeName> {
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        ensure!(
            number <= NODES_MAX,
            "there are no users for more than {NODES_MAX} trials"
        );
        name(number)
    }

    /// Takes a stream away, with all that is in it.
    pub(crate) async fn delete_stream(&self, stream: &StreamDefinition) -> Result<()> {
        let deleted = self.bus.jetstream().delete_stream(stream.name).await;
        deleted
            .map(drop)
            .with_context(|| format!("cannot delete {}", stream.name))
    }

    /// Puts a stream back, empty.
    pub(crate) async fn create_stream(&self, stream: &StreamDefinition) -> Result<()> {
        streams::create_one(self.bus.jetstream(), stream, 1).await?;
        wait::until("the stream to be there", STREAM_DEADLINE, async || {
            Ok(self.bus.jetstream().get_stream(stream.name).await.map(drop)?)
        })
        .await
    }

    /// The settings by which the agent of a node connects.
    pub(super) fn settings(&self, node: &NodeName) -> BTreeMap<String, String> {
        self.as_agent(node, |user| self.nats.settings(user))
    }

    fn as_agent<T>(&self, node: &NodeName, get: impl FnOnce(&User<'_>) -> T) -> T {
        let node = node.token();
        let (role, node) = (self.role, node.as_str());
        get(&User { role, node })
    }

    /// What the agent of a node tried on the bus without the right to.
    pub(crate) fn violations(&self, node: &NodeName) -> Vec<String> {
        rights::violations(&self.nats.violations(), &self.as_agent(node, |user| user.name()))
    }

    /// Everything has been tried: the folder goes, and the output of all processes stays in one file; returns where.
    pub(crate) fn finish(&self) -> Result<PathBuf> {
        let mut text = String::new();
        let mut logs: Vec<PathBuf> = fs::read_dir(self.place.path().join("logs"))?
            .map(|entry| Ok(entry?.path()))
            .collect::<Result<_>>()?;
        logs.sort();
        for log in logs {
            let output = fs::read(&log).unwrap_or_default();
            // Writing to a text does not fail.
            writeln!(text, "--- {}\n{}", log.display(), String::from_utf8_lossy(&output)).ok();
        }
        let folder = tools::target()?.join("conformance");
        fs::create_dir_all(&folder)?;
        let kept = folder.join(format!("{}.log", self.role.as_str()));
        fs::write(&kept, text).context("cannot keep the output of the program")?;
        self.place.finish();
        Ok(kept)
    }
}

/// A name with a dot, which its token writes in another way.
fn name(number: u32) -> Result<NodeName> {
    Ok(format!("c{number:03}.conf").parse()?)
}
