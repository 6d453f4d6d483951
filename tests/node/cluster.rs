//! The ground of the whole story: a control plane, NATS and a registry on loopback, two machines.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use futures_util::future::try_join_all;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt as _};
use rig::control_plane::{ControlPlane, RealNodes};
use rig::kubectl::Kubectl;
use rig::nats::Nats;
use rig::place::Place;
use rig::record::{NodeRecorder, lifecycle_taint, node_state};
use rig::tools;
use rig::vm::egress::Egress;
use rig::vm::registry::Registry;
use rig::vm::seed::Seed;
use rig::vm::{self, Vm};
use rig::wait;

use crate::artefacts::Artefacts;
use crate::limit::Limit;
use crate::overlay::{self, Overlay, TAGS};

/// For all that an emulated machine does: two of them boot in a minute on two idle cores, and in
/// several when others compile. A story that ends well never waits for it.
pub(crate) const DEADLINE: Duration = Duration::from_secs(900);

/// As clusters have it by default, so that a reboot may be over before anybody calls the node lost.
const NODE_GRACE: Duration = Duration::from_secs(50);

/// The namespaces of the manifests' workloads.
pub(crate) const NAMESPACES: [&str; 2] = ["bellwether", "bellwether-agents"];

/// Everything that runs.
pub(crate) struct Cluster {
    pub(crate) nats: Nats,
    /// Every change of readiness and cordon, once both machines have joined.
    pub(crate) nodes: NodeRecorder,
    pub(crate) kubectl: Kubectl,
    machines: Vec<Vm>,
    client: Client,
    artefacts: Artefacts,
    limit: Limit,
    pub(crate) control_plane: ControlPlane,
    _registry: Registry,
    _egress: Egress,
    /// Last: no process writes into it any more when it is removed.
    place: Arc<Place>,
}

impl Cluster {
    /// Powers the machines on and waits until both nodes have settled.
    pub(crate) async fn start(place: Arc<Place>, artefacts: Artefacts, limit: Limit) -> Result<Self> {
        rustls::crypto::ring::default_provider().install_default().ok();
        let token = || uuid::Uuid::new_v4().to_string();
        let (kubelets, proxy) = ([token(), token()], token());
        let mut users = vec![[proxy.clone(), "system:kube-proxy".to_owned(), "node-proxier".to_owned()]];
        for (number, token) in (1..).zip(&kubelets) {
            let user = format!("system:node:{}", vm::name(number));
            users.push([token.clone(), user, "system:nodes".to_owned()]);
        }
        let egress = Egress::start(place.path())?;
        let real = RealNodes {
            address: vm::HOST,
            egress: egress.socket().to_path_buf(),
            users,
        };
        let (control_plane, nats, registry) = tokio::try_join!(
            ControlPlane::start_for_real_nodes(&place, NODE_GRACE, &real),
            // The overlays of the story state how services get in, and the machines reach it at another address.
            Nats::start_bare(&place, ""),
            Registry::start(&place),
        )?;
        // Before the machines are on, which take all there is of the processors.
        push_images(&registry).await?;
        let mut machines = vec![];
        for (number, kubelet) in (1..).zip(&kubelets) {
            let seed = Seed {
                number,
                access: control_plane.access(),
                kubelet,
                proxy: &proxy,
                registry: registry.port(),
            };
            let machine = Vm::start(&place, number, &seed.write(&place)?)?;
            egress.route(&machine.name(), machine.kubelet_port());
            machines.push(machine);
        }
        let client = control_plane.admin();
        let kubectl = Kubectl::new(control_plane.admin_kubeconfig().clone(), place.folder("kubectl")?);
        for machine in &machines {
            in_service(&client, machine).await?;
        }
        Ok(Self {
            nats,
            nodes: NodeRecorder::start(client.clone()).await?,
            kubectl,
            machines,
            client,
            artefacts,
            limit,
            control_plane,
            _registry: registry,
            _egress: egress,
            place,
        })
    }

