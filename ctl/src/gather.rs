//! Gathers the facts of `check` and `uninstall-check`: from Kubernetes through kubectl, with the rights
//! of the user, and from the leading scheduler. It judges nothing, and changes nothing.

mod installation;
mod readyz;
mod removal;

pub(crate) use installation::installation;
pub(crate) use removal::removal;

use bellwether_check::{Failure, FleetAnswer, Namespaces};
use bellwether_proto::wire::ListNodesRequest;
use serde_json::Value;

use crate::args::{CheckArgs, ConnectArgs};
use crate::connect::{Client, Fleet};
use crate::kubectl::{Answer, Kubectl};

/// Deployments, DaemonSets and StatefulSets of all namespaces.
const WORKLOADS: [&str; 3] = ["get", "deployments,daemonsets,statefulsets", "--all-namespaces"];

fn namespaces(connect: &ConnectArgs, args: &CheckArgs) -> Namespaces {
    Namespaces {
        control: connect.namespace.clone(),
        agents: args.agents_namespace.clone(),
    }
}

/// The version of the API server.
async fn kubernetes_version(kubectl: &Kubectl, namespace: &str) -> Result<String, Failure> {
    let Answer { objects, failure } = kubectl.ask(namespace, &["version"]).await;
    if let Some(failure) = failure {
        return Err(failure);
    }
    let version = objects.first().and_then(|it| it.pointer("/serverVersion/gitVersion"));
    Ok(version.and_then(Value::as_str).unwrap_or_default().to_owned())
}

/// Asks the leading scheduler for all nodes.
async fn fleet(connect: &ConnectArgs) -> Result<FleetAnswer, String> {
    let mut fleet = Fleet::open(connect).await.map_err(|error| format!("{error:#}"))?;
    let list = fleet
        .call(async |mut client: Client| client.list_nodes(ListNodesRequest {}).await)
        .await
        .map_err(|error| error.to_string())?;
    Ok(FleetAnswer {
        leader: fleet.leader().to_owned(),
        list,
    })
}
