//! What the API server shows: Node objects, and the DaemonSets among which rivals may be.
//!
//! It owns both watches and tells the core what they tell. It decides nothing; it says when
//! not all can be seen, and then nothing may be decided.

use std::collections::BTreeSet;
use std::fmt;

use bellwether_chassis::clock;
use bellwether_proto::NodeName;
use bellwether_scheduler_core::Fleet;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::Node;
use kube::api::{ListParams, WatchParams};
use kube::core::PartialObjectMeta;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;

use crate::cluster::node;
use crate::cluster::rival::Rivals;

/// How long the API server keeps a watch open before it has to be renewed.
pub(crate) const WATCH_SECONDS: u32 = 60;

/// A DaemonSet without spec and status: to recognise a rival, its metadata is enough.
type DaemonSetMeta = PartialObjectMeta<DaemonSet>;

/// What a watch tells.
type WatchResult<K> = Result<watcher::Event<K>, watcher::Error>;

/// Something that was seen, to be told to the core.
#[derive(Debug)]
pub(crate) enum WatchEvent {
    Node(Box<WatchResult<Node>>),
    DaemonSet(Box<WatchResult<DaemonSetMeta>>),
}

/// A watch that fails: what it was to show is not known any more.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WatchFailure {
    kind: &'static str,
    since: Timestamp,
}

impl fmt::Display for WatchFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, since } = self;
        write!(f, "the API server does not let us watch {kind} since {since:.0}")
    }
}

/// How well one kind of object is seen.
#[derive(Debug)]
struct WatchHealth {
    kind: &'static str,
    /// Everything there is was told once.
    complete: bool,
    failure: Option<WatchFailure>,
}

pub(crate) struct ClusterWatch {
    nodes: BoxStream<'static, WatchResult<Node>>,
    nodes_health: WatchHealth,
    /// Nodes that the core knows.
    known: BTreeSet<NodeName>,
    /// Nodes of the list that is being told.
    listed: BTreeSet<NodeName>,
    daemon_sets: BoxStream<'static, WatchResult<DaemonSetMeta>>,
    daemon_sets_health: WatchHealth,
    rivals: Rivals,
}

/// Succeeds if the API server answers, and lets us list and watch all that we have to see.
pub(crate) async fn check_access(client: &Client) -> Result<(), kube::Error> {
    may_watch::<PartialObjectMeta<Node>>(client).await?;
    may_watch::<DaemonSetMeta>(client).await
}

async fn may_watch<K: Watchable>(client: &Client) -> Result<(), kube::Error> {
    let api = Api::<K>::all(client.clone());
    let list = api.list(&ListParams::default().limit(1)).await?;
    let version = list.metadata.resource_version.unwrap_or_default();
    // A second is the shortest there is; it is left at once.
    api.watch(&WatchParams::default().timeout(1), &version).await.map(drop)
}

fn watch<K: Watchable>(client: &Client) -> BoxStream<'static, WatchResult<K>> {
    let config = watcher::Config::default().timeout(WATCH_SECONDS);
    watcher(Api::all(client.clone()), config).default_backoff().boxed()
}

/// What a watch asks of a kind, in short.
trait Watchable: Resource<DynamicType = ()> + Clone + DeserializeOwned + fmt::Debug + Send + 'static {}
impl<K: Resource<DynamicType = ()> + Clone + DeserializeOwned + fmt::Debug + Send + 'static> Watchable for K {}

impl ClusterWatch {
    /// Watches for ever, backing off while the API server is away.
    pub(crate) fn new(client: &Client, agents_namespace: String) -> Self {
        Self {
            nodes: watch(client),
            nodes_health: WatchHealth::new("nodes"),
            known: BTreeSet::new(),
            listed: BTreeSet::new(),
            daemon_sets: watch(client),
            daemon_sets_health: WatchHealth::new("DaemonSets"),
            rivals: Rivals::new(agents_namespace),
        }
    }

