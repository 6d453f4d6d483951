//! Watches of the benchmark's own: which nodes are cordoned, which phases attempts enter, and which replica holds the
//! Lease, each with the instant at which the benchmark received it.
//!
//! The watch of cordons asks the API server for the metadata of unschedulable nodes only, so it costs next to nothing
//! and is no third reader of each change.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use bellwether_proto::mark::LEASE;
use bellwether_proto::{Fact, NodeEvent, NodeName, Phase, decode, subject};
use futures_util::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Node;
use kube::core::PartialObjectMeta;
use kube::runtime::watcher::{self, Event};
use kube::{Api, ResourceExt as _};
use rig::services::NAMESPACE;
use rig::wait;
use rig::world::World;
use tokio::task::JoinSet;

/// Everything that was observed so far.
#[derive(Clone, Default)]
pub(crate) struct Observer(Arc<Mutex<Record>>);

#[derive(Default)]
struct Record {
    cordoned: BTreeSet<String>,
    most_cordoned: usize,
    /// When each node was cordoned last.
    cordons: BTreeMap<String, Instant>,
    phases: BTreeMap<NodeName, Vec<(Phase, Instant)>>,
    /// Each change of the Lease's holder; an empty name for none.
    holders: Vec<(Instant, String)>,
}

impl Observer {
    /// Starts the watches as tasks of `tasks`; each ends with an error only.
    pub(crate) async fn start(world: &World, tasks: &mut JoinSet<Result<()>>) -> Result<Self> {
        let observer = Self::default();
        let nodes: Api<PartialObjectMeta<Node>> = Api::all(world.client());
        tasks.spawn(observer.clone().watch_cordons(nodes));
        let leases: Api<Lease> = Api::namespaced(world.client(), NAMESPACE);
        tasks.spawn(observer.clone().watch_lease(leases));
        let events = world.nats.client().await?.subscribe(subject::ALL_PHASE_CHANGED).await?;
        tasks.spawn(observer.clone().watch_phases(events));
        Ok(observer)
    }

    /// When the node was cordoned last, if it ever was.
    pub(crate) fn cordoned_at(&self, node: &NodeName) -> Option<Instant> {
        self.record().cordons.get(node.as_str()).copied()
    }

    /// The largest number of nodes that were cordoned at the same time.
    pub(crate) fn most_cordoned(&self) -> usize {
        self.record().most_cordoned
    }

    /// The phases of a node's attempts, oldest first.
    pub(crate) fn phases(&self, node: &NodeName) -> Vec<(Phase, Instant)> {
        self.record().phases.get(node).cloned().unwrap_or_default()
    }

    /// The replica that holds the Lease now, and since when.
    pub(crate) fn holder(&self) -> Option<(Instant, String)> {
        let record = self.record();
        record.holders.last().filter(|(_, holder)| !holder.is_empty()).cloned()
    }

    /// Waits until each of these nodes has been rebooted: the attempt is Done, and the node is not cordoned.
    ///
    /// # Errors
    /// An attempt has failed or was cancelled, or the deadline is over.
    pub(crate) async fn rebooted(&self, nodes: &[NodeName], deadline: Duration) -> Result<()> {
        wait::until("all attempts to be done", deadline, async || {
            let done = nodes.iter().filter(|node| self.last_phase(node) == Some(Phase::Done));
            let done = done.count();
            ensure!(done == nodes.len(), "{done} of {} are", nodes.len());
            let cordoned = self.record().cordoned.len();
            ensure!(cordoned == 0, "{cordoned} nodes are still cordoned");
            Ok(())
        })
        .await
    }

    fn last_phase(&self, node: &NodeName) -> Option<Phase> {
        self.record().phases.get(node)?.last().map(|(phase, _)| *phase)
    }

    async fn watch_cordons(self, nodes: Api<PartialObjectMeta<Node>>) -> Result<()> {
        let config = watcher::Config::default().fields("spec.unschedulable=true");
        let mut events = Box::pin(watcher::watcher(nodes, config));
        while let Some(event) = events.try_next().await.context("the watch of cordons failed")? {
            let now = Instant::now();
            let mut record = self.record();
            match event {
                Event::Apply(node) | Event::InitApply(node) => {
                    let name = node.name_any();
                    if record.cordoned.insert(name.clone()) {
                        record.cordons.insert(name, now);
                    }
                    record.most_cordoned = record.most_cordoned.max(record.cordoned.len());
                }
                Event::Delete(node) => drop(record.cordoned.remove(&node.name_any())),
                Event::Init | Event::InitDone => {}
            }
        }
        bail!("the watch of cordons ended")
    }

    async fn watch_lease(self, leases: Api<Lease>) -> Result<()> {
        let config = watcher::Config::default().fields(&format!("metadata.name={LEASE}"));
        let mut events = Box::pin(watcher::watcher(leases, config));
        while let Some(event) = events.try_next().await.context("the watch of the Lease failed")? {
            let (Event::Apply(lease) | Event::InitApply(lease)) = event else {
                continue;
            };
            let holder = lease.spec.and_then(|spec| spec.holder_identity).unwrap_or_default();
            let mut record = self.record();
            if record.holders.last().is_none_or(|(_, last)| *last != holder) {
                record.holders.push((Instant::now(), holder));
            }
        }
        bail!("the watch of the Lease ended")
    }

    async fn watch_phases(self, mut events: async_nats::Subscriber) -> Result<()> {
        while let Some(message) = events.next().await {
            let headers = message.headers.unwrap_or_default();
            let event: NodeEvent = decode(|name| headers.get(name).map(|it| it.as_str()), &message.payload)?;
            let Fact::PhaseChanged { to, message, .. } = event.fact else {
                continue;
            };
            ensure!(
                !matches!(to, Phase::RollingBack | Phase::Failed | Phase::Cancelled),
                "the attempt on {} is {}: {message}",
                event.node,
                to.as_str()
            );
            let mut record = self.record();
            record.phases.entry(event.node).or_default().push((to, Instant::now()));
        }
        bail!("the subscription of the events ended")
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