    /// Does one step, and prints how long it took.
    #[allow(
        clippy::print_stdout,
        reason = "the story takes minutes; a developer watches its progress"
    )]
    pub(crate) fn step<T>(&self, name: &str, work: impl Future<Output = Result<T>>) -> impl Future<Output = Result<T>> {
        // Steps are large, and hold others.
        let work = Box::pin(work);
        async move {
            println!("== {name}");
            let started = Instant::now();
            let done = self.limit.keep(name, work).await.with_context(|| name.to_owned())?;
            println!("   {:.0} s", started.elapsed().as_secs_f32());
            Ok(done)
        }
    }

    /// The machines, in the order of their numbers.
    pub(crate) fn machines(&self) -> &[Vm] {
        &self.machines
    }

    /// The machine of this node.
    pub(crate) fn machine(&self, node: &str) -> Result<&Vm> {
        let machine = self.machines.iter().find(|machine| machine.name() == node);
        machine.with_context(|| format!("there is no machine {node}"))
    }

    pub(crate) fn client(&self) -> Client {
        self.client.clone()
    }

    pub(crate) async fn node(&self, name: &str) -> Result<Node> {
        read_node(&self.client, name).await
    }

    /// The boot that the kubelet of a node reports.
    pub(crate) async fn boot_id(&self, name: &str) -> Result<String> {
        let info = self.node(name).await?.status.and_then(|status| status.node_info);
        Ok(info.context("it has no nodeInfo")?.boot_id)
    }

    /// How often the machine of a node has booted, by its own journal.
    pub(crate) async fn boots(&self, name: &str) -> Result<usize> {
        let list = self
            .machine(name)?
            .run("journalctl --list-boots --no-pager --quiet")
            .await?;
        let is_boot = |line: &&str| {
            line.trim_start()
                .trim_start_matches('-')
                .starts_with(|it: char| it.is_ascii_digit())
        };
        Ok(list.lines().filter(is_boot).count())
    }

    /// The names of pods of an application on a node, whatever their state.
    pub(crate) async fn pods_on(&self, node: &str, app: &str) -> Result<Vec<String>> {
        let pods: Api<Pod> = Api::all(self.client());
        let params = ListParams::default()
            .fields(&format!("spec.nodeName={node}"))
            .labels(&format!("app={app}"));
        Ok(pods.list(&params).await?.iter().map(|pod| pod.name_any()).collect())
    }

    /// Waits until a node has settled: Ready, not cordoned, and without a taint that keeps pods away.
    pub(crate) async fn wait_ready(&self, name: &str) -> Result<()> {
        in_service(&self.client, self.machine(name)?).await
    }

    /// Applies an overlay and waits until it is there, as a person would.
    pub(crate) async fn apply(&self, overlay: &Overlay) -> Result<()> {
        self.send(overlay).await?;
        self.rolled_out(overlay).await
    }

    /// Applies an overlay, and does not wait for its objects.
    pub(crate) async fn send(&self, overlay: &Overlay) -> Result<()> {
        let folder = overlay.write(&self.place)?;
        self.kubectl.apply(&folder, &["--server-side"]).await
    }

    /// Waits until every workload has all its pods of this overlay, Ready, and no older ones.
    pub(crate) async fn rolled_out(&self, overlay: &Overlay) -> Result<()> {
        let limit = format!("--timeout={}s", DEADLINE.as_secs());
        for namespace in NAMESPACES {
            let all = "deployments,daemonsets,statefulsets";
            let names = ["get", all, "--namespace", namespace, "--output=name"];
            let names = self.kubectl.run(&names, "").await?;
            for workload in names.lines() {
                let status = ["rollout", "status", workload, "--namespace", namespace, &limit];
                self.kubectl.run(&status, "").await?;
            }
        }
        // A pod that is ending has left its workload, and not yet its node.
        wait::until("the pods of before to be gone", DEADLINE, async || {
            for pod in self.pods().await? {
                let name = pod.name_any();
                ensure!(pod.metadata.deletion_timestamp.is_none(), "{name} is ending");
                let containers = pod.spec.iter().flat_map(|it| &it.containers);
                for image in containers.filter_map(|it| it.image.as_deref()) {
                    ensure!(!overlay.replaces(image)?, "{name} runs {image}");
                }
            }
            Ok(())
        })
        .await
    }

    /// Replaces every rebooter by a new one.
    pub(crate) async fn restart_rebooters(&self) -> Result<()> {
        let (rebooters, limit) = ("daemonset/rebooter", format!("--timeout={}s", DEADLINE.as_secs()));
        let namespace = ["--namespace", NAMESPACES[1]];
        let restart = [&["rollout", "restart", rebooters][..], &namespace].concat();
        self.kubectl.run(&restart, "").await?;
        let status = [&["rollout", "status", rebooters, &limit][..], &namespace].concat();
        self.kubectl.run(&status, "").await.map(drop)
    }

    /// Stops the scheduler, deletes the objects of an overlay, and waits until they are gone.
    pub(crate) async fn withdraw(&self, overlay: &Overlay) -> Result<()> {
        let [control, _] = NAMESPACES;
        let stop = ["scale", "deployment/scheduler", "--replicas=0", "--namespace", control];
        self.kubectl.run(&stop, "").await?;
        let folder = overlay.write(&self.place)?;
        let limit = format!("--timeout={}s", DEADLINE.as_secs());
        let args = ["delete", "-k", &folder.to_string_lossy(), &limit];
        self.kubectl.run(&args, "").await.map(drop)
    }

    /// All pods of the two namespaces.
    pub(crate) async fn pods(&self) -> Result<Vec<Pod>> {
        let mut all = vec![];
        for namespace in NAMESPACES {
            let pods: Api<Pod> = Api::namespaced(self.client(), namespace);
            all.extend(pods.list(&ListParams::default()).await?);
        }
        Ok(all)
    }

    /// Writes a file for a program of the test.
    pub(crate) fn file(&self, name: &str, content: &str) -> Result<std::path::PathBuf> {
        self.place.file(name, content)
    }

    /// Keeps a text beside the photos.
    pub(crate) fn keep(&self, name: &str, text: &str) -> Result<()> {
        self.artefacts.keep(name, text)
    }

    /// The end of a story that ended well.
    pub(crate) fn finish(self) -> Result<()> {
        for process in self
            .control_plane
            .processes()
            .into_iter()
            .chain(self.machines.iter().map(Vm::process))
        {
            let ended = process.exited();
            ensure!(ended.is_none(), "{} has died on the way: {ended:?}", process.name());
        }
        Ok(())
    }
}

