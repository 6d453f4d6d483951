//! What a pod means for the drain of its node: does it have to go, is it going, may it stay?
//!
//! Pure: an object in, a class out. It owns no state and never looks at a clock.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;

/// Annotation that the kubelet puts on the API's image of a static pod.
const MIRROR: &str = "kubernetes.io/config.mirror";

/// Annotation by which a pod's owner says `"true"`: it goes down and comes up with its node. For what
/// could not start anywhere else, above all a single NATS server whose volume is on this node: once
/// evicted it would wait for the uncordon, and the uncordon for it.
const STAYS: &str = "bellwether.dev/stays";

/// A pod of the drained node, with no more than the drain needs of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodSeen {
    /// Its identity: a StatefulSet gives the same name again (D34), so names identify nothing.
    pub uid: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    pub class: Class,
}

/// What a pod means for the drain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Class {
    /// It stays on purpose and is never waited for.
    Stays(Stays),
    /// It is being deleted already: it is waited for, and never evicted again, which could
    /// only shorten its grace. Also when its containers have ended: only with its object gone may
    /// its StatefulSet start it elsewhere, and while the node is down nobody would remove that.
    Ending {
        /// When its grace is over; the API server has added the grace already.
        by: Timestamp,
    },
    /// It has to be evicted.
    Evictable {
        /// What its owner may regret, all of it (D10).
        risks: Vec<Risk>,
    },
}

/// Why a pod stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stays {
    /// The kubelet runs it from a file; the API cannot end it.
    Static,
    /// Its containers have ended and nobody deletes it, or a finalizer holds it: there is nothing
    /// left to disturb.
    Finished,
    /// Its DaemonSet would put it back at once. A pod whose DaemonSet is gone counts as one
    /// too: to tell, the drainer would need the right to read DaemonSets.
    DaemonSet,
    /// Its owner wants it to.
    ByWish,
}

/// What is lost with a pod. It is evicted all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Risk {
    /// Nobody will start it again.
    NoController,
    /// Its scratch volume on disk goes with it.
    ScratchData,
}

impl Risk {
    /// The words for logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoController => "no controller: nobody starts it again",
            Self::ScratchData => "emptyDir volume: its data is lost",
        }
    }
}

impl PodSeen {
    /// What this pod means for the drain of this node; none if it is not there, or has no identity.
    pub fn of(pod: &Pod, node: &str) -> Option<Self> {
        let spec = pod.spec.as_ref()?;
        if spec.node_name.as_deref() != Some(node) {
            return None;
        }
        Some(Self {
            uid: pod.metadata.uid.clone()?,
            namespace: pod.metadata.namespace.clone()?,
            name: pod.metadata.name.clone()?,
            class: classify(pod),
        })
    }

    /// True while the node is not empty because of it.
    pub fn has_to_go(&self) -> bool {
        match self.class {
            Class::Stays(_) => false,
            Class::Ending { .. } | Class::Evictable { .. } => true,
        }
    }
}

fn classify(pod: &Pod) -> Class {
    let controller = controller(pod);
    let annotations = pod.metadata.annotations.as_ref();
    // First: a static pod stays even when it is finished or seems to be deleted.
    if annotations.is_some_and(|annotations| annotations.contains_key(MIRROR))
        || controller.is_some_and(|owner| owner.kind == "Node")
    {
        return Class::Stays(Stays::Static);
    }
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    let held = pod.metadata.finalizers.as_ref().is_some_and(|all| !all.is_empty());
    if matches!(phase, Some("Succeeded" | "Failed")) && (held || pod.metadata.deletion_timestamp.is_none()) {
        return Class::Stays(Stays::Finished);
    }
    if controller.is_some_and(|owner| owner.kind == "DaemonSet" && owner.api_version == "apps/v1") {
        return Class::Stays(Stays::DaemonSet);
    }
    if annotations.is_some_and(|annotations| annotations.get(STAYS).is_some_and(|value| value == "true")) {
        return Class::Stays(Stays::ByWish);
    }
    if let Some(by) = &pod.metadata.deletion_timestamp {
        return Class::Ending { by: by.0 };
    }
    let mut risks = Vec::new();
    if controller.is_none() {
        risks.push(Risk::NoController);
    }
    if has_scratch_data(pod) {
        risks.push(Risk::ScratchData);
    }
    Class::Evictable { risks }
}

