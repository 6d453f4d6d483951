//! A stand-in for the kubelets of all simulated hosts.
//!
//! Own code instead of kwok, because what matters here is what a *reboot* looks like from the API:
//! silence on the leases, a new boot id and kernel when the node comes back, containers that were
//! restarted, terminating pods that no kubelet ends meanwhile. kwok's stages know pods and nodes, but
//! not the machine below them, and would need the same simulation beside it. This is also one Go
//! build less.
//!
//! It works by level, not by edge: many times a second it compares what the API says with what the
//! hosts are, and writes the difference. It never decides anything that a kubelet does not decide.

mod node;
mod pod;

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use futures_util::TryStreamExt as _;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::runtime::{WatchStreamExt as _, reflector, watcher};
use kube::{Api, Client};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use crate::host::Host;
use crate::machines::Machines;

pub use node::register;
pub use pod::{FINISHES, READY_AFTER, TERMINATION};

/// Fast enough that no test waits for it, and a look at a few dozen cached objects is cheap.
const TICK: Duration = Duration::from_millis(40);
/// Four within the shortest grace period in use.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(1);

/// Runs until the API server is gone for good or the task is dropped.
pub async fn run(client: Client, machines: Machines) -> Result<()> {
    let (nodes, nodes_writer) = reflector::store();
    let (pods, pods_writer) = reflector::store();
    let node_api: Api<Node> = Api::all(client.clone());
    let pod_api: Api<Pod> = Api::all(client.clone());
    let config = watcher::Config::default();
    let watch_nodes = watcher(node_api, config.clone())
        .default_backoff()
        .reflect(nodes_writer);
    let watch_pods = watcher(pod_api, config).default_backoff().reflect(pods_writer);
    let mut kubelet = Kubelet {
        client,
        machines,
        nodes,
        pods,
        memory: BTreeMap::new(),
        heartbeats: BTreeMap::new(),
        in_flight: BTreeSet::new(),
        work: JoinSet::new(),
    };
    tokio::select! {
        result = drain(watch_nodes) => result,
        result = drain(watch_pods) => result,
        () = kubelet.run() => Ok(()),
    }
}

/// Keeps a watch going; its errors are retried by the backoff inside.
async fn drain<T>(events: impl futures_util::Stream<Item = watcher::Result<T>>) -> Result<()> {
    let mut events = pin!(events);
    loop {
        match events.try_next().await {
            Ok(Some(_)) | Err(_) => {}
            Ok(None) => bail!("a watch of the kubelet stand-in has ended"),
        }
    }
}

struct Kubelet {
    client: Client,
    machines: Machines,
    nodes: reflector::Store<Node>,
    pods: reflector::Store<Pod>,
    /// The knowledge of each pod beside its object, by UID.
    memory: BTreeMap<String, pod::Memory>,
    heartbeats: BTreeMap<String, Instant>,
    /// The objects being written now; at most one request per object at any time.
    in_flight: BTreeSet<String>,
    work: JoinSet<String>,
}

impl Kubelet {
    async fn run(&mut self) {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            while let Some(done) = self.work.try_join_next() {
                match done {
                    Ok(key) => drop(self.in_flight.remove(&key)),
                    // A task that panicked has no key: forget all, the next look sorts it out.
                    Err(_) => self.in_flight.clear(),
                }
            }
            self.machines.tick();
            let heard: BTreeMap<String, Arc<Host>> = self
                .machines
                .hosts()
                .into_iter()
                .filter(|host| host.is_heard())
                .map(|host| (host.name().to_owned(), host))
                .collect();
            heard.values().for_each(|host| self.look_at_node(host));
            self.look_at_pods(&heard);
        }
    }

    fn look_at_node(&mut self, host: &Arc<Host>) {
        let Some(node) = self.nodes.get(&reflector::ObjectRef::new(host.name())) else {
            return;
        };
        let client = self.client.clone();
        if node::differs(&node, host) {
            let (client, host) = (client.clone(), Arc::clone(host));
            self.spawn(format!("node {}", host.name()), async move {
                node::report_status(client, &host).await
            });
        }
        let last = self.heartbeats.get(host.name());
        if last.is_none_or(|last| last.elapsed() >= HEARTBEAT_INTERVAL) {
            self.heartbeats.insert(host.name().to_owned(), Instant::now());
            let name = host.name().to_owned();
            self.spawn(format!("lease {name}"), async move { node::beat(client, &name).await });
        }
    }

    fn look_at_pods(&mut self, heard: &BTreeMap<String, Arc<Host>>) {
        let pods = self.pods.state();
        let present: BTreeSet<&str> = pods.iter().filter_map(|pod| pod.metadata.uid.as_deref()).collect();
        self.memory.retain(|uid, _| present.contains(uid.as_str()));
        for pod in &pods {
            let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref());
            let host = node.and_then(|node| heard.get(node));
            let (Some(host), Some(uid)) = (host, &pod.metadata.uid) else {
                continue;
            };
            let memory = self.memory.entry(uid.clone()).or_default();
            if let Some(action) = memory.next(pod, &host.boot_id()) {
                let (client, pod) = (self.client.clone(), Arc::clone(pod));
                self.spawn(format!("pod {uid}"), async move { action.perform(client, &pod).await });
            }
        }
    }

    /// Starts a request unless one for the same object is under way. Its failure is no matter:
    /// the next look finds the same difference.
    fn spawn(&mut self, key: String, work: impl Future<Output = Result<()>> + Send + 'static) {
        if self.in_flight.insert(key.clone()) {
            self.work.spawn(async move {
                work.await.ok();
                key
            });
        }
    }
}
