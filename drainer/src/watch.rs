//! Watching the node and its pods.
//!
//! It keeps what the watch has told so far. A watch may be late but tells no lies about the
//! past; whoever needs the truth of now asks the API server itself.

use std::collections::BTreeMap;

use bellwether_chassis::kubernetes::WATCH_SECONDS;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Config, Event, watcher};
use kube::{Api, Client};

use crate::api::ApiError;
use bellwether_drainer_core::pod::PodSeen;

/// What a watch tells: an event, or why there is none; it goes on by itself either way.
pub(crate) type Events<K> = BoxStream<'static, watcher::Result<Event<K>>>;

/// Which pods are on the node, as a field selector.
pub(crate) fn on_node(node: &str) -> String {
    format!("spec.nodeName={node}")
}

/// All pods of the node, from a list that is as new as can be.
pub(crate) fn pods(client: &Client, node: &str) -> Events<Pod> {
    let config = Config::default().timeout(WATCH_SECONDS).fields(&on_node(node));
    watcher(Api::all(client.clone()), config).default_backoff().boxed()
}

/// The Node object.
pub(crate) fn node(client: &Client, node: &str) -> Events<Node> {
    let config = Config::default()
        .timeout(WATCH_SECONDS)
        .fields(&format!("metadata.name={node}"));
    watcher(Api::all(client.clone()), config).default_backoff().boxed()
}

/// What became of a watch.
pub(crate) fn trouble(error: watcher::Error) -> ApiError {
    match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => error.into(),
        watcher::Error::WatchError(status) => ApiError::from(status.as_ref()),
        watcher::Error::NoResourceVersion => ApiError::Unavailable(error.to_string()),
    }
}

/// The pods of one node, by UID.
#[derive(Debug)]
pub(crate) struct Pods {
    node: String,
    known: BTreeMap<String, PodSeen>,
    /// A list that is not complete yet.
    listing: Option<BTreeMap<String, PodSeen>>,
    complete: bool,
}

impl Pods {
    /// Nothing is known yet.
    pub(crate) fn new(node: String) -> Self {
        Self {
            node,
            known: BTreeMap::new(),
            listing: None,
            complete: false,
        }
    }

    /// True once a whole list was seen.
    pub(crate) fn is_complete(&self) -> bool {
        self.complete
    }

    /// D9: what is known may miss pods until the next whole list.
    pub(crate) fn distrust(&mut self) {
        self.complete = false;
    }

    /// All that are known.
    pub(crate) fn all(&self) -> Vec<PodSeen> {
        self.known.values().cloned().collect()
    }

    /// A list showed these; the watch will tell of their end.
    pub(crate) fn add(&mut self, pods: impl IntoIterator<Item = PodSeen>) {
        for pod in pods {
            self.known.entry(pod.uid.clone()).or_insert(pod);
        }
    }

    /// Takes in what the watch tells.
    pub(crate) fn handle(&mut self, event: Event<Pod>) {
        match event {
            Event::Apply(pod) => match PodSeen::of(&pod, &self.node) {
                Some(seen) => {
                    self.known.insert(seen.uid.clone(), seen);
                }
                None => self.remove(&pod),
            },
            Event::Delete(pod) => self.remove(&pod),
            Event::Init => self.listing = Some(BTreeMap::new()),
            Event::InitApply(pod) => {
                if let Some(seen) = PodSeen::of(&pod, &self.node) {
                    let listing = self.listing.get_or_insert_default();
                    listing.insert(seen.uid.clone(), seen);
                }
            }
            Event::InitDone => {
                self.known = self.listing.take().unwrap_or_default();
                self.complete = true;
            }
        }
    }

    fn remove(&mut self, pod: &Pod) {
        if let Some(uid) = &pod.metadata.uid {
            self.known.remove(uid);
        }
    }
}

/// Turns what the watch of one Node object tells into what is there now.
#[derive(Debug, Default)]
pub(crate) struct NodeNow {
    listed: bool,
}

impl NodeNow {
    /// The object as it is now, or that there is none; nothing if the event says neither.
    pub(crate) fn handle(&mut self, event: Event<Node>) -> Option<Option<Node>> {
        match event {
            Event::Apply(node) => Some(Some(node)),
            Event::InitApply(node) => {
                self.listed = true;
                Some(Some(node))
            }
            Event::Delete(_) => Some(None),
            Event::Init => {
                self.listed = false;
                None
            }
            Event::InitDone => (!self.listed).then_some(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_list_replaces_what_was_known_only_when_it_is_whole() {
        let mut pods = Pods::new("n1".to_owned());
        pods.handle(Event::Init);
        pods.handle(Event::InitApply(pod("a", "n1")));
        assert!(pods.all().is_empty() && !pods.is_complete());
        pods.handle(Event::InitDone);
        assert_eq!(uids(&pods), ["a"]);
        pods.handle(Event::Init);
        assert_eq!(uids(&pods), ["a"], "D9: a new list does not make the node empty");
        pods.handle(Event::InitDone);
        assert!(pods.all().is_empty() && pods.is_complete());
    }

    #[test]
    fn d24_a_pod_that_is_deleted_or_elsewhere_is_gone() {
        let mut pods = Pods::new("n1".to_owned());
        pods.handle(Event::Apply(pod("a", "n1")));
        pods.handle(Event::Apply(pod("b", "n1")));
        pods.handle(Event::Delete(pod("a", "n1")));
        pods.handle(Event::Apply(pod("b", "n2")));
        assert!(pods.all().is_empty());
    }

    #[test]
    fn d42_a_node_that_no_list_shows_is_gone() {
        let mut now = NodeNow::default();
        assert_eq!(now.handle(Event::Init), None);
        assert_eq!(now.handle(Event::InitDone), Some(None));
        assert_eq!(
            now.handle(Event::InitApply(Node::default())),
            Some(Some(Node::default()))
        );
        assert_eq!(now.handle(Event::InitDone), None);
        assert_eq!(now.handle(Event::Delete(Node::default())), Some(None));
    }

    fn pod(uid: &str, node: &str) -> Pod {
        serde_json::from_value(json!({
            "metadata": { "uid": uid, "name": uid, "namespace": "shop" },
            "spec": { "nodeName": node, "containers": [] },
        }))
        .unwrap()
    }

    fn uids(pods: &Pods) -> Vec<String> {
        pods.all().into_iter().map(|pod| pod.uid).collect()
    }
}
