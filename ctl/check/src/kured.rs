//! kured in the cluster: its DaemonSets, how many nodes they are on, and the holders of their locks.

use bellwether_scheduler_core::{LockHolder, WorkloadMeta};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::DaemonSet;
use serde_json::Value;

use crate::object::{annotation, name, namespace};
use crate::text;
use crate::workload::{Workload, WorkloadKind};

/// By these two Helm marks what it has installed.
const RELEASE_NAME: &str = "meta.helm.sh/release-name";
const RELEASE_NAMESPACE: &str = "meta.helm.sh/release-namespace";

/// A DaemonSet of kured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kured {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The nodes that have or are to have a pod of it.
    pub nodes: usize,
    /// Its locks: one, unless the annotation was renamed.
    pub locks: Vec<KuredLock>,
    /// The command that removes it.
    pub removal: String,
}

/// A lock of kured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KuredLock {
    /// The annotation of the DaemonSet.
    pub annotation: String,
    /// The nodes that hold it, and since when, such as `by node-1 for 2m`. A lock that has expired is held by none.
    pub holders: Vec<String>,
}

impl Kured {
    /// The kured that a workload is, if it is one: as the scheduler recognises it, and by its image too, which the
    /// scheduler does not watch.
    pub(crate) fn recognise(workload: &Workload, now: Timestamp) -> Option<Self> {
        let of_image = |image: &str| image.split([':', '@']).any(|part| part.ends_with("/kured"));
        let meta = meta(workload);
        let is_kured = meta.is_kured() || workload.images().any(of_image);
        if workload.kind() != WorkloadKind::DaemonSet || !is_kured {
            return None;
        }
        let lock = |(key, lock): (&str, &str)| KuredLock {
            annotation: key.to_owned(),
            holders: holders(lock, now),
        };
        let rollout = workload.rollout();
        Some(Self {
            namespace: meta.namespace.to_owned(),
            name: meta.name.to_owned(),
            nodes: usize::try_from(rollout.desired.max(rollout.created)).unwrap_or_default(),
            locks: meta.kured_locks().map(lock).collect(),
            removal: removal(workload),
        })
    }

    /// The same for a DaemonSet as kubectl prints it.
    ///
    /// # Errors
    /// The object is no DaemonSet.
    pub fn read(object: &Value, now: Timestamp) -> serde_json::Result<Option<Self>> {
        let daemon_set: DaemonSet = serde_json::from_value(object.clone())?;
        Ok(Self::recognise(&Workload::DaemonSet(Box::new(daemon_set)), now))
    }
}

/// What Helm has installed comes back if it is only deleted.
fn removal(workload: &Workload) -> String {
    let of_object = workload.meta();
    let (namespace, name) = (namespace(of_object), name(of_object));
    match annotation(of_object, RELEASE_NAME) {
        "" => format!("kubectl -n {namespace} delete daemonset {name}"),
        release => {
            let of_release = annotation(of_object, RELEASE_NAMESPACE);
            let of_release = if of_release.is_empty() { namespace } else { of_release };
            format!("helm -n {of_release} uninstall {release}")
        }
    }
}

/// The metadata by which the scheduler recognises rivals.
pub(crate) fn meta(workload: &Workload) -> WorkloadMeta<'_> {
    let meta = workload.meta();
    WorkloadMeta {
        namespace: namespace(meta),
        name: name(meta),
        labels: meta.labels.as_ref(),
        annotations: meta.annotations.as_ref(),
    }
}

