//! Lists the pods of one node that a gate is about.

use std::time::Duration;

use bellwether_chassis::chain;
use bellwether_policy::PodGate;
use bellwether_proto::NodeName;
use bellwether_scheduler_core::reading::Outcome;
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt as _};

/// How many pods are named, and so how many are listed.
const NAMED_MAX: usize = 10;

/// How long the listing of one node may take: an answer from the API server's cache takes milliseconds.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Looks whether such a pod is on the node and has not ended.
pub(super) async fn ask(client: &Client, node: &NodeName, gate: &PodGate) -> Outcome {
    match tokio::time::timeout(TIMEOUT, list(client, node, gate)).await {
        Ok(Ok(pods)) if pods.is_empty() => Outcome::Open,
        Ok(Ok(pods)) => Outcome::Shut(found(&pods).into()),
        Ok(Err(kube::Error::Api(status))) if status.code == 403 => Outcome::Failed(format!(
            "the scheduler may not list pods ({}): apply the manifests of its version",
            status.message
        )),
        Ok(Err(error)) => Outcome::Failed(format!("the pods of the node cannot be listed: {}", chain(&error))),
        Err(_) => Outcome::Failed(format!(
            "the API server has not listed the pods of the node within {} s",
            TIMEOUT.as_secs()
        )),
    }
}

/// Up to one more than are named.
async fn list(client: &Client, node: &NodeName, gate: &PodGate) -> Result<Vec<String>, kube::Error> {
    let limit = u32::try_from(NAMED_MAX).unwrap_or(u32::MAX).saturating_add(1);
    let fields = format!("spec.nodeName={node},status.phase!=Succeeded,status.phase!=Failed");
    let params = ListParams::default()
        .fields(&fields)
        .labels(&gate.selector.to_string())
        .limit(limit);
    let apis: Vec<Api<Pod>> = if gate.namespaces.is_empty() {
        vec![Api::all(client.clone())]
    } else {
        let namespaces = gate.namespaces.iter();
        namespaces
            .map(|namespace| Api::namespaced(client.clone(), namespace))
            .collect()
    };
    let mut pods = Vec::new();
    for api in apis {
        let listed = api.list_metadata(&params).await?;
        let names = listed
            .iter()
            .map(|pod| format!("{}/{}", pod.namespace().unwrap_or_default(), pod.name_any()));
        pods.extend(names);
    }
    Ok(pods)
}

fn found(pods: &[String]) -> String {
    let (named, more) = pods.split_at(pods.len().min(NAMED_MAX));
    let more = if more.is_empty() { "" } else { " and more" };
    let plural = if pods.len() == 1 { "the pod" } else { "the pods" };
    format!("{plural} {}{more} on the node", named.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_pods_are_named() {
        assert_eq!(found(&["a/b".to_owned()]), "the pod a/b on the node");
        let pods: Vec<String> = (0..11).map(|number| format!("n/p{number}")).collect();
        let text = found(&pods);
        assert!(
            text.starts_with("the pods n/p0, n/p1,") && text.ends_with("n/p9 and more on the node"),
            "{text}"
        );
    }
}
