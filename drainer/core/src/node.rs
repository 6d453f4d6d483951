//! The view of a Node object: the fields on which the decisions rest, and the results of requests for it.

use bellwether_proto::mark::CORDONED_FOR;
use k8s_openapi::api::core::v1::Node;

use crate::fault::ApiFault;
use crate::guard::Guards;
use crate::set_marks::SetMarks;
use crate::watched::Watched;

/// A Node object at one resource version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeView {
    /// `metadata.uid`; empty if the object has none.
    pub uid: String,
    /// `metadata.resourceVersion`: a patch that names it fails after any other change.
    pub resource_version: Option<String>,
    /// True once the object has a deletion timestamp.
    pub is_being_deleted: bool,
    /// `spec.unschedulable`.
    pub is_unschedulable: bool,
    /// Why the node is not Ready, for operators; none while it is, and before its kubelet has reported.
    pub not_ready: Option<String>,
    /// Value of our annotation: the attempt whose cordon the node carries.
    pub mark: Option<String>,
    /// What was set together with a cordon.
    pub guards: Guards,
    /// What operators' settings have set together with a cordon.
    pub set_marks: SetMarks,
}

impl From<&Node> for NodeView {
    fn from(node: &Node) -> Self {
        let metadata = &node.metadata;
        let annotations = metadata.annotations.as_ref();
        Self {
            uid: metadata.uid.clone().unwrap_or_default(),
            resource_version: metadata.resource_version.clone(),
            is_being_deleted: metadata.deletion_timestamp.is_some(),
            is_unschedulable: node.spec.as_ref().and_then(|spec| spec.unschedulable).unwrap_or(false),
            not_ready: not_ready(node),
            mark: annotations.and_then(|all| all.get(CORDONED_FOR)).cloned(),
            guards: Guards::of(annotations, metadata.labels.as_ref()),
            set_marks: SetMarks::of(annotations),
        }
    }
}

fn not_ready(node: &Node) -> Option<String> {
    let conditions = node.status.as_ref()?.conditions.as_deref()?;
    let ready = conditions.iter().find(|condition| condition.type_ == "Ready")?;
    let message = ready.message.as_deref().or(ready.reason.as_deref());
    (ready.status != "True").then(|| message.unwrap_or("no reason is stated").to_owned())
}

/// The result of reading the Node object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeRead {
    /// The object.
    Found(NodeView),
    /// The API server knows no such object.
    Absent,
    /// The read failed.
    Failed(ApiFault),
}

/// The result of a patch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodePatched {
    /// The object after the patch.
    Written(NodeView),
    /// Another writer changed or deleted the object since it was read; nothing was written.
    Changed,
    /// The patch failed.
    Failed(ApiFault),
}

/// Follows the watch of one Node object.
#[derive(Debug, Default)]
pub(crate) struct NodeWatch {
    is_listed: bool,
}

impl NodeWatch {
    /// The object as it is after this event; none if the event does not show that.
    pub(crate) fn handle(&mut self, event: Watched<NodeView>) -> Option<NodeRead> {
        match event {
            Watched::Changed(node) => Some(NodeRead::Found(node)),
            Watched::Listed(node) => {
                self.is_listed = true;
                Some(NodeRead::Found(node))
            }
            Watched::Deleted(_) => Some(NodeRead::Absent),
            Watched::ListStarted => {
                self.is_listed = false;
                None
            }
            Watched::ListEnded => (!self.is_listed).then_some(NodeRead::Absent),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d45_a_node_is_not_ready_once_its_condition_states_so() {
        let node = |conditions| {
            let node = serde_json::json!({ "status": { "conditions": conditions } });
            NodeView::from(&serde_json::from_value::<Node>(node).unwrap()).not_ready
        };
        let ready = |status| serde_json::json!({ "type": "Ready", "status": status, "message": "kubelet silent" });
        let pressure = serde_json::json!({ "type": "DiskPressure", "status": "True", "message": "full" });
        assert_eq!(node(serde_json::json!([pressure, ready("True")])), None);
        for status in ["False", "Unknown"] {
            assert_eq!(
                node(serde_json::json!([pressure, ready(status)])),
                Some("kubelet silent".to_owned())
            );
        }
        assert_eq!(node(serde_json::json!([])), None, "no kubelet has reported yet");
    }

    #[test]
    fn d42_a_node_that_no_list_contains_is_gone() {
        let node = NodeView::from(&Node::default());
        let mut watch = NodeWatch::default();
        assert_eq!(watch.handle(Watched::ListStarted), None);
        assert_eq!(watch.handle(Watched::ListEnded), Some(NodeRead::Absent));
        assert_eq!(
            watch.handle(Watched::Listed(node.clone())),
            Some(NodeRead::Found(node.clone()))
        );
        assert_eq!(watch.handle(Watched::ListEnded), None);
        assert_eq!(watch.handle(Watched::Deleted(node)), Some(NodeRead::Absent));
    }
}
