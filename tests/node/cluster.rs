//! What the whole story runs on: a control plane, NATS and a registry on loopback, two machines.

use std::fs;
use std::path::PathBuf;
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
use rig::record::{NodeRecorder, node_state};
use rig::tools;
use rig::vm::egress::Egress;
use rig::vm::registry::Registry;
use rig::vm::seed::Seed;
use rig::vm::{self, Vm};
use rig::wait;

use crate::overlay::{Overlay, SERVICES};

/// For all that an emulated machine does: two of them boot in a minute on two idle cores, and in
/// several when others compile. A story that ends well never waits for it.
pub(crate) const DEADLINE: Duration = Duration::from_secs(600);

/// As clusters have it by default, so that a reboot may be over before anybody calls the node lost.
const NODE_GRACE: Duration = Duration::from_secs(50);

/// Everything that runs.
pub(crate) struct Cluster {
    pub(crate) nats: Nats,
    /// Every change of readiness and cordon, once both machines have joined.
    pub(crate) nodes: NodeRecorder,
    pub(crate) place: Place,
    pub(crate) kubectl: Kubectl,
    machines: Vec<Vm>,
    client: Client,
    /// What the story saw, for people.
    artefacts: PathBuf,
    pub(crate) control_plane: ControlPlane,
    _registry: Registry,
    _egress: Egress,
}

impl Cluster {
    /// Powers the machines on and waits until both are Ready.
    pub(crate) async fn start() -> Result<Self> {
        rustls::crypto::ring::default_provider().install_default().ok();
        let artefacts = tools::target()?.join("node-test");
        // Nothing from an earlier run may pass for this one's.
        fs::remove_dir_all(&artefacts).ok();
        fs::create_dir_all(&artefacts)?;
        let place = Place::new()?;
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
            Nats::start(&place),
            Registry::start(&place),
        )?;
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
        push_images(&registry).await?;
        let client = control_plane.admin();
        let kubectl = Kubectl::new(control_plane.admin_kubeconfig().clone(), place.folder("kubectl")?);
        for machine in &machines {
            in_service(&client, &machine.name()).await?;
        }
        Ok(Self {
            nats,
            nodes: NodeRecorder::start(client.clone()).await?,
            place,
            kubectl,
            machines,
            client,
            artefacts,
            control_plane,
            _registry: registry,
            _egress: egress,
        })
    }

    /// Does one step, and says how long it took.
    #[allow(
        clippy::print_stdout,
        reason = "the story takes minutes; people want to see it go on"
    )]
    pub(crate) async fn step<T>(&self, what: &str, work: impl Future<Output = Result<T>>) -> Result<T> {
        println!("== {what}");
        let started = Instant::now();
        let done = work.await.with_context(|| what.to_owned())?;
        println!("   {:.0} s", started.elapsed().as_secs_f32());
        Ok(done)
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

    /// Waits until a node is Ready and takes pods.
    pub(crate) async fn wait_ready(&self, name: &str) -> Result<()> {
        in_service(&self.client, name).await
    }

    /// Applies an overlay and waits until every pod of it is Ready, as a person would.
    pub(crate) async fn apply(&self, overlay: &Overlay, nats: bool) -> Result<()> {
        let folder = overlay.write(&self.place)?;
        self.kubectl.apply(&folder, &["--server-side"]).await?;
        let mut workloads = vec![
            ("bellwether", "deployment/scheduler"),
            ("bellwether", "deployment/drainer"),
            ("bellwether-agents", "daemonset/sentinel"),
            ("bellwether-agents", "daemonset/rebooter"),
        ];
        workloads.extend(nats.then_some(("bellwether", "statefulset/nats")));
        let limit = format!("--timeout={}s", DEADLINE.as_secs());
        for (namespace, workload) in workloads {
            let args = ["--namespace", namespace, "rollout", "status", workload, &limit];
            self.kubectl.run(&args, "").await?;
        }
        Ok(())
    }

    /// Keeps a text beside the photos.
    pub(crate) fn keep(&self, name: &str, text: &str) -> Result<()> {
        let path = self.artefacts.join(format!("{name}.txt"));
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    }

    /// What a person would want to know after a failure.
    pub(crate) async fn keep_evidence(&self) {
        const LAST: &str = "journalctl --no-pager --boot=all --lines=400";
        for machine in &self.machines {
            let journal = or_error(machine.run(LAST).await);
            self.keep(&format!("failed-{}-journal", machine.name()), &journal).ok();
            let console = fs::read_to_string(machine.console()).unwrap_or_default();
            self.keep(&format!("failed-{}-console", machine.name()), &console).ok();
        }
        let mut logs = String::new();
        for service in SERVICES {
            let label = format!("--selector=app.kubernetes.io/component={service}");
            for namespace in ["bellwether", "bellwether-agents"] {
                let args = ["logs", "--namespace", namespace, &label, "--prefix", "--tail=200"];
                logs += &or_error(self.kubectl.run(&args, "").await);
            }
        }
        self.keep("failed-services", &logs).ok();
        let events = ["get", "events", "-A", "--sort-by=.lastTimestamp"];
        self.keep("failed-events", &or_error(self.kubectl.run(&events, "").await))
            .ok();
        self.photo("failed-photo", &vm::name(1)).await.ok();
        self.place.keep();
    }

    /// Says where everything is kept.
    pub(crate) fn places(&self) -> String {
        format!("see {} and {}", self.artefacts.display(), self.place.path().display())
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

async fn in_service(client: &Client, name: &str) -> Result<()> {
    wait::until(&format!("{name} to be in service"), DEADLINE, async || {
        let state = node_state(&read_node(client, name).await?);
        ensure!(!state.is_disrupted(), "it is {state:?}");
        Ok(())
    })
    .await
}

async fn push_images(registry: &Registry) -> Result<()> {
    let layouts = tools::target()?.join("images");
    let busybox = tools::tool("node-image/busybox")?;
    registry.push_waiting(&busybox, "pause:1").await?;
    registry.push_waiting(&busybox, "app:1").await?;
    registry.push_program(&tools::tool("nats-server")?, "nats:1").await?;
    let services = SERVICES.map(|name| (layouts.join(name), format!("{name}:1")));
    try_join_all(
        services
            .iter()
            .map(|(layout, image)| registry.push_layout(layout, image)),
    )
    .await?;
    Ok(())
}

/// What was printed, or why nothing was.
pub(crate) fn or_error(result: Result<String>) -> String {
    result.unwrap_or_else(|error| format!("{error:#}\n"))
}
