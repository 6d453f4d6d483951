//! Watches on the node and its pods.
//!
//! A watch continues by itself after an error. It may be late; the core asks for a consistent read
//! where that matters.

use bellwether_drainer_core::{ApiFault, NodeView, PodView, Watched};
use bellwether_proto::NodeName;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Config, Event, watcher};
use kube::{Api, Client};

use super::client::WATCH_SECONDS;
use super::pods::on_node;
use super::status::{fault, fault_of};

/// The events of a watch, or why there is none.
pub(crate) type Events<V> = BoxStream<'static, Result<Watched<V>, ApiFault>>;

/// Watches all pods of the node, beginning with a list.
pub(crate) fn pods(client: Client, node: &NodeName) -> Events<PodView> {
    let config = Config::default().timeout(WATCH_SECONDS).fields(&on_node(node));
    let events = watcher(Api::<Pod>::all(client), config).default_backoff();
    let views = events.map(|event| event.map(|event| view(event, PodView::of)).map_err(trouble));
    views.filter_map(async |event| event.transpose()).boxed()
}

/// Watches the Node object, beginning with a list.
pub(crate) fn node(client: Client, node: &NodeName) -> Events<NodeView> {
    let config = Config::default()
        .timeout(WATCH_SECONDS)
        .fields(&format!("metadata.name={node}"));
    let events = watcher(Api::<Node>::all(client), config).default_backoff();
    let views = events.map(|event| {
        event
            .map(|event| view(event, |node| Some(NodeView::from(node))))
            .map_err(trouble)
    });
    views.filter_map(async |event| event.transpose()).boxed()
}

/// The event without the client's types; none for an object without identity.
pub(super) fn view<K, V>(event: Event<K>, of: impl Fn(&K) -> Option<V>) -> Option<Watched<V>> {
    Some(match event {
        Event::Apply(object) => Watched::Changed(of(&object)?),
        Event::Delete(object) => Watched::Deleted(of(&object)?),
        Event::Init => Watched::ListStarted,
        Event::InitApply(object) => Watched::Listed(of(&object)?),
        Event::InitDone => Watched::ListEnded,
    })
}

/// Why a watch gave no event.
pub(super) fn trouble(error: watcher::Error) -> ApiFault {
    match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => fault(&error),
        watcher::Error::WatchError(status) => fault_of(status.as_ref()),
        watcher::Error::NoResourceVersion => ApiFault::Unavailable(error.to_string()),
    }
}
