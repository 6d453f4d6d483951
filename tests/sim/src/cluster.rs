//! The API server's objects: nodes and their pods.

use bellwether_drainer_core::PodView;
use bellwether_drainer_core::pod::controller::Controller;
use bellwether_proto::{AttemptId, BootId, NodeName, NodeUid};
use bellwether_scheduler_core::NodeView;
use jiff::Timestamp;

/// A Node object.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) uid: NodeUid,
    pub(crate) version: u64,
    pub(crate) ready: bool,
    pub(crate) ready_since: Timestamp,
    pub(crate) unschedulable: bool,
    pub(crate) mark: Option<AttemptId>,
    pub(crate) deleting: bool,
    pub(crate) boot: BootId,
    pub(crate) control_plane: bool,
}

impl Node {
    /// The node carries a cordon of ours.
    pub(crate) fn is_ours(&self) -> bool {
        self.unschedulable && self.mark.is_some()
    }

    /// As the scheduler's watch shows the node.
    pub(crate) fn for_scheduler(&self, name: &NodeName) -> NodeView {
        NodeView {
            name: name.clone(),
            uid: self.uid.clone(),
            ready: self.ready,
            ready_since: self.ready.then_some(self.ready_since),
            unschedulable: self.unschedulable,
            cordoned_for: self.mark,
            labels: Default::default(),
            taints: Vec::new(),
            conditions: Default::default(),
            our_conditions: Default::default(),
            orders: None,
            annotations: Default::default(),
            control_plane: self.control_plane,
            deleting: self.deleting,
            boot_id: Some(self.boot.clone()),
            kernel: String::new(),
            os: String::new(),
        }
    }

    /// As a drainer reads or watches the node.
    pub(crate) fn for_drainer(&self) -> bellwether_drainer_core::NodeView {
        bellwether_drainer_core::NodeView {
            uid: self.uid.to_string(),
            resource_version: Some(self.version.to_string()),
            is_being_deleted: self.deleting,
            not_ready: None,
            is_unschedulable: self.unschedulable,
            mark: self.mark.map(|mark| mark.to_string()),
            // No autoscaler is in these worlds.
            guards: bellwether_drainer_core::Guards::default(),
            set_marks: bellwether_drainer_core::SetMarks::default(),
        }
    }
}

/// A Pod object that is bound to a node.
#[derive(Debug, Clone)]
pub(crate) struct Pod {
    pub(crate) uid: String,
    pub(crate) is_daemon: bool,
    pub(crate) deletion_at: Option<Timestamp>,
}

impl Pod {
    pub(crate) fn view(&self, node: &NodeName) -> PodView {
        let (kind, controller) = if self.is_daemon {
            ("DaemonSet", "agent")
        } else {
            ("ReplicaSet", "web")
        };
        PodView {
            uid: self.uid.clone(),
            namespace: "shop".to_owned(),
            name: format!("{controller}-{}", self.uid),
            node: node.to_string(),
            controller: Some(Controller {
                kind: kind.to_owned(),
                api_version: "apps/v1".to_owned(),
                name: controller.to_string(),
            }),
            is_mirror: false,
            asks_to_stay: false,
            is_finished: false,
            has_finalizers: false,
            deletion_at: self.deletion_at,
            has_scratch_data: false,
            facts: Default::default(),
        }
    }
}

/// The objects.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) nodes: Vec<Option<Node>>,
    pub(crate) pods: Vec<Vec<Pod>>,
    created: u64,
}

impl Cluster {
    pub(crate) fn new(nodes: usize) -> Self {
        Self {
            nodes: vec![None; nodes],
            pods: vec![Vec::new(); nodes],
            created: 0,
        }
    }

    /// A number that no object has had before.
    pub(crate) fn number(&mut self) -> u64 {
        self.created += 1;
        self.created
    }

    /// Pods that a drain has to remove.
    pub(crate) fn pods_to_go(&self, node: usize) -> usize {
        self.pods[node].iter().filter(|pod| !pod.is_daemon).count()
    }
}
