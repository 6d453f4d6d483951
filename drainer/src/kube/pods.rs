//! Requests for the pods of a node.

use bellwether_drainer_core::{ApiFault, PodView};
use bellwether_proto::NodeName;
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::{Api, Client};

use super::request::call;

/// Pods of one page: more than a node has by default, so that one request is the rule.
const PAGE: u32 = 500;
/// Pages of one list: ten times as many pods as any kubelet runs. An API server that never ends a list has no answer.
const PAGES_MAX: u32 = 20;

/// The field selector of a node's pods.
pub(super) fn on_node(node: &NodeName) -> String {
    format!("spec.nodeName={node}")
}

/// Lists the pods of the node with a consistent read.
pub(crate) async fn list(client: Client, node: &NodeName) -> Result<Vec<PodView>, ApiFault> {
    let pods: Api<Pod> = Api::all(client);
    // Without a resource version the API server reads the first page from a quorum, and the others at its revision.
    let mut params = ListParams::default().fields(&on_node(node)).limit(PAGE);
    let mut views = Vec::new();
    for _ in 0..PAGES_MAX {
        let page = call(pods.list(&params)).await?;
        views.extend(page.items.iter().filter_map(PodView::of));
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            None => return Ok(views),
            Some(token) => params = params.continue_token(&token),
        }
    }
    let pods_max = PAGE.saturating_mul(PAGES_MAX);
    Err(ApiFault::Unavailable(format!(
        "the list of the node's pods does not end after {pods_max} pods"
    )))
}

/// Lists the pods of the node as the API server's cache has them, which may be a moment behind: costs no read of etcd.
pub(crate) async fn list_cached(client: Client, node: &NodeName) -> Result<Vec<PodView>, ApiFault> {
    let pods: Api<Pod> = Api::all(client);
    let params = ListParams::default().match_any().fields(&on_node(node));
    let list = call(pods.list(&params)).await?;
    Ok(list.items.iter().filter_map(PodView::of).collect())
}