async fn read_node(client: &Client, name: &str) -> Result<Node> {
    let nodes: Api<Node> = Api::all(client.clone());
    nodes.get(name).await.with_context(|| format!("cannot read {name}"))
}

async fn in_service(client: &Client, machine: &Vm) -> Result<()> {
    let name = machine.name();
    let awaited = format!("{name} to be in service");
    machine
        .process()
        .while_running(&awaited, DEADLINE, async || {
            let node = read_node(client, &name).await?;
            let state = node_state(&node);
            ensure!(!state.is_disrupted(), "it is {state:?}");
            let taint = lifecycle_taint(&node);
            ensure!(taint.is_none(), "it has the taint {taint:?}");
            Ok(())
        })
        .await
}

async fn push_images(registry: &Registry) -> Result<()> {
    let (layouts, services) = (overlay::images()?, overlay::services()?);
    let busybox = tools::tool("node-image/busybox")?;
    registry.push_waiting(&busybox, "pause:1").await?;
    registry.push_waiting(&busybox, "app:1").await?;
    registry.push_program(&tools::tool("nats-server")?, "nats:1").await?;
    for tag in TAGS {
        let pushes = services.iter().map(async |name| {
            let layout = layouts.join(name);
            registry.push_layout(&layout, &format!("{name}:{tag}")).await
        });
        try_join_all(pushes).await?;
    }
    Ok(())
}
