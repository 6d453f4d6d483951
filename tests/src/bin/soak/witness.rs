//! The witness: watches of pods and nodes straight from the API server, which go to the judge in the order of their
//! versions.

use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bellwether_proto::mark::CORDONED_FOR;
use futures_util::TryStreamExt as _;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client, Resource, ResourceExt as _};
use rig::record::{is_ready, node_state};
use serde::de::DeserializeOwned;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::judge::{Judge, NodeView, PodView};

/// The reason of the condition that the Eviction API sets before it deletes a pod.
const BY_EVICTION: &str = "EvictionByEvictionAPI";

/// The API server is away for seconds at most.
const AGAIN: Duration = Duration::from_millis(50);

/// The judge, and the watches that it hears.
pub(crate) struct Witness {
    judge: Arc<Mutex<Judge>>,
    _watches: JoinSet<()>,
}

impl Witness {
    /// Watches from now on.
    pub(crate) fn start(client: Client, judge: Judge) -> Self {
        let judge = Arc::new(Mutex::new(judge));
        let mut watches = JoinSet::new();
        let pods = Arc::clone(&judge);
        watches.spawn(watch(Api::<Pod>::all(client.clone()), move |event| {
            let mut judge = locked(&pods);
            match event {
                Event::Init => judge.pods_begin(),
                Event::InitDone => judge.pods_end(),
                Event::InitApply(pod) | Event::Apply(pod) => judge.pod(pod_view(&pod)),
                Event::Delete(pod) => {
                    let uid = pod.uid().unwrap_or_default();
                    // A pod that had no grace was never shown with its deletion.
                    judge.pod(PodView {
                        deleting: true,
                        ..pod_view(&pod)
                    });
                    judge.pod_gone(&uid);
                }
            }
        }));
        let nodes = Arc::clone(&judge);
        watches.spawn(watch(Api::<Node>::all(client), move |event| {
            let mut judge = locked(&nodes);
            match event {
                Event::Init => judge.nodes_begin(),
                Event::InitDone => judge.nodes_end(),
                Event::InitApply(node) | Event::Apply(node) => judge.node(node_view(&node)),
                // The soak deletes no node.
                Event::Delete(node) => judge.violate(format!("the node {} was deleted", node.name_any())),
            }
        }));
        Self {
            judge,
            _watches: watches,
        }
    }

    /// The judge, for a short look.
    pub(crate) fn judge(&self) -> MutexGuard<'_, Judge> {
        locked(&self.judge)
    }
}

/// Hands on the events of a watch, for as long as the task lives. An error ends no watch: it continues at its version.
async fn watch<K>(api: Api<K>, mut see: impl FnMut(Event<K>))
where
    K: Resource<DynamicType = ()> + Clone + std::fmt::Debug + DeserializeOwned + Send + 'static,
{
    let mut events = pin!(watcher::watcher(api, watcher::Config::default()));
    loop {
        match events.try_next().await {
            Ok(Some(event)) => see(event),
            Ok(None) => return,
            Err(_) => sleep(AGAIN).await,
        }
    }
}

fn pod_view(pod: &Pod) -> PodView {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let evicted = conditions
        .into_iter()
        .any(|it| it.type_ == "DisruptionTarget" && it.reason.as_deref() == Some(BY_EVICTION));
    let owners = pod.owner_references().iter();
    PodView {
        uid: pod.uid().unwrap_or_default(),
        name: pod.name_any(),
        app: pod.labels().get("app").cloned().unwrap_or_default(),
        node: pod.spec.as_ref().and_then(|spec| spec.node_name.clone()),
        version: version(pod),
        ready: is_ready(pod),
        deleting: pod.metadata.deletion_timestamp.is_some(),
        evicted,
        stays: owners.into_iter().any(|owner| owner.kind == "DaemonSet"),
    }
}

fn node_view(node: &Node) -> NodeView {
    NodeView {
        name: node.name_any(),
        version: version(node),
        cordoned: node_state(node).cordoned,
        mark: node.annotations().get(CORDONED_FOR).cloned(),
    }
}

fn version(object: &impl Resource) -> u64 {
    let version = object.meta().resource_version.as_deref();
    version.and_then(|text| text.parse().ok()).unwrap_or_default()
}

fn locked(judge: &Mutex<Judge>) -> MutexGuard<'_, Judge> {
    judge.lock().unwrap_or_else(PoisonError::into_inner)
}
