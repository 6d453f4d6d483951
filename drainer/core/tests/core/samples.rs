//! The attempt and the pods of the stories.

use bellwether_drainer_core::pod::NodePod;
use bellwether_drainer_core::pod::controller::Controller;
use bellwether_drainer_core::{DaemonSetKinds, PodView};
use bellwether_proto::{AttemptId, AttemptRef, Generation, NodeUid};
use jiff::Timestamp;

pub(crate) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

pub(crate) fn attempt() -> AttemptRef {
    let node_uid: NodeUid = "u".parse().unwrap();
    AttemptRef {
        node: "n1".parse().unwrap(),
        attempt: AttemptId::new(&node_uid, Generation(3), Timestamp::UNIX_EPOCH),
        node_uid,
        generation: Generation(3),
    }
}

pub(crate) fn pod(uid: &str) -> PodView {
    PodView {
        uid: uid.to_owned(),
        namespace: "shop".to_owned(),
        name: uid.to_owned(),
        node: "n1".to_owned(),
        controller: Some(Controller {
            kind: "ReplicaSet".to_owned(),
            api_version: "apps/v1".to_owned(),
            name: "r".to_owned(),
        }),
        is_mirror: false,
        asks_to_stay: false,
        is_finished: false,
        has_finalizers: false,
        deletion_at: None,
        has_scratch_data: false,
        facts: Default::default(),
    }
}

pub(crate) fn has_to_go(pod: &PodView) -> bool {
    NodePod::on_node(pod, "n1", &DaemonSetKinds::default()).is_some_and(|pod| pod.has_to_go())
}

pub(crate) fn staying(uid: &str) -> PodView {
    PodView {
        asks_to_stay: true,
        ..pod(uid)
    }
}
