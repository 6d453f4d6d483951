//! The requests that end one pod: its eviction, and its deletion whatever its budgets say.
//!
//! The pod's own grace stands (D30), and its UID is a condition: a pod of the same name on another
//! node is never touched.

use bellwether_drainer_core::{Answer, NodePod};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::policy::v1::Eviction;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{DeleteOptions, ObjectMeta, Preconditions};
use kube::api::{DeleteParams, PostParams};
use kube::core::Status;
use kube::{Api, Client};

use super::request::REQUEST_TIMEOUT;
use super::status::{plain, status_of};

/// Asks the API server to evict the pod.
pub(crate) async fn evict(client: Client, pod: &NodePod) -> Answer {
    let api: Api<Pod> = Api::namespaced(client, &pod.namespace);
    let body = body(pod);
    let params = PostParams::default();
    // Not `Api::evict`: it writes `delete_options` where the server reads `deleteOptions`, so
    // that the server would silently ignore the condition on the UID.
    let request = api.create_subresource::<_, Status>("eviction", &pod.name, &params, &body);
    let answer = match tokio::time::timeout(REQUEST_TIMEOUT, request).await {
        Ok(Ok(status)) => Answer::of(&plain(&status)),
        Ok(Err(error)) => answer_of(&error),
        Err(_) => Answer::Failed(format!("no answer within {} s", REQUEST_TIMEOUT.as_secs())),
    };
    tracing::debug!(namespace = pod.namespace, pod = pod.name, ?answer, "Eviction answered");
    answer
}

/// Asks the API server to delete the pod, whatever its budgets say.
pub(crate) async fn delete(client: Client, pod: &NodePod) -> Answer {
    let api: Api<Pod> = Api::namespaced(client, &pod.namespace);
    let params = DeleteParams::default().preconditions(kube::api::Preconditions {
        uid: Some(pod.uid.clone()),
        resource_version: None,
    });
    let answer = match tokio::time::timeout(REQUEST_TIMEOUT, api.delete(&pod.name, &params)).await {
        // The pod, which ends now, or the status of one that is gone at once.
        Ok(Ok(_)) => Answer::Accepted,
        Ok(Err(error)) => answer_of(&error),
        Err(_) => Answer::Failed(format!("no answer within {} s", REQUEST_TIMEOUT.as_secs())),
    };
    tracing::debug!(namespace = pod.namespace, pod = pod.name, ?answer, "Deletion answered");
    answer
}

fn answer_of(error: &kube::Error) -> Answer {
    match status_of(error) {
        Some(status) => Answer::of(&plain(status)),
        None => Answer::Failed(bellwether_chassis::chain(error)),
    }
}

fn body(pod: &NodePod) -> Eviction {
    Eviction {
        metadata: ObjectMeta {
            name: Some(pod.name.clone()),
            namespace: Some(pod.namespace.clone()),
            ..ObjectMeta::default()
        },
        delete_options: Some(DeleteOptions {
            preconditions: Some(Preconditions {
                uid: Some(pod.uid.clone()),
                resource_version: None,
            }),
            ..DeleteOptions::default()
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bellwether_drainer_core::pod::Class;
    use serde_json::json;

    #[test]
    fn d30_the_uid_is_a_condition_and_the_grace_is_the_pods_own() {
        let pod = NodePod {
            uid: "u1".to_owned(),
            namespace: "shop".to_owned(),
            name: "web-0".to_owned(),
            owner: "StatefulSet/web".to_owned(),
            class: Class::Evictable { risks: vec![] },
            facts: Default::default(),
        };
        let wanted = json!({
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": { "name": "web-0", "namespace": "shop" },
            "deleteOptions": { "preconditions": { "uid": "u1" } },
        });
        assert_eq!(serde_json::to_value(body(&pod)).unwrap(), wanted);
    }
}
