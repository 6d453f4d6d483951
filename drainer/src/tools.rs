//! What all work of this process shares.
//!
//! It decides nothing; it is handed to whoever acts.

use k8s_openapi::api::core::v1::Node;
use kube::{Api, Client};

use crate::evict::Throttle;
use crate::metrics::Metrics;

/// What all drains of this process share.
#[derive(Debug, Clone)]
pub(crate) struct Tools {
    pub(crate) client: KubeClient,
    pub(crate) metrics: Metrics,
    pub(crate) throttle: Throttle,
    pub(crate) evictions_per_node: usize,
}

/// The client, which cannot be printed.
#[derive(Clone)]
pub(crate) struct KubeClient(pub(crate) Client);

impl std::fmt::Debug for KubeClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KubeClient")
    }
}

impl Tools {
    /// The Node objects.
    pub(crate) fn nodes(&self) -> Api<Node> {
        Api::all(self.client.0.clone())
    }
}
