//! Watches the API from the outside and keeps a record, so that a test can claim that a state
//! never occurred, by Kubernetes and not by our logs.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;
use futures_util::TryStreamExt as _;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client, ResourceExt as _};
use serde::de::DeserializeOwned;
use tokio::task::JoinSet;

use crate::wait;

const START_DEADLINE: Duration = Duration::from_secs(20);

/// The state of a node at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeState {
    /// Its condition `Ready` was true.
    pub ready: bool,
    /// It was cordoned.
    pub cordoned: bool,
}

impl NodeState {
    /// Not fully in service.
    #[must_use]
    pub fn is_disrupted(self) -> bool {
        self.cordoned || !self.ready
    }
}

/// A node's state from this moment on; none if it was deleted.
#[derive(Clone, Debug)]
pub struct NodeChange {
    /// When the recorder got it.
    pub at: Instant,
    /// The node.
    pub node: String,
    /// Its state from now on.
    pub state: Option<NodeState>,
}

/// Records each change of readiness and cordon of all nodes.
#[derive(Debug)]
pub struct NodeRecorder {
    changes: Arc<Mutex<Vec<NodeChange>>>,
    _task: JoinSet<()>,
}

impl NodeRecorder {
    /// Starts to record; the present state is the first change.
    pub async fn start(client: Client) -> Result<Self> {
        let changes = Arc::new(Mutex::new(Vec::new()));
        let record = Arc::clone(&changes);
        let mut latest: BTreeMap<String, NodeState> = BTreeMap::new();
        let task = watch(Api::<Node>::all(client), move |node: Node, present| {
            let name = node.name_any();
            let state = present.then(|| node_state(&node));
            if latest.get(&name).copied() == state {
                return;
            }
            match state {
                Some(state) => drop(latest.insert(name.clone(), state)),
                None => drop(latest.remove(&name)),
            }
            locked(&record).push(NodeChange {
                at: Instant::now(),
                node: name,
                state,
            });
        })
        .await?;
        Ok(Self { changes, _task: task })
    }

    /// All changes so far, oldest first.
    #[must_use]
    pub fn changes(&self) -> Vec<NodeChange> {
        locked(&self.changes).clone()
    }

    /// The largest number of nodes that were cordoned or not ready at the same moment, after the
    /// state at the start of the record was known, and which they were.
    #[must_use]
    pub fn most_disrupted(&self) -> Vec<String> {
        self.most(NodeState::is_disrupted)
    }

    /// The same of nodes that were cordoned, ready or not.
    #[must_use]
    pub fn most_cordoned(&self) -> Vec<String> {
        self.most(|state| state.cordoned)
    }

    fn most(&self, counts: impl Fn(NodeState) -> bool) -> Vec<String> {
        // Of several moments the first.
        let moments = self.moments(counts).into_iter().rev();
        moments.max_by_key(Vec::len).unwrap_or_default()
    }

    /// The nodes that were cordoned or not ready, after each change.
    #[must_use]
    pub fn disrupted(&self) -> Vec<Vec<String>> {
        self.moments(NodeState::is_disrupted)
    }

    fn moments(&self, counts: impl Fn(NodeState) -> bool) -> Vec<Vec<String>> {
        let mut now: BTreeMap<String, NodeState> = BTreeMap::new();
        let mut moments = Vec::new();
        for change in self.changes() {
            match change.state {
                Some(state) => drop(now.insert(change.node, state)),
                None => drop(now.remove(&change.node)),
            }
            let counted = now.iter().filter(|(_, state)| counts(**state));
            moments.push(counted.map(|(name, _)| name.clone()).collect());
        }
        moments
    }

    /// How often this node went from schedulable to cordoned.
    #[must_use]
    pub fn cordons(&self, node: &str) -> usize {
        let changes = self.changes();
        let states = changes
            .iter()
            .filter(|change| change.node == node)
            .filter_map(|it| it.state);
        let mut cordoned = false;
        let mut count = 0;
        for state in states {
            count += usize::from(state.cordoned && !cordoned);
            cordoned = state.cordoned;
        }
        count
    }

    /// The nodes in the order in which they were cordoned.
    #[must_use]
    pub fn cordon_order(&self) -> Vec<String> {
        let mut cordoned: BTreeMap<String, bool> = BTreeMap::new();
        let mut order = Vec::new();
        for change in self.changes() {
            let now = change.state.is_some_and(|state| state.cordoned);
            let before = cordoned.insert(change.node.clone(), now).unwrap_or(false);
            if now && !before {
                order.push(change.node);
            }
        }
        order
    }
}

/// Records how many pods of one application are ready.
#[derive(Debug)]
pub struct ReadyPods {
    counts: Arc<Mutex<Vec<(Instant, usize)>>>,
    _task: JoinSet<()>,
}

