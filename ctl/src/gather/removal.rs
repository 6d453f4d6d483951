//! The facts of `uninstall-check`.

use bellwether_check::RemovalFacts;

use super::{WORKLOADS, fleet, kubernetes_version, namespaces};
use crate::args::{CheckArgs, ConnectArgs};
use crate::kubectl::Kubectl;
use crate::time;

/// Kinds without a namespace of which we bring, or may bring, objects.
const CLUSTER_KINDS: &str = "clusterroles,clusterrolebindings,priorityclasses,customresourcedefinitions,\
    persistentvolumes,validatingadmissionpolicies,validatingadmissionpolicybindings";
/// Kinds that matter where a namespace outlives us: those that hold data or rights.
const NAMESPACED_KINDS: &str = "leases,persistentvolumeclaims,configmaps,services,serviceaccounts,roles,rolebindings";

/// Gathers all facts.
pub(crate) async fn removal(connect: &ConnectArgs, args: &CheckArgs) -> RemovalFacts {
    let kubectl = Kubectl::new(connect);
    let mut facts = RemovalFacts::new(time::now(), namespaces(connect, args));
    let (control, agents) = (facts.namespaces.control.clone(), facts.namespaces.agents.clone());
    facts.kubernetes_version = kubernetes_version(&kubectl, &control).await;
    if facts.kubernetes_version.is_err() {
        return facts;
    }
    let (nodes, all_namespaces, workloads, cluster, in_control, in_agents) = tokio::join!(
        kubectl.ask(&control, &["get", "nodes"]),
        kubectl.ask(&control, &["get", "namespaces"]),
        kubectl.ask(&control, &WORKLOADS),
        kubectl.ask(&control, &["get", CLUSTER_KINDS]),
        kubectl.ask(&control, &["get", NAMESPACED_KINDS]),
        kubectl.ask(&agents, &["get", NAMESPACED_KINDS]),
    );
    facts.nodes = nodes.gathered();
    facts.all_namespaces = all_namespaces.gathered();
    facts.workloads = workloads.gathered();
    facts.cluster = cluster.gathered();
    facts.control = in_control.gathered();
    facts.agents = in_agents.gathered();
    if facts.is_installed() {
        facts.fleet = fleet(connect).await;
    }
    facts
}
