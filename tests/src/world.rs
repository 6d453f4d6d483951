//! The whole world of a test: control plane, NATS, hosts with their nodes, a trace receiver.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use bellwether_proto::NodeName;
use k8s_openapi::api::core::v1::{Node, Pod, ServiceAccount};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{EvictParams, ListParams, Patch, PatchParams, PostParams};
use kube::runtime::conditions::is_crd_established;
use kube::runtime::wait::Condition as _;
use kube::{Api, Client, Resource, ResourceExt as _};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::task::JoinSet;

use crate::accounts::{Access, Accounts, EVERY_NODE};
use crate::control_plane::ControlPlane;
use crate::host::{Behaviour, Host};
use crate::kubectl::Kubectl;
use crate::machines::{Machines, NodeShape};
use crate::nats::Nats;
use crate::nats_cluster::{self, Peers};
use crate::otlp::OtlpReceiver;
use crate::place::Place;
use crate::record::{is_ready, lifecycle_taint, node_state};
use crate::workload::{NAMESPACE, Workload};
use crate::{kubelet, tools, wait};

/// How many worlds may run at once in one process. Two of them keep one of two cores busy, as they wait more than they compute;
/// four make each other late, which tests of bounded time would notice.
static WORLDS: Semaphore = Semaphore::const_new(3);

const START_DEADLINE: Duration = Duration::from_secs(60);

/// Waits for the right to keep the machine busy. Worlds take it by themselves; other heavy tests
/// may ask for it.
pub async fn turn() -> Result<SemaphorePermit<'static>> {
    Ok(WORLDS.acquire().await?)
}

/// The parts of a world.
#[derive(Clone, Debug)]
pub struct WorldOptions {
    /// How many nodes for workloads: `node-1` and so on.
    pub nodes: usize,
    /// How many nodes of the control plane before them: `control-plane-1` and so on.
    pub control_plane_nodes: usize,
    /// Appended to every node's name. Real names often have dots, which subjects must encode.
    pub domain: &'static str,
    /// How many zones the nodes are spread over, in turn.
    pub zones: usize,
    /// How the hosts behave at first.
    pub behaviour: Behaviour,
    /// How long a node may be silent before it is not ready.
    pub node_grace: Duration,
    /// Lines of configuration for nats-server, such as its limits.
    pub nats_config: &'static str,
    /// Whether there are three NATS servers that share their streams, instead of one.
    pub three_nats_servers: bool,
    /// Whether a client of NATS may stand in for the agents of all nodes.
    pub agents_stand_in: bool,
    /// Whether stand-ins for kubelets run; without them, Node objects and pods stay as they were created.
    pub kubelets: bool,
    /// The kustomize folder whose identities, rights and definitions of resources are applied, if it exists.
    pub deploy: PathBuf,
}

impl Default for WorldOptions {
    fn default() -> Self {
        Self {
            nodes: 3,
            control_plane_nodes: 0,
            domain: ".rig",
            zones: 3,
            behaviour: Behaviour::default(),
            node_grace: Duration::from_secs(4),
            nats_config: "",
            three_nats_servers: false,
            agents_stand_in: false,
            kubelets: true,
            deploy: tools::repository().join("deploy/base"),
        }
    }
}

impl WorldOptions {
    /// The names of the nodes, each with whether it is of the control plane.
    fn names(&self) -> impl Iterator<Item = (String, bool)> {
        let names = |prefix: &'static str, count, control_plane| {
            let domain = self.domain;
            (1..=count).map(move |number| (format!("{prefix}-{number}{domain}"), control_plane))
        };
        names("control-plane", self.control_plane_nodes, true).chain(names("node", self.nodes, false))
    }

    /// The tokens of the nodes whose agents NATS lets in.
    fn tokens(&self) -> Result<Vec<String>> {
        let nodes = self.names().map(|(name, _)| token(&name));
        let every = self.agents_stand_in.then(|| Ok(EVERY_NODE.to_owned()));
        nodes.chain(every).collect()
    }
}

/// The token of a node in subjects.
fn token(node: &str) -> Result<String> {
    let name: NodeName = node.parse()?;
    Ok(name.token().to_string())
}

/// Everything that runs. End a test with [`World::finish`]: otherwise its [`Place`] keeps the logs.
pub struct World {
    /// The control plane, to kill and pause its parts.
    pub control_plane: ControlPlane,
    /// The bus: its one server, or the first of three.
    pub nats: Nats,
    /// The other two servers of three.
    pub nats_peers: Option<Box<Peers>>,
    /// The hosts.
    pub machines: Machines,
    /// Receives the services' traces.
    pub traces: OtlpReceiver,
    client: Client,
    _kubelet: JoinSet<()>,
    /// The folder with logs and state. It goes after all that writes into it.
    pub place: Place,
    _permit: SemaphorePermit<'static>,
}

