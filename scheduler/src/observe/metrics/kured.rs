//! Kured's metric of the nodes that need a reboot.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use bellwether_proto::NodeName;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct NodeLabels {
    node: String,
}

/// Which nodes need a reboot. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Kured {
    required: Family<NodeLabels, Gauge>,
    /// The nodes with series.
    published: Arc<Mutex<BTreeSet<NodeName>>>,
}

impl Kured {
    pub(super) fn register(&self, registry: &mut Registry) {
        let help = "1 if the node's host needs a reboot, as kured's metric of this name";
        registry.register("kured_reboot_required", help, self.required.clone());
    }

    /// Publishes each node's need, and nothing more of nodes that are gone. Series that stay are set in place, so a scrape in
    /// between finds no gap.
    pub(super) fn publish<'a>(&self, needs: impl Iterator<Item = (&'a NodeName, bool)>) {
        let labels = |node: &NodeName| NodeLabels { node: node.to_string() };
        let mut names = BTreeSet::new();
        for (node, is_needed) in needs {
            self.required.get_or_create(&labels(node)).set(is_needed.into());
            names.insert(node.clone());
        }
        let mut published = self.published.lock().unwrap_or_else(PoisonError::into_inner);
        for gone in published.difference(&names) {
            self.required.remove(&labels(gone));
        }
        *published = names;
    }
}
