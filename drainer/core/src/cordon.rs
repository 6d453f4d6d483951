//! Whose cordon a node carries, and the patches that set and remove ours.
//!
//! The mark (whose cordon it is) and `spec.unschedulable` change in one patch, under the object's
//! resource version, so the drainer never leaves one without the other. The drainer never removes
//! a cordon of another owner and never touches taints: the node controller derives the one that
//! belongs to `spec.unschedulable` (D8).

use bellwether_proto::AttemptRef;
use bellwether_proto::mark::CORDONED_FOR;
use serde_json::{Map, Value, json};

use crate::guard::GuardPatch;
use crate::marks::MarkPatch;
use crate::node::NodeView;

/// Whose cordon the node carries, from the point of view of one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cordon {
    /// The node is schedulable.
    None,
    /// This attempt's.
    Ours,
    /// An operator's, another program's or another attempt's. Names the owner as far as known.
    Foreign(String),
    /// The node of the command does not exist any more. Says why.
    NodeGone(String),
}

/// Reads whose cordon the node carries.
#[must_use]
pub fn cordon_of(node: Option<&NodeView>, attempt: &AttemptRef) -> Cordon {
    let node = match present(node, attempt) {
        Ok(node) => node,
        Err(gone) => return Cordon::NodeGone(gone),
    };
    if !node.is_unschedulable {
        return Cordon::None;
    }
    let name = &attempt.node;
    match node.mark.as_deref() {
        Some(mark) if mark == attempt.attempt.to_string() => Cordon::Ours,
        Some(mark) => Cordon::Foreign(format!("node {name} is cordoned for attempt {mark}")),
        None => Cordon::Foreign(format!("node {name} carries the cordon of another tool or operator")),
    }
}

/// The change that removes an attempt's cordon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removal {
    /// Remove mark and cordon, in one patch.
    MarkAndCordon,
    /// Remove the mark alone: an operator has made the node schedulable already.
    Mark,
    /// Change nothing: the node does not carry our mark, or does not exist.
    Nothing {
        /// The node stays unschedulable under a cordon that is not ours.
        left_unschedulable: bool,
    },
}

/// Decides how to remove the attempt's cordon from the node.
#[must_use]
pub fn removal(node: Option<&NodeView>, attempt: &AttemptRef) -> Removal {
    // A node that is gone carries no cordon, so the command is done; the scheduler learns by its own
    // watch that the node is gone, and no record binds a newcomer of the same name (D43).
    let Ok(node) = present(node, attempt) else {
        return Removal::Nothing {
            left_unschedulable: false,
        };
    };
    let ours = node.mark.as_deref() == Some(attempt.attempt.to_string().as_str());
    match (ours, node.is_unschedulable) {
        (true, true) => Removal::MarkAndCordon,
        (true, false) => Removal::Mark,
        (false, left_unschedulable) => Removal::Nothing { left_unschedulable },
    }
}

/// Requires the very node of the command, not about to be deleted (D1).
fn present<'n>(node: Option<&'n NodeView>, attempt: &AttemptRef) -> Result<&'n NodeView, String> {
    let name = &attempt.node;
    let node = node.ok_or_else(|| format!("node {name} does not exist"))?;
    if node.uid != attempt.node_uid.as_str() {
        return Err(format!(
            "node {name} is another one now, with UID {} instead of {}",
            node.uid, attempt.node_uid
        ));
    }
    if node.is_being_deleted {
        return Err(format!("node {name} is being deleted"));
    }
    Ok(node)
}

/// The merge patch that cordons the node. The patch names the cordon's owner together with the
/// cordon, not before and not after (D2), sets what keeps autoscalers off the node (D46), and takes the node out of
/// external load balancers where the drain demands that (D6). Nothing else of the original state has to be remembered: only
/// a schedulable node is cordoned. `marks` are what operators want on the node beside that.
pub(crate) fn cordon_patch(
    node: &NodeView,
    attempt: &AttemptRef,
    leaves_load_balancers: bool,
    marks: MarkPatch,
) -> Value {
    let guards = node.guards.set(leaves_load_balancers);
    let mark = attempt.attempt.to_string();
    let marks = marks.with_list(&node.set_marks);
    let mut patch = metadata_patch(node, guards, marks, mark.into());
    patch.insert("spec".to_owned(), json!({ "unschedulable": true }));
    patch.into()
}

/// The merge patch that removes the mark with its guards, and the cordon with them if `cordon_too`; `marks` are what operators
/// want on the node afterwards.
pub(crate) fn uncordon_patch(node: &NodeView, cordon_too: bool, marks: MarkPatch) -> Value {
    let mut patch = metadata_patch(node, node.guards.remove(), marks, Value::Null);
    if cordon_too {
        patch.insert("spec".to_owned(), json!({ "unschedulable": null }));
    }
    patch.into()
}

/// The mark with its guards and the marks of operators, under the version that was read.
fn metadata_patch(node: &NodeView, guards: GuardPatch, marks: MarkPatch, mark: Value) -> Map<String, Value> {
    let MarkPatch {
        mut annotations,
        mut labels,
    } = marks;
    annotations.extend(guards.annotations);
    labels.extend(guards.labels);
    annotations.insert(CORDONED_FOR.to_owned(), mark);
    let mut metadata = Map::new();
    metadata.insert("resourceVersion".to_owned(), json!(node.resource_version));
    metadata.insert("annotations".to_owned(), annotations.into());
    if !labels.is_empty() {
        metadata.insert("labels".to_owned(), labels.into());
    }
    Map::from_iter([("metadata".to_owned(), metadata.into())])
}

#[cfg(test)]
#[path = "cordon_tests.rs"]
mod tests;