impl World {
    /// Starts everything and waits until the nodes are ready for pods.
    pub async fn start(options: WorldOptions) -> Result<Self> {
        let permit = turn().await?;
        // The only provider in the tree; another test may have been first.
        rustls::crypto::ring::default_provider().install_default().ok();
        let place = Place::new()?;
        let (control_plane, (nats, nats_peers), traces) = start_parts(&place, &options).await?;
        let client = control_plane.admin();
        let machines = Machines::default();
        let mut kubelet = JoinSet::new();
        if options.kubelets {
            let work = kubelet::run(client.clone(), machines.clone());
            kubelet.spawn(async move {
                work.await.ok();
            });
        }
        let world = Self {
            control_plane,
            nats,
            nats_peers,
            machines,
            traces,
            place,
            client,
            _kubelet: kubelet,
            _permit: permit,
        };
        tokio::try_join!(
            world.add_nodes(&options),
            world.apply_rights(&options),
            world.wait_default_account(),
        )?;
        world.wait_nodes_ready().await?;
        Ok(world)
    }

    /// Stops everything and removes all files: the test has passed. It fails if a client of NATS tried anything that it has no
    /// right to: so every story shows that the rights suffice.
    pub fn finish(self) -> Result<()> {
        let violations: Vec<String> = self.nats_servers().flat_map(Nats::violations).collect();
        ensure!(violations.is_empty(), "NATS has refused: {violations:#?}");
        for process in self.control_plane.processes() {
            let ended = process.exited();
            ensure!(ended.is_none(), "{} has died on the way: {ended:?}", process.name());
        }
        self.place.finish();
        Ok(())
    }

    /// All NATS servers, the first one first.
    pub fn nats_servers(&self) -> impl Iterator<Item = &Nats> {
        std::iter::once(&self.nats).chain(self.nats_peers.iter().flat_map(|peers| &peers.servers))
    }

    /// A client that may do everything.
    #[must_use]
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// The real kubectl as admin.
    pub fn kubectl(&self) -> Result<Kubectl> {
        let home = self.place.folder("kubectl")?;
        Ok(Kubectl::new(self.control_plane.admin_kubeconfig().clone(), home))
    }

    /// The host at this place, counted from zero.
    pub fn host(&self, index: usize) -> Result<Arc<Host>> {
        self.machines.host(index)
    }

    /// All hosts.
    #[must_use]
    pub fn hosts(&self) -> Vec<Arc<Host>> {
        self.machines.hosts()
    }

    /// Adds a host and its node, whose agents NATS lets in.
    pub async fn add_node(&self, name: &str, shape: &NodeShape, behaviour: Behaviour) -> Result<Arc<Host>> {
        for server in self.nats_servers() {
            server.admit(&token(name)?).await?;
        }
        self.boot_node(name, shape, behaviour).await
    }

    async fn boot_node(&self, name: &str, shape: &NodeShape, behaviour: Behaviour) -> Result<Arc<Host>> {
        let host = Host::new(&self.place.folder("hosts")?, name, behaviour)?;
        kubelet::register(self.client(), &host, shape).await?;
        self.machines.add(Arc::clone(&host));
        Ok(host)
    }

    /// Deletes a node and lets its kubelet register it again: same name, new UID.
    pub async fn recreate_node(&self, host: &Host) -> Result<()> {
        let nodes: Api<Node> = Api::all(self.client());
        nodes.delete(host.name(), &Default::default()).await?;
        self.register_again(host).await
    }

    /// Lets the kubelet of a host whose node was deleted register it again.
    pub async fn register_again(&self, host: &Host) -> Result<()> {
        let shape = NodeShape {
            zone: "zone-1".to_owned(),
            control_plane: false,
        };
        kubelet::register(self.client(), host, &shape).await
    }

    /// The Node object of this name.
    pub async fn node(&self, name: &str) -> Result<Node> {
        let nodes: Api<Node> = Api::all(self.client());
        nodes
            .get(name)
            .await
            .with_context(|| format!("cannot read the node {name}"))
    }

    /// Cordons or uncordons a node, as a person with kubectl does.
    pub async fn set_cordon(&self, name: &str, cordoned: bool) -> Result<()> {
        let nodes: Api<Node> = Api::all(self.client());
        let done = if cordoned {
            nodes.cordon(name).await
        } else {
            nodes.uncordon(name).await
        };
        done.map(drop)
            .with_context(|| format!("cannot change the cordon of {name}"))
    }

    /// Sets an annotation of a node; none: removes it.
    pub async fn annotate(&self, name: &str, key: &str, value: Option<&str>) -> Result<()> {
        let nodes: Api<Node> = Api::all(self.client());
        let patch = Patch::Merge(json!({ "metadata": { "annotations": { key: value } } }));
        let done = nodes.patch(name, &PatchParams::default(), &patch).await;
        done.map(drop)
            .with_context(|| format!("cannot change the annotation {key} of {name}"))
    }

    /// Creates a workload or budget in the tests' namespace.
    pub async fn create<K>(&self, object: &K) -> Result<K>
    where
        K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>,
        K: Clone + DeserializeOwned + Serialize + std::fmt::Debug,
    {
        let api: Api<K> = Api::namespaced(self.client(), NAMESPACE);
        let created = api.create(&PostParams::default(), object).await;
        created.with_context(|| format!("cannot create {} {}", K::kind(&()), object.name_any()))
    }

