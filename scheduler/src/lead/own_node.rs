//! Leaving the lead to another replica before the node of this one is emptied.
//!
//! A leader on a node under drain is evicted in the middle of a drain that it watches over, together with its connections.
//! It releases the Lease at the begin of that drain instead, if another replica on another node is ready: the lead changes
//! once, while nothing presses, and the pod that is evicted later leads nothing.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bellwether_proto::{AttemptId, NodeName, Phase};
use bellwether_scheduler_core::Fleet;
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::{Api, Client};

/// The pods of the schedulers, by their labels in the manifests.
const SCHEDULERS: &str = "app.kubernetes.io/component=scheduler,app.kubernetes.io/part-of=bellwether";

/// How long the list of these pods may take: the leader decides nothing meanwhile, once for each attempt of its node.
const TIMEOUT: Duration = Duration::from_secs(2);

/// More replicas than any installation has.
const REPLICAS_MAX: u32 = 20;

/// The node of this replica is being drained, and another replica is ready.
#[derive(Debug, thiserror::Error)]
#[error("node {0} of this replica is being drained, and another replica is ready")]
pub(crate) struct OwnNodeDrains(NodeName);

/// The node on which this replica runs.
#[derive(Debug)]
pub(crate) struct OwnNode {
    /// None: not known, so the replica leads until its pod stops.
    name: Option<NodeName>,
    namespace: String,
    /// The attempt for which this replica has looked: once for each, so that two replicas on nodes under drain do not pass
    /// the lead to and fro.
    looked_for: Mutex<Option<AttemptId>>,
}

impl OwnNode {
    pub(crate) fn new(name: Option<NodeName>, namespace: String) -> Self {
        Self {
            name,
            namespace,
            looked_for: Mutex::default(),
        }
    }

    /// Errors if this replica has to leave the lead to another one.
    pub(super) async fn check(&self, fleet: &Fleet, client: &Client) -> Result<(), OwnNodeDrains> {
        let Some(name) = self.name.as_ref().filter(|name| self.is_new_drain(fleet, name)) else {
            return Ok(());
        };
        if another_is_ready(client, &self.namespace, name).await {
            return Err(OwnNodeDrains(name.clone()));
        }
        tracing::info!(node = %name, "The own node is being drained, and no other scheduler is ready elsewhere");
        Ok(())
    }

    /// An attempt drains the node for which this replica has not looked yet.
    fn is_new_drain(&self, fleet: &Fleet, name: &NodeName) -> bool {
        let attempt = fleet.attempt(name).filter(|attempt| attempt.phase == Phase::Draining);
        let Some(attempt) = attempt else { return false };
        let mut looked_for = self.looked_for.lock().unwrap_or_else(PoisonError::into_inner);
        looked_for.replace(attempt.id) != Some(attempt.id)
    }
}

/// True if a scheduler's pod on another node is Ready. Without an answer of the API server it is not known, so false.
async fn another_is_ready(client: &Client, namespace: &str, own: &NodeName) -> bool {
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let params = ListParams::default().labels(SCHEDULERS).limit(REPLICAS_MAX);
    match tokio::time::timeout(TIMEOUT, pods.list(&params)).await {
        Ok(Ok(pods)) => pods.iter().any(|pod| may_lead(pod, own)),
        Ok(Err(error)) => {
            tracing::warn!(
                error = bellwether_chassis::chain(&error),
                "The other schedulers are not known"
            );
            false
        }
        Err(_) => {
            tracing::warn!("The other schedulers are not known: no answer of the API server");
            false
        }
    }
}

/// The pod is on another node than this one, Ready, and not ending.
fn may_lead(pod: &Pod, own: &NodeName) -> bool {
    let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref());
    let status = pod.status.as_ref();
    let conditions = status
        .and_then(|status| status.conditions.as_deref())
        .unwrap_or_default();
    let is_ready = conditions
        .iter()
        .any(|condition| condition.type_ == "Ready" && condition.status == "True");
    is_ready && pod.metadata.deletion_timestamp.is_none() && node.is_some_and(|node| node != own.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_a_ready_pod_on_another_node_that_does_not_end_may_lead() {
        let own: NodeName = "n1".parse().unwrap();
        let pod = |node: Option<&str>, ready: &str, ends: bool| {
            let deletion = ends.then_some("2026-03-01T02:00:00Z");
            let pod = json!({
                "metadata": { "name": "scheduler-b", "deletionTimestamp": deletion },
                "spec": { "nodeName": node, "containers": [] },
                "status": { "conditions": [{ "type": "Ready", "status": ready }] },
            });
            may_lead(&serde_json::from_value(pod).unwrap(), &own)
        };
        assert!(pod(Some("n2"), "True", false));
        assert!(!pod(Some("n1"), "True", false), "its own node is drained");
        assert!(!pod(Some("n2"), "False", false));
        assert!(!pod(Some("n2"), "True", true));
        assert!(!pod(None, "True", false));
    }
}
