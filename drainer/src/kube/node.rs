//! Requests for the Node object.

use bellwether_drainer_core::{ApiFault, NodePatched, NodeRead, NodeView};
use bellwether_proto::NodeName;
use k8s_openapi::api::core::v1::Node;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde_json::Value;

use super::request::call;

/// The name under which the API server notes our changes. Without one, every client without a name shares an entry of the
/// managed fields, and our patch would give the entry of another one, such as the operator of an order, a new time.
const FIELD_MANAGER: &str = "bellwether-drainer";

/// Reads the Node object from the API server, not from a cache.
pub(crate) async fn read(client: Client, name: &NodeName) -> NodeRead {
    match object(client, name).await {
        Ok(Some(node)) => NodeRead::Found(NodeView::from(&node)),
        Ok(None) => NodeRead::Absent,
        Err(fault) => NodeRead::Failed(fault),
    }
}

/// The same as the whole object; none if there is none.
pub(crate) async fn object(client: Client, name: &NodeName) -> Result<Option<Node>, ApiFault> {
    let nodes: Api<Node> = Api::all(client);
    call(nodes.get_opt(name.as_str())).await
}

/// Applies a merge patch under the version that the patch names.
pub(crate) async fn patch(client: Client, name: &NodeName, patch: Value) -> NodePatched {
    let nodes: Api<Node> = Api::all(client);
    let params = PatchParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    };
    match call(nodes.patch(name.as_str(), &params, &Patch::Merge(patch))).await {
        Ok(node) => NodePatched::Written(NodeView::from(&node)),
        Err(ApiFault::Conflict(_) | ApiFault::NotFound) => NodePatched::Changed,
        Err(fault @ (ApiFault::Forbidden(_) | ApiFault::Unavailable(_))) => NodePatched::Failed(fault),
    }
}