/// The nodes that hold kured's lock, and since when. A lock that kured did not write counts as held: an operator
/// may have paused kured by it.
fn holders(lock: &str, now: Timestamp) -> Vec<String> {
    let Ok(holders) = LockHolder::read(lock) else {
        return vec!["by an unknown holder".to_owned()];
    };
    let holder = |holder: LockHolder| {
        let since = holder.since.map(|at| format!(" for {}", text::between(at, now)));
        format!("by {holder}{}", since.unwrap_or_default())
    };
    holders
        .into_iter()
        .filter(|holder| !holder.is_expired(now))
        .map(holder)
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(annotations: &Value, status: &Value) -> Kured {
        let object = json!({
            "kind": "DaemonSet",
            "metadata": { "name": "kured", "namespace": "kube-system", "annotations": annotations },
            "status": status,
        });
        Kured::read(&object, "2026-11-22T12:00:00Z".parse().unwrap())
            .unwrap()
            .unwrap()
    }

    fn status(desired: i32, created: i32) -> Value {
        json!({
            "desiredNumberScheduled": desired, "currentNumberScheduled": created,
            "numberMisscheduled": 0, "numberReady": 0,
        })
    }

    #[test]
    fn pods_that_still_end_keep_a_kured_on_its_nodes() {
        assert_eq!(read(&json!({}), &status(0, 0)).nodes, 0);
        assert_eq!(read(&json!({}), &status(0, 2)).nodes, 2);
        assert_eq!(read(&json!({}), &status(3, 2)).nodes, 3);
        let other = json!({ "metadata": { "name": "proxy" } });
        assert_eq!(
            Kured::read(&other, "2026-11-22T12:00:00Z".parse().unwrap()).unwrap(),
            None
        );
    }

    #[test]
    fn the_lock_is_read_in_both_its_forms_expires_and_is_held_if_kured_did_not_write_it() {
        let lock = |lock: &str| {
            let kured = read(&json!({ "weave.works/kured-node-lock": lock }), &status(1, 1));
            kured
                .locks
                .into_iter()
                .flat_map(|lock| lock.holders)
                .collect::<Vec<_>>()
        };
        for pause in ["paused by anna", ""] {
            assert_eq!(lock(pause), ["by an unknown holder"]);
        }
        assert_eq!(
            lock(r#"{"nodeID":"n1","created":"2026-11-22T11:58:00Z","TTL":0}"#),
            ["by n1 for 2m"]
        );
        assert_eq!(
            lock(r#"{"nodeID":"n1","created":"2026-11-22T11:00:00Z","TTL":60000000000}"#),
            [""; 0]
        );
        let both = r#"{"maxOwners":2,"locks":[{"nodeID":"n1"},{"nodeID":"n2"}]}"#;
        assert_eq!(lock(both), ["by n1", "by n2"]);
        assert_eq!(lock(r#"{"maxOwners":2,"locks":[]}"#), [""; 0]);
    }

    #[test]
    fn kured_is_known_by_its_name_its_image_or_its_lock_and_not_by_its_exporter() {
        let is_kured = |object: Value| Kured::read(&object, Timestamp::UNIX_EPOCH).unwrap().is_some();
        let of_image = |image: &str| {
            let containers = json!([{ "name": "main", "image": image }]);
            json!({ "metadata": { "name": "node-rebooter" },
                    "spec": { "selector": {}, "template": { "spec": { "containers": containers } } } })
        };
        assert!(is_kured(of_image("ghcr.io/kubereboot/kured:1.23.0")));
        assert!(!is_kured(of_image("registry:5000/notkured:1")));
        assert!(!is_kured(json!({ "metadata": { "name": "kured-exporter" } })));
        assert!(is_kured(json!({ "metadata": { "name": "kured" } })));
        let lock = json!({ "weave.works/kured-node-lock": "{}" });
        assert!(is_kured(json!({ "metadata": { "name": "x", "annotations": lock } })));
    }

    #[test]
    fn the_removal_goes_the_way_of_the_installation() {
        assert_eq!(
            read(&json!({}), &status(1, 1)).removal,
            "kubectl -n kube-system delete daemonset kured"
        );
        let helm = json!({ RELEASE_NAME: "nodes", RELEASE_NAMESPACE: "ops" });
        assert_eq!(read(&helm, &status(1, 1)).removal, "helm -n ops uninstall nodes");
    }
}
