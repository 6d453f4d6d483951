//! Our cordon on a Node object: put there, and taken away.
//!
//! The mark (whose cordon it is) and `spec.unschedulable` change in one patch, under the
//! object's resource version, so there is never one without the other by our hand. It never
//! takes away a cordon that is not this attempt's, and never touches taints: the node
//! controller derives the one that belongs to `spec.unschedulable` (D8).
//!
//! Each change looks at the node first, at the permit second, and writes third, under the
//! version seen first. So if another drainer changed the node after the record moved on, either
//! the permit or the version refuses.

use std::time::Duration;

use bellwether_chassis::{Backoff, clock};
use bellwether_proto::mark::CORDONED_FOR;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Node;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use crate::api::{ApiError, call};
use crate::error::{DrainError, UncordonError};
use crate::permit::{Order, Permit};

/// Longest wait between two tries.
const RETRY_DELAY_MAX: Duration = Duration::from_secs(5);

/// Whose cordon the node carries, seen from one order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Cordon {
    /// Nobody's: pods may be put there.
    None,
    /// This attempt's.
    Ours,
    /// Somebody else's, or another attempt's. Says whose, for people.
    Foreign(String),
    /// The node of the order is not there. Says why, for people.
    NodeGone(String),
}

/// Whose cordon it is.
pub(crate) fn cordon_of(node: Option<&Node>, order: &Order) -> Cordon {
    let node = match present(node, order) {
        Ok(node) => node,
        Err(gone) => return Cordon::NodeGone(gone),
    };
    if !is_unschedulable(node) {
        return Cordon::None;
    }
    match mark(node) {
        Some(mark) if mark == order.attempt.to_string() => Cordon::Ours,
        Some(mark) => Cordon::Foreign(format!("node {} is cordoned for attempt {mark}", order.node)),
        None => Cordon::Foreign(format!("node {} was cordoned by somebody else", order.node)),
    }
}

/// What takes an attempt's cordon away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Undo {
    /// Mark and cordon, in one patch.
    MarkAndCordon,
    /// The mark alone: a person has made the node schedulable already.
    Mark,
    /// Nothing: it does not carry our mark, or is not there.
    Nothing {
        /// It stays unschedulable, because that is not ours to change.
        left_unschedulable: bool,
    },
}

fn undo(node: Option<&Node>, order: &Order) -> Undo {
    // A node that is gone carries no cordon, so the order is done; the scheduler sees by itself
    // that the node is gone, and a newcomer of that name owes nothing to old records (D43).
    let Ok(node) = present(node, order) else {
        return Undo::Nothing {
            left_unschedulable: false,
        };
    };
    let ours = mark(node) == Some(order.attempt.to_string().as_str());
    match (ours, is_unschedulable(node)) {
        (true, true) => Undo::MarkAndCordon,
        (true, false) => Undo::Mark,
        (false, left_unschedulable) => Undo::Nothing { left_unschedulable },
    }
}

/// D1: the very node of the order, and not about to go.
fn present<'n>(node: Option<&'n Node>, order: &Order) -> Result<&'n Node, String> {
    let name = &order.node;
    let node = node.ok_or_else(|| format!("node {name} does not exist"))?;
    let uid = node.metadata.uid.as_deref().unwrap_or_default();
    if uid != order.node_uid.as_str() {
        return Err(format!(
            "node {name} is another one now, with UID {uid} instead of {}",
            order.node_uid
        ));
    }
    if node.metadata.deletion_timestamp.is_some() {
        return Err(format!("node {name} is being deleted"));
    }
    Ok(node)
}

fn is_unschedulable(node: &Node) -> bool {
    node.spec.as_ref().and_then(|spec| spec.unschedulable).unwrap_or(false)
}

fn mark(node: &Node) -> Option<&str> {
    node.metadata
        .annotations
        .as_ref()?
        .get(CORDONED_FOR)
        .map(String::as_str)
}

/// D2: whose cordon it is gets written with it, not before and not after. Nothing else of the
/// original state has to be remembered: a node is only cordoned if it was schedulable.
fn cordon_patch(node: &Node, order: &Order) -> Value {
    json!({
        "metadata": {
            "resourceVersion": node.metadata.resource_version,
            "annotations": { CORDONED_FOR: order.attempt.to_string() },
        },
        "spec": { "unschedulable": true },
    })
}