/// The owner that manages it; an owner that does not control is no manager.
fn controller(pod: &Pod) -> Option<&OwnerReference> {
    let owners = pod.metadata.owner_references.as_ref()?;
    owners.iter().find(|owner| owner.controller == Some(true))
}

/// Memory is lost at a reboot anyway.
fn has_scratch_data(pod: &Pod) -> bool {
    let volumes = pod.spec.as_ref().and_then(|spec| spec.volumes.as_ref());
    volumes.is_some_and(|volumes| {
        let mut on_disk = volumes.iter().filter_map(|volume| volume.empty_dir.as_ref());
        on_disk.any(|scratch| scratch.medium.as_deref() != Some("Memory"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn d24_a_pod_of_another_node_is_not_ours() {
        let mut object = json(json!({}));
        object["spec"]["nodeName"] = json!("n2");
        assert_eq!(seen(object.clone()), None);
        object["spec"] = json!({ "containers": [] });
        assert_eq!(seen(object), None, "not bound yet");
    }

    #[test]
    fn daemon_set_pods_stay_by_their_controller_and_not_by_any_owner() {
        let daemon = |controller, api| {
            json!({ "ownerReferences": [
                { "kind": "DaemonSet", "apiVersion": api, "name": "d", "uid": "o", "controller": controller }] })
        };
        assert_eq!(class(daemon(true, "apps/v1")), Class::Stays(Stays::DaemonSet));
        assert!(matches!(class(daemon(false, "apps/v1")), Class::Evictable { .. }));
        assert!(matches!(
            class(daemon(true, "apps.kruise.io/v1")),
            Class::Evictable { .. }
        ));
    }

    #[test]
    fn a_pod_stays_if_its_owner_says_so_in_just_that_word() {
        let wish = |word: &str| class(json!({ "annotations": { STAYS: word } }));
        assert_eq!(wish("true"), Class::Stays(Stays::ByWish));
        assert!(matches!(wish("false"), Class::Evictable { .. }));
    }

    #[test]
    fn static_pods_stay_even_when_they_seem_deleted() {
        let mirror = json!({
            "annotations": { MIRROR: "abc" },
            "deletionTimestamp": "2026-01-01T00:00:00Z",
        });
        assert_eq!(class(mirror), Class::Stays(Stays::Static));
    }

    #[test]
    fn finished_pods_stay_unless_only_the_kubelet_has_to_tidy_them_up() {
        let finished = |phase: &str, metadata: Value| {
            let mut object = json(metadata);
            object["status"] = json!({ "phase": phase });
            seen(object).unwrap().class
        };
        let by = "2026-01-01T00:00:00Z";
        for phase in ["Succeeded", "Failed"] {
            assert_eq!(finished(phase, json!({})), Class::Stays(Stays::Finished));
            let held = json!({ "deletionTimestamp": by, "finalizers": ["example.com/backup"] });
            assert_eq!(finished(phase, held), Class::Stays(Stays::Finished));
            let deleted = json!({ "deletionTimestamp": by });
            let by = by.parse().unwrap();
            assert_eq!(finished(phase, deleted), Class::Ending { by });
        }
    }

    #[test]
    fn d47_a_pod_that_is_ending_is_only_waited_for() {
        let by = "2026-01-01T00:00:30Z";
        assert_eq!(
            class(json!({ "deletionTimestamp": by })),
            Class::Ending {
                by: by.parse().unwrap()
            }
        );
    }

    #[test]
    fn d10_all_risks_are_told() {
        let mut object = json(json!({}));
        object["spec"]["volumes"] = json!([{ "name": "m", "emptyDir": { "medium": "Memory" } }]);
        assert_eq!(
            seen(object.clone()).unwrap().class,
            Class::Evictable {
                risks: vec![Risk::NoController]
            }
        );
        object["spec"]["volumes"] = json!([{ "name": "d", "emptyDir": {} }]);
        let risks = vec![Risk::NoController, Risk::ScratchData];
        assert_eq!(seen(object).unwrap().class, Class::Evictable { risks });
    }

    fn class(metadata: Value) -> Class {
        seen(json(metadata)).unwrap().class
    }

    fn seen(object: Value) -> Option<PodSeen> {
        PodSeen::of(&serde_json::from_value(object).unwrap(), "n1")
    }

    fn json(mut metadata: Value) -> Value {
        metadata["name"] = json!("a");
        metadata["namespace"] = json!("shop");
        metadata["uid"] = json!("u1");
        json!({ "metadata": metadata, "spec": { "nodeName": "n1", "containers": [] } })
    }
}
