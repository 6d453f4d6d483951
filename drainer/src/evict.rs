//! Asks the API server for one eviction.
//!
//! The pod's own grace stands (D30), and its UID is a condition: a pod of the same name on
//! another node is never touched. It never decides whether or when; that is the plan's.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bellwether_chassis::clock;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::policy::v1::Eviction;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{DeleteOptions, ObjectMeta, Preconditions};
use kube::api::PostParams;
use kube::core::Status;
use kube::{Api, Client};

use bellwether_drainer_core::answer::Answer;
use crate::api::{plain, status_of};
use bellwether_drainer_core::plan::Rest;
use bellwether_drainer_core::pod::PodSeen;

/// How long the answer may take; the server itself tries for up to 10 s.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);

/// Evicts a pod, and returns its UID with what was answered.
pub(crate) async fn evict(client: Client, pod: PodSeen) -> (String, Answer) {
    let api: Api<Pod> = Api::namespaced(client, &pod.namespace);
    let body = body(&pod);
    let params = PostParams::default();
    // Not `Api::evict`: it writes `delete_options` where the server reads `deleteOptions`, so
    // that the condition on the UID would be lost without a word.
    let request = api.create_subresource::<_, Status>("eviction", &pod.name, &params, &body);
    let answer = match tokio::time::timeout(REQUEST_TIMEOUT, request).await {
        Ok(Ok(status)) => Answer::of(&plain(&status)),
        Ok(Err(error)) => match status_of(&error) {
            Some(status) => Answer::of(&plain(status)),
            None => Answer::Failed(bellwether_chassis::chain(&error)),
        },
        Err(_) => Answer::Failed(format!("no answer within {} s", REQUEST_TIMEOUT.as_secs())),
    };
    tracing::debug!(namespace = pod.namespace, pod = pod.name, ?answer, "Eviction answered");
    (pod.uid, answer)
}

fn body(pod: &PodSeen) -> Eviction {
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

/// Until when the API server asked for quiet: one for all drains of this process, since it is
/// the process that is too loud, not one of its drains.
#[derive(Debug, Clone, Default)]
pub(crate) struct Throttle(Arc<Mutex<Option<Timestamp>>>);

impl Throttle {
    /// The server asked for this much quiet.
    pub(crate) fn hold(&self, wait: Duration) {
        let until = clock::now()
            .saturating_add(clock::jitter(wait))
            .unwrap_or(Timestamp::MAX);
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *held = Some(held.map_or(until, |held| held.max(until)));
    }

    /// The rest that is due, if it was asked for.
    pub(crate) fn rest(&self) -> Option<Rest> {
        let until = (*self.0.lock().unwrap_or_else(PoisonError::into_inner))?;
        Some(Rest {
            until,
            why: "the API server is busy and asked for fewer requests".to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bellwether_drainer_core::pod::Class;
    use serde_json::json;

    #[test]
    fn d30_the_uid_is_a_condition_and_the_grace_is_the_pods_own() {
        let pod = PodSeen {
            uid: "u1".to_owned(),
            namespace: "shop".to_owned(),
            name: "web-0".to_owned(),
            class: Class::Evictable { risks: vec![] },
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
