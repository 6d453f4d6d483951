//! All that `uninstall-check` looks at, asked for once. It judges nothing, and changes nothing.

use serde_json::Value;

use crate::facts::{Places, Reached, reach};
use crate::checks::workloads::{PARTS, Part, find};
use crate::args::{CheckArgs, ConnectArgs};
use crate::kubectl::{Answer, Kubectl};

/// Kinds without a namespace of which we bring, or may bring, objects.
const CLUSTER_KINDS: &str =
    "clusterroles,clusterrolebindings,priorityclasses,customresourcedefinitions,persistentvolumes";
/// Kinds that matter where a namespace outlives us: what holds data or rights.
const NAMESPACED_KINDS: &str = "leases,persistentvolumeclaims,configmaps,services,serviceaccounts,roles,rolebindings";

/// What is known.
#[derive(Debug)]
pub(crate) struct Remains {
    pub(crate) places: Places,
    pub(crate) version: Answer,
    pub(crate) nodes: Answer,
    pub(crate) namespaces: Answer,
    pub(crate) workloads: Answer,
    /// Objects without a namespace.
    pub(crate) cluster: Answer,
    /// Objects of the two namespaces.
    pub(crate) control: Answer,
    pub(crate) agents: Answer,
    /// Asked only while something of us is installed.
    pub(crate) fleet: Result<Reached, String>,
}

impl Remains {
    pub(crate) fn none(places: Places) -> Self {
        Self {
            places,
            version: Answer::default(),
            nodes: Answer::default(),
            namespaces: Answer::default(),
            workloads: Answer::default(),
            cluster: Answer::default(),
            control: Answer::default(),
            agents: Answer::default(),
            fleet: Ok(Reached::default()),
        }
    }

    /// Asks for all of it.
    pub(crate) async fn gather(connect: &ConnectArgs, args: &CheckArgs) -> Self {
        let kubectl = Kubectl::new(connect);
        let mut remains = Self::none(Places::new(connect, args));
        let Places { control, agents } = remains.places.clone();
        remains.version = kubectl.ask(&control, &["version"]).await;
        if remains.version.trouble.is_some() {
            return remains;
        }
        (
            remains.nodes,
            remains.namespaces,
            remains.workloads,
            remains.cluster,
            remains.control,
            remains.agents,
        ) = tokio::join!(
            kubectl.ask(&control, &["get", "nodes"]),
            kubectl.ask(&control, &["get", "namespaces"]),
            kubectl.ask(
                &control,
                &["get", "deployments,daemonsets,statefulsets", "--all-namespaces"]
            ),
            kubectl.ask(&control, &["get", CLUSTER_KINDS]),
            kubectl.ask(&control, &["get", NAMESPACED_KINDS]),
            kubectl.ask(&agents, &["get", NAMESPACED_KINDS]),
        );
        if remains.is_installed() {
            remains.fleet = reach(connect).await;
        }
        remains
    }

    /// Whether one of our services is still deployed.
    pub(crate) fn is_installed(&self) -> bool {
        PARTS.iter().any(|part| self.workload(part).is_some())
    }

    /// The workload of this part, if it is there.
    pub(crate) fn workload(&self, part: &Part) -> Option<&Value> {
        find(part, &self.workloads.objects, &self.places)
    }
}
