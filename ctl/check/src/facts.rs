//! All that a check looks at, asked for once: of Kubernetes through kubectl, and of the leading
//! scheduler. It judges nothing, and changes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::Context as _;
use bellwether_proto::mark::{CORDONED_FOR, LEASE};
use bellwether_proto::wire::{ListNodesRequest, ListNodesResponse, NodeState, NodeStatus};
use jiff::Timestamp;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::checks::workloads::{Part, find};
use super::{nats, object, pods, rights};
use crate::args::{CheckArgs, ConnectArgs};
use crate::connect::{Client, Fleet};
use crate::forward::Forward;
use crate::kubectl::{Answer, Kubectl};
use crate::time;

/// So many pods are asked why they are not ready; those of one workload mostly say the same.
const ASKED_MAX: usize = 6;
/// For an answer of a few lines; a service that hangs is not worth waiting for.
const READYZ_TIMEOUT: Duration = Duration::from_secs(5);
/// No such answer is longer.
const READYZ_BYTES_MAX: u64 = 4096;

/// How it is said of a pod that did not answer, before what kubectl says.
pub(crate) const UNASKED: &str = "its /readyz could not be asked";

/// The two namespaces.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    /// Of scheduler and drainer.
    pub(crate) control: String,
    /// Of sentinel and rebooter.
    pub(crate) agents: String,
}

impl Places {
    pub(crate) fn new(connect: &ConnectArgs, args: &CheckArgs) -> Self {
        Self {
            control: connect.namespace.clone(),
            agents: args.agents_namespace.clone(),
        }
    }
}

/// What the leading scheduler said.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reached {
    /// Where it was reached.
    pub(crate) leader: String,
    /// Its answer.
    pub(crate) list: ListNodesResponse,
}

/// What is known.
#[derive(Debug)]
pub(crate) struct Facts {
    pub(crate) now: Timestamp,
    pub(crate) places: Places,
    /// The scheduler's address was given: kubectl is not its way in.
    pub(crate) direct: bool,
    pub(crate) version: Answer,
    pub(crate) nodes: Answer,
    /// Deployments, DaemonSets and StatefulSets of all namespaces.
    pub(crate) workloads: Answer,
    /// Pods, events and ConfigMaps of the control namespace.
    pub(crate) control: Answer,
    /// The same of the agents' namespace.
    pub(crate) agents: Answer,
    pub(crate) lease: Answer,
    /// Services and EndpointSlices of the namespaces that the settings name for NATS.
    pub(crate) services: Answer,
    pub(crate) own_rights: Answer,
    pub(crate) account_rights: Answer,
    /// The body of `/readyz` of some unready pods, by namespace and name.
    pub(crate) readiness: BTreeMap<(String, String), String>,
    pub(crate) fleet: Result<Reached, String>,
}

impl Facts {
    /// Nothing but the time and where to look.
    fn none(now: Timestamp, places: Places) -> Self {
        Self {
            now,
            places,
            direct: false,
            version: Answer::default(),
            nodes: Answer::default(),
            workloads: Answer::default(),
            control: Answer::default(),
            agents: Answer::default(),
            lease: Answer::default(),
            services: Answer::default(),
            own_rights: Answer::default(),
            account_rights: Answer::default(),
            readiness: BTreeMap::new(),
            fleet: Ok(Reached::default()),
        }
    }

    /// Asks for all of it.
    pub(crate) async fn gather(connect: &ConnectArgs, args: &CheckArgs) -> Self {
        let kubectl = Kubectl::new(connect);
        let mut facts = Self::none(time::now(), Places::new(connect, args));
        facts.direct = !connect.scheduler.is_empty();
        facts.version = kubectl.ask(&facts.places.control, &["version"]).await;
        if facts.version.trouble.is_some() {
            // Ten more questions to a server that does not answer would only take time.
            facts.fleet = reach(connect).await;
            return facts;
        }
        let Places { control, agents } = facts.places.clone();
        let own = rights::own(&control);
        (
            facts.nodes,
            facts.workloads,
            facts.control,
            facts.agents,
            facts.lease,
            facts.own_rights,
            facts.fleet,
        ) = tokio::join!(
            kubectl.ask(&control, &["get", "nodes"]),
            kubectl.ask(
                &control,
                &["get", "deployments,daemonsets,statefulsets", "--all-namespaces"]
            ),
            kubectl.ask(&control, &["get", "pods,events,configmaps"]),
            kubectl.ask(&agents, &["get", "pods,events,configmaps"]),
            kubectl.ask(&control, &["get", "lease", LEASE, "--ignore-not-found"]),
            kubectl.review(&own),
            reach(connect),
        );
        let accounts = rights::accounts(&facts);
        let unready = facts.unready();
        (facts.services, facts.account_rights, facts.readiness) = tokio::join!(
            services(&kubectl, nats::namespaces(&facts)),
            kubectl.review(&accounts),
            readiness(&kubectl, unready),
        );
        facts
    }