impl ReadyPods {
    /// Starts to record the pods with the label `app=<app>`; all of them count as soon as they are
    /// ready and until they are deleted.
    pub async fn start(client: Client, namespace: &str, app: &str) -> Result<Self> {
        let counts = Arc::new(Mutex::new(Vec::new()));
        let record = Arc::clone(&counts);
        let app = app.to_owned();
        let mut ready: BTreeMap<String, bool> = BTreeMap::new();
        let task = watch(Api::<Pod>::namespaced(client, namespace), move |pod: Pod, present| {
            if pod.labels().get("app") != Some(&app) {
                return;
            }
            ready.insert(pod.uid().unwrap_or_default(), present && is_ready(&pod));
            let count = ready.values().filter(|ready| **ready).count();
            let mut record = locked(&record);
            if record.last().is_none_or(|(_, last)| *last != count) {
                record.push((Instant::now(), count));
            }
        })
        .await?;
        Ok(Self { counts, _task: task })
    }

    /// How many are ready now.
    #[must_use]
    pub fn now(&self) -> usize {
        locked(&self.counts).last().map_or(0, |(_, count)| *count)
    }

    /// Waits until so many are ready, and records from there: earlier counts are dropped.
    pub async fn settle(&self, count: usize, deadline: Duration) -> Result<()> {
        wait::until_equal("ready pods", deadline, count, async || Ok(self.now())).await?;
        let mut counts = locked(&self.counts);
        let last = counts.len().saturating_sub(1);
        counts.drain(..last);
        Ok(())
    }

    /// The smallest number ready at any moment of the record.
    #[must_use]
    pub fn fewest(&self) -> usize {
        locked(&self.counts).iter().map(|(_, count)| *count).min().unwrap_or(0)
    }
}

/// Whether a pod is ready and is to stay.
#[must_use]
pub fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let ready = conditions
        .into_iter()
        .any(|it| it.type_ == "Ready" && it.status == "True");
    ready && pod.metadata.deletion_timestamp.is_none()
}

/// The state of a node.
#[must_use]
pub fn node_state(node: &Node) -> NodeState {
    let conditions = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let ready = conditions
        .into_iter()
        .any(|it| it.type_ == "Ready" && it.status == "True");
    let cordoned = node.spec.as_ref().and_then(|spec| spec.unschedulable).unwrap_or(false);
    NodeState { ready, cordoned }
}

/// The first taint by which Kubernetes itself keeps pods away from a node: not ready, unreachable,
/// cordoned, short of memory or disk. The node lifecycle controller removes it some time *after* the
/// node is Ready again, so a node has settled only without one.
#[must_use]
pub fn lifecycle_taint(node: &Node) -> Option<&str> {
    let taints = node.spec.iter().flat_map(|spec| spec.taints.iter().flatten());
    let mut keys = taints.map(|taint| taint.key.as_str());
    keys.find(|key| key.starts_with("node.kubernetes.io/"))
}

/// Hands every object of a watch to `see`, with whether it is there or was deleted, and returns
/// once the first list is through.
async fn watch<K>(api: Api<K>, mut see: impl FnMut(K, bool) + Send + 'static) -> Result<JoinSet<()>>
where
    K: kube::Resource<DynamicType = ()> + Clone + std::fmt::Debug + DeserializeOwned + Send + 'static,
{
    let (listed, is_listed) = tokio::sync::oneshot::channel();
    let mut listed = Some(listed);
    let mut task = JoinSet::new();
    task.spawn(async move {
        let mut events = pin!(watcher::watcher(api, watcher::Config::default()));
        // Errors end with a new list by themselves; a short outage of the API is part of tests.
        while let Some(event) = events.try_next().await.unwrap_or(Some(Event::Init)) {
            match event {
                Event::Apply(object) | Event::InitApply(object) => see(object, true),
                Event::Delete(object) => see(object, false),
                Event::Init => tokio::time::sleep(Duration::from_millis(10)).await,
                Event::InitDone => {
                    if let Some(listed) = listed.take() {
                        listed.send(()).ok();
                    }
                }
            }
        }
    });
    wait::within("the first list of a recorder", START_DEADLINE, async {
        Ok(is_listed.await?)
    })
    .await?;
    Ok(task)
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Node;
    use serde_json::json;

    use super::{lifecycle_taint, node_state};

    #[test]
    fn a_node_that_is_ready_and_still_has_its_taint_has_not_settled() {
        let node = |taint: &str| -> Node {
            serde_json::from_value(json!({
                "spec": { "taints": [{ "key": taint, "effect": "NoSchedule" }] },
                "status": { "conditions": [{ "type": "Ready", "status": "True" }] },
            }))
            .unwrap()
        };
        let late = node("node.kubernetes.io/not-ready");
        assert!(!node_state(&late).is_disrupted());
        assert_eq!(lifecycle_taint(&late), Some("node.kubernetes.io/not-ready"));
        let role = node("node-role.kubernetes.io/control-plane");
        assert_eq!(lifecycle_taint(&role), None, "an administrator's taint stays");
    }
}
