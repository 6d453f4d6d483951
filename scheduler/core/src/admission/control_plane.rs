//! The nodes of the control plane, of which one at most may be disrupted at once.
//!
//! Two of three away at once are the end of etcd's quorum, and with it of the cluster, whatever the
//! number of slots.

use std::collections::BTreeMap;

use bellwether_proto::NodeName;

use crate::admission::budget::Holder;

/// The nodes of the control plane, each with the reason why it takes a slot, if it does.
#[derive(Debug, Clone, Default)]
pub(crate) struct ControlPlane {
    nodes: BTreeMap<NodeName, Option<Holder>>,
}

impl ControlPlane {
    /// States whether a node is of the control plane, and why it takes a slot. True if other nodes of the
    /// control plane have to be decided on again.
    pub(crate) fn set(&mut self, node: &NodeName, is_member: bool, holder: Option<Holder>) -> bool {
        let before = if is_member {
            self.nodes.insert(node.clone(), holder).flatten()
        } else {
            self.nodes.remove(node).flatten()
        };
        before != holder.filter(|_| is_member)
    }

    /// The nodes of the control plane.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = &NodeName> {
        self.nodes.keys()
    }

    /// The first other node of the control plane that is disrupted.
    pub(crate) fn disrupted_beside(&self, node: &NodeName) -> Option<(&NodeName, Holder)> {
        let others = self.nodes.iter().filter(|(other, _)| *other != node);
        others.filter_map(|(other, holder)| Some((other, (*holder)?))).next()
    }
}