fn uncordon_patch(node: &Node, cordon_too: bool) -> Value {
    let mut patch = json!({
        "metadata": {
            "resourceVersion": node.metadata.resource_version,
            "annotations": { CORDONED_FOR: null },
        },
    });
    if cordon_too && let Some(fields) = patch.as_object_mut() {
        fields.insert("spec".to_owned(), json!({ "unschedulable": null }));
    }
    patch
}

/// The node as it is now, not as a cache has it.
pub(crate) async fn look(api: &Api<Node>, order: &Order) -> Result<Option<Node>, ApiError> {
    call(api.get_opt(order.node.as_str())).await
}

/// Makes the node carry the attempt's cordon; does nothing if it does already. Tries for ever:
/// the caller has the time limit.
pub(crate) async fn cordon(api: &Api<Node>, permit: &Permit) -> Result<(), DrainError> {
    let mut backoff = Backoff::up_to(RETRY_DELAY_MAX);
    loop {
        match try_cordon(api, permit).await {
            Ok(Cordon::Ours) => return Ok(()),
            Ok(Cordon::NodeGone(why)) => return Err(DrainError::NodeGone(why)),
            Ok(Cordon::Foreign(why)) => return Err(DrainError::ForeignCordon(why)),
            Ok(Cordon::None) => tracing::info!(node = %permit.order.node, "Node changed while it was cordoned"),
            Err(UncordonError::Api(ApiError::Forbidden(why))) => return Err(DrainError::Forbidden(why)),
            Err(UncordonError::Permit(error)) if error.is_final() => return Err(error.into()),
            Err(error) => {
                let error = bellwether_chassis::chain(&error);
                tracing::warn!(node = %permit.order.node, error, "Node could not be cordoned, trying again");
            }
        }
        tokio::time::sleep(backoff.after_failure()).await;
    }
}

async fn try_cordon(api: &Api<Node>, permit: &Permit) -> Result<Cordon, UncordonError> {
    let order = &permit.order;
    let node = look(api, order).await?;
    let found = cordon_of(node.as_ref(), order);
    let (Cordon::None, Some(node)) = (&found, &node) else {
        return Ok(found);
    };
    permit.read().await?;
    let patched = write(api, order, cordon_patch(node, order)).await?;
    Ok(patched.map_or(Cordon::None, |node| cordon_of(Some(&node), order)))
}

/// Takes the attempt's cordon away, and tries until the given instant. Returns whether the node
/// stays unschedulable because that is not ours to change.
pub(crate) async fn uncordon(api: &Api<Node>, permit: &Permit, give_up: Timestamp) -> Result<bool, UncordonError> {
    let mut backoff = Backoff::up_to(RETRY_DELAY_MAX);
    loop {
        match try_uncordon(api, permit).await {
            Ok(Some(left_unschedulable)) => return Ok(left_unschedulable),
            Ok(None) => tracing::info!(node = %permit.order.node, "Node changed while it was uncordoned"),
            Err(error) if error.is_final() || clock::now() >= give_up => return Err(error),
            Err(error) => {
                let error = bellwether_chassis::chain(&error);
                tracing::warn!(node = %permit.order.node, error, "Node could not be uncordoned, trying again");
            }
        }
        tokio::time::sleep(backoff.after_failure()).await;
    }
}

async fn try_uncordon(api: &Api<Node>, permit: &Permit) -> Result<Option<bool>, UncordonError> {
    let order = &permit.order;
    let node = look(api, order).await?;
    let cordon_too = match undo(node.as_ref(), order) {
        Undo::MarkAndCordon => true,
        Undo::Mark => false,
        Undo::Nothing { left_unschedulable } => return Ok(Some(left_unschedulable)),
    };
    let Some(node) = node else { return Ok(None) };
    permit.read().await?;
    let patched = write(api, order, uncordon_patch(&node, cordon_too)).await?;
    Ok(patched.map(|node| is_unschedulable(&node)))
}

/// Writes under the version that the patch carries. None: it was changed or deleted meanwhile.
async fn write(api: &Api<Node>, order: &Order, patch: Value) -> Result<Option<Node>, ApiError> {
    let params = PatchParams::default();
    match call(api.patch(order.node.as_str(), &params, &Patch::Merge(patch))).await {
        Ok(node) => Ok(Some(node)),
        Err(ApiError::Conflict(_) | ApiError::NotFound) => Ok(None),
        Err(error @ (ApiError::Forbidden(_) | ApiError::Unavailable(_))) => Err(error),
    }
}

#[cfg(test)]
#[path = "cordon_tests.rs"]
mod tests;