    /// The pods with the label `app=<app>`.
    pub async fn pods(&self, app: &str) -> Result<Vec<Pod>> {
        let api: Api<Pod> = Api::namespaced(self.client(), NAMESPACE);
        let params = ListParams::default().labels(&format!("app={app}"));
        Ok(api.list(&params).await?.items)
    }

    /// Waits until exactly so many pods of an application are ready; returns them.
    pub async fn wait_ready_pods(&self, app: &str, count: usize) -> Result<Vec<Pod>> {
        let awaited = format!("{count} ready pods of {app}");
        wait::until(&awaited, START_DEADLINE, async || {
            let mut pods = self.pods(app).await?;
            pods.retain(is_ready);
            ensure!(pods.len() == count, "{} are ready", pods.len());
            Ok(pods)
        })
        .await
    }

    /// Runs a pod on the node of this number whose budget allows no eviction, so that a drain of the node is
    /// blocked until the time of the drain is over. Its application is `stuck`.
    pub async fn block_drain(&self, node: usize) -> Result<()> {
        const APP: &str = "stuck";
        let stuck = Workload::new(APP).on_node(self.host(node)?.name());
        self.create(&stuck.deployment()?).await?;
        self.create(&stuck.min_available(1)?).await?;
        self.wait_ready_pods(APP, 1).await?;
        Ok(())
    }

    /// Asks for the eviction of a pod, as a drain does; returns the API server's status code.
    pub async fn evict(&self, pod: &Pod) -> Result<u16> {
        let namespace = pod.namespace().unwrap_or_default();
        let api: Api<Pod> = Api::namespaced(self.client(), &namespace);
        match api.evict(&pod.name_any(), &EvictParams::default()).await {
            Ok(_) => Ok(201),
            Err(kube::Error::Api(status)) => Ok(status.code),
            Err(error) => Err(error.into()),
        }
    }

    /// Waits until all nodes have settled: Ready, and free of taints by which Kubernetes keeps pods away.
    pub async fn wait_nodes_ready(&self) -> Result<()> {
        let nodes: Api<Node> = Api::all(self.client());
        wait::until("all nodes to be ready", START_DEADLINE, async || {
            for node in nodes.list(&ListParams::default()).await? {
                let name = node.name_any();
                ensure!(node_state(&node).ready, "{name} is not ready");
                let taint = lifecycle_taint(&node);
                ensure!(taint.is_none(), "{name} has the taint {taint:?}");
            }
            Ok(())
        })
        .await
    }

    async fn add_nodes(&self, options: &WorldOptions) -> Result<()> {
        let zones = options.zones.max(1);
        for (index, (name, control_plane)) in options.names().enumerate() {
            let zone = format!("zone-{}", index % zones + 1);
            let shape = NodeShape { zone, control_plane };
            self.boot_node(&name, &shape, options.behaviour.clone()).await?;
        }
        Ok(())
    }

    async fn apply_rights(&self, options: &WorldOptions) -> Result<()> {
        if !options.deploy.join("kustomization.yaml").is_file() {
            return Ok(());
        }
        self.kubectl()?.apply_rights(&options.deploy).await?;
        self.wait_definitions().await
    }

    /// The API server serves resources a moment after their definition was applied. A scheduler that starts in between
    /// finds no RebootPolicy, and would act as in a cluster without policies.
    async fn wait_definitions(&self) -> Result<()> {
        let definitions: Api<CustomResourceDefinition> = Api::all(self.client());
        wait::until("all resources to be served", START_DEADLINE, async || {
            for definition in definitions.list(&ListParams::default()).await? {
                let served = is_crd_established().matches_object(Some(&definition));
                ensure!(served, "{} is not established", definition.name_any());
            }
            Ok(())
        })
        .await
    }

    /// Pods are refused until the controllers have made their ServiceAccount.
    async fn wait_default_account(&self) -> Result<()> {
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client(), NAMESPACE);
        wait::until("the default ServiceAccount", START_DEADLINE, async || {
            Ok(accounts.get("default").await.map(drop)?)
        })
        .await
    }
}

type Parts = (ControlPlane, (Nats, Option<Box<Peers>>), OtlpReceiver);

async fn start_parts(place: &Place, options: &WorldOptions) -> Result<Parts> {
    let access = Access::new(place, Accounts::Two, &options.tokens()?)?;
    let nats = async {
        if options.three_nats_servers {
            // Boxed, since few worlds need it.
            let (nats, peers) = Box::pin(nats_cluster::start(place, access, options.nats_config)).await?;
            return Ok((nats, Some(Box::new(peers))));
        }
        Ok((Nats::start_with(place, access, options.nats_config).await?, None))
    };
    tokio::try_join!(
        ControlPlane::start(place, options.node_grace),
        nats,
        OtlpReceiver::start(),
    )
}