    /// The workload of this part, if it is there.
    pub(crate) fn workload(&self, part: &Part) -> Option<&Value> {
        find(part, &self.workloads.objects, &self.places)
    }

    /// What the leading scheduler said of each node; nothing if it was not reached.
    pub(crate) fn statuses(&self) -> &[NodeStatus] {
        let reached = self.fleet.as_ref();
        reached.map(|it| it.list.nodes.as_slice()).unwrap_or_default()
    }

    /// The nodes that are down, or in an attempt and so on their way down or back.
    pub(crate) fn away(&self) -> BTreeSet<&str> {
        let down = self.nodes.of("Node").filter(|node| !object::holds(node, "Ready"));
        let away = self.statuses().iter().filter(|it| is_in_attempt(it) || !it.ready);
        down.map(object::name).chain(away.map(|it| it.node.as_str())).collect()
    }

    /// Whether any node is in an attempt: by the scheduler's word, or by our cordon on it.
    pub(crate) fn has_attempt(&self) -> bool {
        let carries = |node: &Value| !object::annotation(node, CORDONED_FOR).is_empty();
        self.nodes.of("Node").any(carries) || self.statuses().iter().any(is_in_attempt)
    }

    /// Pods, events and ConfigMaps of the namespace in which a workload or pod is.
    pub(crate) fn beside(&self, object: &Value) -> &Answer {
        if object::namespace(object) == self.places.agents {
            &self.agents
        } else {
            &self.control
        }
    }

    /// The unready pods that are worth asking, each by namespace, name and admin port; of each
    /// workload one, before a second of any.
    fn unready(&self) -> Vec<(String, String, u16)> {
        let mut pods: Vec<&Value> = [&self.control, &self.agents]
            .into_iter()
            .flat_map(|answer| answer.of("Pod"))
            .filter(|pod| pods::is_unready(pod))
            .collect();
        let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
        pods.sort_by_cached_key(|pod| {
            let place = seen.entry(object::label(pod, object::COMPONENT)).or_default();
            *place += 1;
            *place
        });
        let address = |pod: &&Value| {
            let port = pods::admin_port(pod)?;
            Some((object::namespace(pod).to_owned(), object::name(pod).to_owned(), port))
        };
        pods.iter().filter_map(address).take(ASKED_MAX).collect()
    }
}

fn is_in_attempt(status: &NodeStatus) -> bool {
    status.state == i32::from(NodeState::InProgress)
}

/// Asks whichever scheduler leads.
pub(super) async fn reach(connect: &ConnectArgs) -> Result<Reached, String> {
    let mut fleet = Fleet::open(connect).await.map_err(|error| format!("{error:#}"))?;
    let list = fleet
        .call(async |mut client: Client| client.list_nodes(ListNodesRequest {}).await)
        .await
        .map_err(|error| error.to_string())?;
    Ok(Reached {
        leader: fleet.leader().to_owned(),
        list,
    })
}

async fn services(kubectl: &Kubectl, namespaces: Vec<String>) -> Answer {
    let mut all = Answer::default();
    for namespace in namespaces {
        let one = kubectl.ask(&namespace, &["get", "services,endpointslices"]).await;
        all.objects.extend(one.objects);
        all.trouble = all.trouble.or(one.trouble);
    }
    all
}

/// Asks pods at the same time: each way into a pod takes a moment to open.
async fn readiness(kubectl: &Kubectl, pods: Vec<(String, String, u16)>) -> BTreeMap<(String, String), String> {
    let mut asking = JoinSet::new();
    for (namespace, pod, port) in pods {
        let kubectl = kubectl.clone();
        asking.spawn(async move {
            let said = readyz(&kubectl, &namespace, &pod, port).await;
            let said = said.unwrap_or_else(|error| format!("{UNASKED}: {error:#}"));
            ((namespace, pod), said)
        });
    }
    asking.join_all().await.into_iter().collect()
}

async fn readyz(kubectl: &Kubectl, namespace: &str, pod: &str, port: u16) -> anyhow::Result<String> {
    let forward = Forward::to(kubectl, namespace, pod, port).await?;
    let ask = async {
        let mut stream = TcpStream::connect(("127.0.0.1", forward.port)).await?;
        stream
            .write_all(b"GET /readyz HTTP/1.0\r\nHost: localhost\r\n\r\n")
            .await?;
        let mut answer = String::new();
        stream.take(READYZ_BYTES_MAX).read_to_string(&mut answer).await?;
        let (_, body) = answer.split_once("\r\n\r\n").context("no answer")?;
        Ok(body.trim().to_owned())
    };
    tokio::time::timeout(READYZ_TIMEOUT, ask)
        .await
        .with_context(|| format!("no answer within {READYZ_TIMEOUT:?}"))?
}

#[cfg(test)]
impl Facts {
    /// An empty cluster, at noon.
    pub(crate) fn for_tests() -> Self {
        let places = Places {
            control: "bellwether".to_owned(),
            agents: "bellwether-agents".to_owned(),
        };
        Self::none("2026-11-22T12:00:00Z".parse().unwrap_or_default(), places)
    }
}
