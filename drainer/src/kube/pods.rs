//! Requests for the pods of a node.

use bellwether_drainer_core::{ApiFault, PodView};
use bellwether_proto::NodeName;
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::{Api, Client};

use super::request::call;

/// The field selector of a node's pods.
pub(super) fn on_node(node: &NodeName) -> String {
    format!("spec.nodeName={node}")
}

/// Lists the pods of the node with a consistent read.
pub(crate) async fn list(client: Client, node: &NodeName) -> Result<Vec<PodView>, ApiFault> {
    let pods: Api<Pod> = Api::all(client);
    // Without a resource version the API server reads the list from a quorum.
    let params = ListParams::default().fields(&on_node(node));
    let list = call(pods.list(&params)).await?;
    Ok(list.items.iter().filter_map(PodView::of).collect())
}

/// Lists the pods of the node as the API server's cache has them, which may be a moment behind: costs no read of etcd.
pub(crate) async fn list_cached(client: Client, node: &NodeName) -> Result<Vec<PodView>, ApiFault> {
    let pods: Api<Pod> = Api::all(client);
    let params = ListParams::default().match_any().fields(&on_node(node));
    let list = call(pods.list(&params)).await?;
    Ok(list.items.iter().filter_map(PodView::of).collect())
}
