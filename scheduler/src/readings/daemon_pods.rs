//! Lists the pods of DaemonSets on one node, each with whether it is Ready.

use std::time::Duration;

use bellwether_chassis::chain;
use bellwether_policy::Selector;
use bellwether_proto::NodeName;
use bellwether_scheduler_core::reading::{Outcome, PodOfDaemonSet};
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt as _};

/// Most pods of one node that are read: more than a kubelet runs.
const PODS_MAX: u32 = 500;

/// How long the listing of one node may take: an answer from the API server's cache takes milliseconds.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Lists the pods of the node.
pub(super) async fn ask(client: &Client, node: &NodeName, selector: &Selector) -> Outcome {
    let mut params = ListParams::default()
        .fields(&format!("spec.nodeName={node}"))
        .limit(PODS_MAX);
    if !selector.is_empty() {
        params = params.labels(&selector.to_string());
    }
    let api = Api::<Pod>::all(client.clone());
    match tokio::time::timeout(TIMEOUT, api.list(&params)).await {
        Ok(Ok(pods)) => Outcome::DaemonPods(pods.iter().filter_map(of_daemon_set).collect()),
        Ok(Err(kube::Error::Api(status))) if status.code == 403 => Outcome::Failed(format!(
            "the scheduler may not list pods ({}): apply the manifests of its version",
            status.message
        )),
        Ok(Err(error)) => Outcome::Failed(format!("the pods of the node cannot be listed: {}", chain(&error))),
        Err(_) => Outcome::Failed(format!(
            "the API server has not listed the pods of the node within {} s",
            TIMEOUT.as_secs()
        )),
    }
}

/// A pod that a DaemonSet owns and that is not being deleted.
fn of_daemon_set(pod: &Pod) -> Option<PodOfDaemonSet> {
    let owners = pod.owner_references().iter();
    let mut owners = owners.filter(|owner| owner.kind == "DaemonSet" && owner.controller == Some(true));
    let owner = owners.next().filter(|_| pod.metadata.deletion_timestamp.is_none())?;
    let status = pod.status.as_ref();
    let conditions = status
        .and_then(|status| status.conditions.as_deref())
        .unwrap_or_default();
    let containers = status.and_then(|status| status.container_statuses.as_deref());
    Some(PodOfDaemonSet {
        daemon_set: format!("{}/{}", pod.namespace().unwrap_or_default(), owner.name),
        run: run(pod, containers.unwrap_or_default()),
        ready: conditions
            .iter()
            .any(|condition| condition.type_ == "Ready" && condition.status == "True"),
    })
}

/// Another text after each start of a container: the pod, its restarts, and its last start.
fn run(pod: &Pod, containers: &[ContainerStatus]) -> String {
    let restarts: i64 = containers
        .iter()
        .map(|container| i64::from(container.restart_count))
        .sum();
    let started_at = containers.iter().filter_map(|container| {
        let running = container.state.as_ref()?.running.as_ref()?;
        Some(running.started_at.as_ref()?.0)
    });
    let started_at = started_at.max().map_or_else(String::new, |at| at.to_string());
    format!("{} {restarts} {started_at}", pod.uid().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(owner: &Value, ready: &str, restarts: u32) -> Pod {
        let pod = json!({
            "metadata": { "namespace": "kube-system", "name": "p", "uid": "u", "ownerReferences": [owner] },
            "status": {
                "conditions": [{ "type": "Ready", "status": ready }, { "type": "Initialized", "status": "True" }],
                "containerStatuses": [{
                    "name": "c", "image": "i", "imageID": "", "ready": true, "restartCount": restarts,
                    "state": { "running": { "startedAt": "2026-01-01T00:00:00Z" } },
                }],
            },
        });
        serde_json::from_value(pod).unwrap()
    }

    fn owner(kind: &str) -> Value {
        json!({ "apiVersion": "apps/v1", "kind": kind, "name": "net", "uid": "o", "controller": true })
    }

    #[test]
    fn a_pod_of_a_daemon_set_is_named_by_that_and_has_another_run_after_each_start() {
        let before = of_daemon_set(&pod(&owner("DaemonSet"), "True", 1)).unwrap();
        assert_eq!((before.daemon_set.as_str(), before.ready), ("kube-system/net", true));
        let after = of_daemon_set(&pod(&owner("DaemonSet"), "False", 2)).unwrap();
        assert!(!after.ready && after.run != before.run, "{after:?}");
        assert_eq!(of_daemon_set(&pod(&owner("ReplicaSet"), "True", 1)), None);
        let mut ending = pod(&owner("DaemonSet"), "True", 1);
        ending.metadata.deletion_timestamp = serde_json::from_str("\"2026-01-01T00:00:00Z\"").unwrap();
        assert_eq!(of_daemon_set(&ending), None);
    }
}
