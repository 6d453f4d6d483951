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
type Told<K> = Result<watcher::Event<K>, watcher::Error>;

/// Something that was seen, to be told to the core.
#[derive(Debug)]
pub(crate) enum Glimpse {
    Node(Box<Told<Node>>),
    DaemonSet(Box<Told<DaemonSetMeta>>),
}

/// A watch that fails: what it was to show is not known any more.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Blind {
    of: &'static str,
    since: Timestamp,
}

impl fmt::Display for Blind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { of, since } = self;
        write!(f, "the API server does not let us watch {of} since {since:.0}")
    }
}

/// How well one kind of object is seen.
#[derive(Debug)]
struct Clarity {
    of: &'static str,
    /// Everything there is was told once.
    whole: bool,
    blind: Option<Blind>,
}

pub(crate) struct Sight {
    nodes: BoxStream<'static, Told<Node>>,
    nodes_clarity: Clarity,
    /// Nodes that the core knows.
    known: BTreeSet<NodeName>,
    /// Nodes of the list that is being told.
    listed: BTreeSet<NodeName>,
    daemon_sets: BoxStream<'static, Told<DaemonSetMeta>>,
    daemon_sets_clarity: Clarity,
    rivals: Rivals,
}

/// Succeeds if the API server answers, and lets us list and watch all that we have to see.
pub(crate) async fn readable(client: &Client) -> Result<(), kube::Error> {
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

fn watch<K: Watchable>(client: &Client) -> BoxStream<'static, Told<K>> {
    let config = watcher::Config::default().timeout(WATCH_SECONDS);
    watcher(Api::all(client.clone()), config).default_backoff().boxed()
}

/// What a watch asks of a kind, in short.
trait Watchable: Resource<DynamicType = ()> + Clone + DeserializeOwned + fmt::Debug + Send + 'static {}
impl<K: Resource<DynamicType = ()> + Clone + DeserializeOwned + fmt::Debug + Send + 'static> Watchable for K {}

impl Sight {
    /// Watches for ever, backing off while the API server is away.
    pub(crate) fn new(client: &Client, agents_namespace: String) -> Self {
        Self {
            nodes: watch(client),
            nodes_clarity: Clarity::new("nodes"),
            known: BTreeSet::new(),
            listed: BTreeSet::new(),
            daemon_sets: watch(client),
            daemon_sets_clarity: Clarity::new("DaemonSets"),
            rivals: Rivals::new(agents_namespace),
        }
    }

    /// The next thing that is seen. Nothing is lost if it is not waited for to the end.
    pub(crate) async fn next(&mut self) -> Glimpse {
        tokio::select! {
            Some(told) = self.nodes.next() => Glimpse::Node(Box::new(told)),
            Some(told) = self.daemon_sets.next() => Glimpse::DaemonSet(Box::new(told)),
            // Watches never end by themselves.
            else => std::future::pending().await,
        }
    }

    /// Everything there is was told once.
    pub(crate) fn is_whole(&self) -> bool {
        self.nodes_clarity.whole && self.daemon_sets_clarity.whole
    }

    /// The first thing that cannot be seen, if there is one. It lasts until all is watched anew.
    pub(crate) fn blind(&self) -> Option<Blind> {
        self.nodes_clarity.blind.or(self.daemon_sets_clarity.blind)
    }

    pub(crate) fn tell(&mut self, glimpse: Glimpse, fleet: &mut Fleet) {
        match glimpse {
            Glimpse::Node(told) => {
                if let Some(event) = self.nodes_clarity.see(*told) {
                    self.tell_node(event, fleet);
                }
            }
            Glimpse::DaemonSet(told) => {
                if let Some(event) = self.daemon_sets_clarity.see(*told) {
                    self.tell_daemon_set(event, fleet);
                }
            }
        }
    }

    fn tell_node(&mut self, event: watcher::Event<Node>, fleet: &mut Fleet) {
        match event {
            watcher::Event::Init => self.listed.clear(),
            watcher::Event::InitApply(node) => {
                self.listed.extend(node::name(&node));
                self.tell_node_object(&node, fleet);
            }
            watcher::Event::InitDone => {
                let gone: Vec<NodeName> = self.known.difference(&self.listed).cloned().collect();
                for name in gone {
                    fleet.handle_node_gone(&name);
                    self.known.remove(&name);
                }
            }
            watcher::Event::Apply(node) => self.tell_node_object(&node, fleet),
            watcher::Event::Delete(node) => {
                if let Some(name) = node::name(&node) {
                    fleet.handle_node_gone(&name);
                    self.known.remove(&name);
                }
            }
        }
    }

    fn tell_node_object(&mut self, node: &Node, fleet: &mut Fleet) {
        if let Some(view) = node::view(node) {
            self.known.insert(view.name.clone());
            fleet.handle_node(view);
        }
    }

    fn tell_daemon_set(&mut self, event: watcher::Event<DaemonSetMeta>, fleet: &mut Fleet) {
        let Some(rivals) = self.rivals.see(metadata(event)) else {
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

impl Clarity {
    fn new(of: &'static str) -> Self {
        Self {
            of,
            whole: false,
            blind: None,
        }
    }

    fn see<K>(&mut self, told: Told<K>) -> Option<watcher::Event<K>> {
        match told {
            Ok(event) => {
                // Later nothing clears it: what changed unseen is only known by beginning anew.
                if matches!(event, watcher::Event::InitDone) && !self.whole {
                    self.whole = true;
                    self.blind = None;
                }
                Some(event)
            }
            Err(error) => {
                if self.blind.is_none() {
                    let of = self.of;
                    let error = bellwether_chassis::chain(&error);
                    tracing::warn!(of, error, "Watch failed, nothing is decided");
                    self.blind = Some(Blind {
                        of,
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
