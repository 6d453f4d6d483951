//! Changes of the conditions of Node objects, written by the leader beside its loop: nothing waits for a condition, and the watch of
//! nodes shows what became of a change.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bellwether_scheduler_core::ConditionChange;
use k8s_openapi::api::core::v1::Node;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::sync::{Mutex, mpsc};

use crate::observe::metrics::{ConditionOutcome, Metrics};

/// The name under which the API server notes our changes.
const MANAGER: &str = "bellwether-scheduler";

/// How long one request may take: the core requests the same change again after a minute.
const TIMEOUT: Duration = Duration::from_secs(10);

/// At most ten writes a second, over all nodes: a write of a Node object goes to each program that watches nodes. Kubelets of
/// 5,000 nodes write 17 a second by themselves.
const PAUSE: Duration = Duration::from_millis(100);

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
    /// The last answer was a refusal, and is logged.
    is_refused: AtomicBool,
}

impl NodeConditionWriter {
    pub(crate) fn new(client: Client, metrics: Metrics) -> Self {
        Self {
            nodes: Api::all(client),
            metrics,
            is_refused: AtomicBool::new(false),
        }
    }

    /// Writes what is requested, for ever: one request at a time.
    pub(crate) async fn write(&self, queue: &ConditionQueue) {
        let mut changes = queue.lock().await;
        while let Some(change) = changes.recv().await {
            let outcome = self.write_once(&change).await;
            self.metrics.node_condition(outcome);
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn write_once(&self, change: &ConditionChange) -> ConditionOutcome {
        let patch = Patch::Strategic(patch(change));
        let params = PatchParams {
            field_manager: Some(MANAGER.to_owned()),
            ..PatchParams::default()
        };
        let answer = self.nodes.patch_status(change.node.as_str(), &params, &patch);
        let error = match tokio::time::timeout(TIMEOUT, answer).await {
            Ok(Ok(_)) => {
                self.is_refused.store(false, Ordering::Relaxed);
                return ConditionOutcome::Written;
            }
            // Another Node of the name, or none.
            Ok(Err(kube::Error::Api(status))) if [404, 409].contains(&status.code) => {
                return ConditionOutcome::NodeGone;
            }
            Ok(Err(kube::Error::Api(status))) if [400, 403, 422].contains(&status.code) => {
                if !self.is_refused.swap(true, Ordering::Relaxed) {
                    let error = status.message;
                    tracing::warn!(
                        error,
                        "No conditions on Nodes: if it is a right that the scheduler's ServiceAccount lacks, grant `patch` on `nodes/status`, as deploy/base/scheduler.yaml does, or set BELLWETHER_NODE_CONDITIONS=false; else ask the owner of the admission policy. Reboots continue without"
                    );
                }
                return ConditionOutcome::Refused;
            }
            Ok(Err(error)) => bellwether_chassis::chain(&error),
            Err(_) => "the API server has not answered in time".to_owned(),
        };
        tracing::debug!(node = %change.node, error, "Conditions of a node not written");
        ConditionOutcome::Failed
    }
}

/// A strategic merge patch, which leaves the conditions of other programs as they are. Of another node of the name the API server
/// refuses it, by the UID.
fn patch(change: &ConditionChange) -> Value {
    let at = format!("{:.0}", change.at);
    let set = change.conditions.set.iter().map(|(type_, wanted)| {
        let mut condition = json!({
            "type": type_,
            "status": wanted.status.as_str(),
            "reason": wanted.reason,
            "message": wanted.message,
            "lastHeartbeatTime": at,
        });
        if wanted.is_transition
            && let Some(fields) = condition.as_object_mut()
        {
            fields.insert("lastTransitionTime".to_owned(), json!(at));
        }
        condition
    });
    let removed = change.conditions.removed.iter();
    let removed = removed.map(|type_| json!({ "type": type_, "$patch": "delete" }));
    json!({
        "metadata": { "uid": change.node_uid.as_str() },
        "status": { "conditions": set.chain(removed).collect::<Vec<_>>() },
    })
}
