//! Changes of the conditions of Node objects, written by the leader beside its loop: nothing waits for a condition, and the watch of
//! nodes shows what became of a change.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use bellwether_chassis::clock;
use bellwether_proto::mark;
use bellwether_scheduler_core::{ConditionChange, ConditionDiff, OurCondition};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Node, NodeCondition};
use kube::api::{ListParams, Patch, PatchParams};
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::sync::{Mutex, mpsc};

use crate::cluster::client::FIELD_MANAGER;
use crate::observe::metrics::{ConditionOutcome, Metrics};

/// How long one request may take: the core requests the same change again after a minute.
const TIMEOUT: Duration = Duration::from_secs(10);

/// At most ten writes a second, over all nodes: a write of a Node object goes to each program that watches nodes. Kubelets of
/// 5,000 nodes write 17 a second by themselves.
const PAUSE: Duration = Duration::from_millis(100);

/// An older change is not written: the core has requested another one since.
const AGE_MAX: SignedDuration = SignedDuration::from_mins(1);

const WARN_INTERVAL: Duration = Duration::from_secs(60 * 60);

/// More than the core requests at once, and some for nodes that leave the view.
const QUEUE_MAX: usize = 64;

/// The way to [`NodeConditionWriter::write`].
pub(crate) struct NodeConditions {
    sender: mpsc::Sender<Box<ConditionChange>>,
    changes: Arc<ConditionQueue>,
    metrics: Metrics,
}

/// Changes that wait to be written.
pub(crate) type ConditionQueue = Mutex<mpsc::Receiver<Box<ConditionChange>>>;

impl NodeConditions {
    pub(crate) fn new(metrics: Metrics) -> Self {
        let (sender, changes) = mpsc::channel(QUEUE_MAX);
        Self {
            sender,
            changes: Arc::new(Mutex::new(changes)),
            metrics,
        }
    }

    /// The queue for [`NodeConditionWriter::write`].
    pub(crate) fn queue(&self) -> Arc<ConditionQueue> {
        self.changes.clone()
    }

    /// Has a change written, unless too many wait: the core requests one again.
    pub(crate) fn request(&self, change: Box<ConditionChange>) {
        if self.sender.try_send(change).is_err() {
            self.metrics.node_condition(ConditionOutcome::Dropped);
        }
    }
}

/// Writes changes to the API server.
pub(crate) struct NodeConditionWriter {
    nodes: Api<Node>,
    metrics: Metrics,
    /// When a refusal was logged.
    warned_at: std::sync::Mutex<Option<Instant>>,
}

impl NodeConditionWriter {
    pub(crate) fn new(client: Client, metrics: Metrics) -> Self {
        Self {
            nodes: Api::all(client),
            metrics,
            warned_at: std::sync::Mutex::default(),
        }
    }

    /// Writes what is requested, for ever: one request at a time.
    pub(crate) async fn write(&self, queue: &ConditionQueue) {
        let mut changes = queue.lock().await;
        while let Some(change) = changes.recv().await {
            let outcome = self.write_once(change).await;
            self.metrics.node_condition(outcome);
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// A change is decided by a view that may be behind, and may have waited: so the object is read right before, the write is of what
    /// differs there and under the version that was read, and what another program has taken meanwhile is left as it is.
    async fn write_once(&self, change: Box<ConditionChange>) -> ConditionOutcome {
        if clock::now().duration_since(change.at) > AGE_MAX {
            return ConditionOutcome::Dropped;
        }
        match tokio::time::timeout(TIMEOUT, self.try_to_write(*change)).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(kube::Error::Api(status))) if [400, 403, 422].contains(&status.code) => {
                self.warn(&status.message);
                ConditionOutcome::Refused
            }
            Ok(Err(error)) => {
                tracing::debug!(
                    error = bellwether_chassis::chain(&error),
                    "Conditions of a node not written"
                );
                ConditionOutcome::Failed
            }
            Err(_) => ConditionOutcome::Failed,
        }
    }

    async fn try_to_write(&self, change: ConditionChange) -> kube::Result<ConditionOutcome> {
        // The right to list is that of the watch, and covers the one.
        let one = ListParams::default().fields(&format!("metadata.name={}", change.node));
        let found = self.nodes.list(&one).await?.items.pop();
        let is_same = |node: &Node| node.metadata.uid.as_deref() == Some(change.node_uid.as_str());
        let Some(node) = found.filter(is_same) else {
            return Ok(ConditionOutcome::NodeGone);
        };
        let all = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
        let (ours, foreign): (Vec<_>, Vec<_>) = all.partition(|condition| {
            mark::is_our_condition(&condition.type_, condition.reason.as_deref().unwrap_or_default())
        });
        let ours = ours.into_iter().map(our_condition).collect();
        let is_foreign = |type_: &str| foreign.iter().any(|condition| condition.type_ == type_);
        let Some(diff) = change.conditions.diff(&ours, is_foreign) else {
            return Ok(ConditionOutcome::Written);
        };
        let version = node.metadata.resource_version.as_deref().unwrap_or_default();
        let patch = Patch::Strategic(patch(&diff, change.at, version));
        let params = PatchParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PatchParams::default()
        };
        self.nodes.patch_status(change.node.as_str(), &params, &patch).await?;
        Ok(ConditionOutcome::Written)
    }

    /// Once an hour at most: one node may be refused while others are not.
    fn warn(&self, error: &str) {
        let mut warned = self.warned_at.lock().unwrap_or_else(PoisonError::into_inner);
        if warned.is_none_or(|at| at.elapsed() >= WARN_INTERVAL) {
            *warned = Some(Instant::now());
            tracing::warn!(
                error,
                "No conditions on Nodes: if it is a right that the scheduler's ServiceAccount lacks, grant `patch` on `nodes/status`, as deploy/base/scheduler.yaml does, or set BELLWETHER_NODE_CONDITIONS=false; else ask the owner of the admission policy. Reboots continue without"
            );
        }
    }
}

fn our_condition(condition: &NodeCondition) -> (String, OurCondition) {
    let ours = OurCondition {
        status: condition.status.clone(),
        reason: condition.reason.clone().unwrap_or_default(),
        message: condition.message.clone().unwrap_or_default(),
    };
    (condition.type_.clone(), ours)
}

/// A strategic merge patch, which leaves the conditions of other programs as they are.
fn patch(diff: &ConditionDiff<'_>, at: Timestamp, version: &str) -> Value {
    let at = format!("{at:.0}");
    let set = diff.set.iter().map(|set| {
        let mut condition = json!({
            "type": set.type_,
            "status": set.wanted.status.as_str(),
            "reason": set.wanted.reason,
            "message": set.wanted.message,
            "lastHeartbeatTime": at,
        });
        if set.is_transition
            && let Some(fields) = condition.as_object_mut()
        {
            fields.insert("lastTransitionTime".to_owned(), json!(at));
        }
        condition
    });
    let removed = diff.removed.iter();
    let removed = removed.map(|type_| json!({ "type": type_, "$patch": "delete" }));
    json!({
        "metadata": { "resourceVersion": version },
        "status": { "conditions": set.chain(removed).collect::<Vec<_>>() },
    })
}