    /// The next thing that is seen. Nothing is lost if it is not waited for to the end.
    pub(crate) async fn next(&mut self) -> WatchEvent {
        tokio::select! {
            Some(result) = self.nodes.next() => WatchEvent::Node(Box::new(result)),
            Some(result) = self.daemon_sets.next() => WatchEvent::DaemonSet(Box::new(result)),
            // Watches never end by themselves.
            else => std::future::pending().await,
        }
    }

    /// Everything there is was told once.
    pub(crate) fn is_complete(&self) -> bool {
        self.nodes_health.complete && self.daemon_sets_health.complete
    }

    /// The first thing that cannot be seen, if there is one. It lasts until all is watched anew.
    pub(crate) fn failure(&self) -> Option<WatchFailure> {
        self.nodes_health.failure.or(self.daemon_sets_health.failure)
    }

    pub(crate) fn apply(&mut self, event: WatchEvent, fleet: &mut Fleet) {
        match event {
            WatchEvent::Node(result) => {
                if let Some(event) = self.nodes_health.record(*result) {
                    self.apply_node(event, fleet);
                }
            }
            WatchEvent::DaemonSet(result) => {
                if let Some(event) = self.daemon_sets_health.record(*result) {
                    self.apply_daemon_set(event, fleet);
                }
            }
        }
    }

    fn apply_node(&mut self, event: watcher::Event<Node>, fleet: &mut Fleet) {
        match event {
            watcher::Event::Init => self.listed.clear(),
            watcher::Event::InitApply(node) => {
                self.listed.extend(node::name(&node));
                self.apply_node_object(&node, fleet);
            }
            watcher::Event::InitDone => {
                let gone: Vec<NodeName> = self.known.difference(&self.listed).cloned().collect();
                for name in gone {
                    fleet.handle_node_gone(&name);
                    self.known.remove(&name);
                }
            }
            watcher::Event::Apply(node) => self.apply_node_object(&node, fleet),
            watcher::Event::Delete(node) => {
                if let Some(name) = node::name(&node) {
                    fleet.handle_node_gone(&name);
                    self.known.remove(&name);
                }
            }
        }
    }

    fn apply_node_object(&mut self, node: &Node, fleet: &mut Fleet) {
        if let Some(view) = node::view(node) {
            self.known.insert(view.name.clone());
            fleet.handle_node(view);
        }
    }

    fn apply_daemon_set(&mut self, event: watcher::Event<DaemonSetMeta>, fleet: &mut Fleet) {
        let Some(rivals) = self.rivals.apply(metadata(event)) else {
            return;
        };
        for rival in &rivals {
            tracing::warn!(%rival, "Something else reboots nodes");
        }
        if rivals.is_empty() {
            tracing::info!("Nothing else reboots nodes any more");
        }
        fleet.handle_rivals(rivals);
    }
}

impl WatchHealth {
    fn new(kind: &'static str) -> Self {
        Self {
            kind,
            complete: false,
            failure: None,
        }
    }

    fn record<K>(&mut self, result: WatchResult<K>) -> Option<watcher::Event<K>> {
        match result {
            Ok(event) => {
                // Later nothing clears it: what changed unseen is only known by beginning anew.
                if matches!(event, watcher::Event::InitDone) && !self.complete {
                    self.complete = true;
                    self.failure = None;
                }
                Some(event)
            }
            Err(error) => {
                if self.failure.is_none() {
                    let kind = self.kind;
                    let error = bellwether_chassis::chain(&error);
                    tracing::warn!(kind, error, "Watch failed, nothing is decided");
                    self.failure = Some(WatchFailure {
                        kind,
                        since: clock::now(),
                    });
                }
                None
            }
        }
    }
}

fn metadata<K>(event: watcher::Event<PartialObjectMeta<K>>) -> watcher::Event<kube::core::ObjectMeta> {
    match event {
        watcher::Event::Init => watcher::Event::Init,
        watcher::Event::InitApply(object) => watcher::Event::InitApply(object.metadata),
        watcher::Event::InitDone => watcher::Event::InitDone,
        watcher::Event::Apply(object) => watcher::Event::Apply(object.metadata),
        watcher::Event::Delete(object) => watcher::Event::Delete(object.metadata),
    }
}
