//! `kubectl reboots check` and `uninstall-check` against a real API server and real services: each
//! thing that is wrong is named, with what to do about it, and nothing is rebooted meanwhile.

use std::process::{Output, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use bellwether_proto::NodeName;
use bellwether_proto::permission::Role;
use rig::accounts::User;
use rig::findings::Findings;
use rig::host::Behaviour;
use rig::identity::service_account_kubeconfig;
use rig::machines::NodeShape;
use rig::services::{Services, ServicesOptions};
use rig::workload::Workload;
use rig::world::{World, WorldOptions};
use rig::{ports, tools, wait};
use serde_json::json;
use tokio::process::Command;

use crate::deploy;

const DEADLINE: Duration = Duration::from_secs(60);

/// The overlay that is deployed: the base, and how services come to the NATS of a component. Its pods run nothing in the rig;
/// the services are processes.
const OVERLAY: &str = "\
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources:
  - ../../base
configMapGenerator:
  - name: bellwether-settings
    namespace: bellwether
    behavior: merge
    literals: &way
      - BELLWETHER_NATS_URL=tls://nats.bellwether.svc:4222
      - BELLWETHER_NATS_TOKEN=/etc/bellwether/nats/token
  - name: bellwether-settings
    namespace: bellwether-agents
    behavior: merge
    literals: *way
";

/// What its settings name as NATS. The server itself listens on loopback, so its slice is made up.
const NATS: &str = r#"
apiVersion: v1
kind: Service
metadata: { name: nats, namespace: bellwether }
spec: { clusterIP: None, ports: [{ name: client, port: 4222 }] }
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { name: nats, namespace: bellwether, labels: { kubernetes.io/service-name: nats } }
addressType: IPv4
endpoints: [{ addresses: [10.1.2.3], conditions: { ready: true } }]
ports: [{ name: client, port: 4222 }]
"#;

/// kured as its users run it, in the middle of a reboot of node-1.
const KURED: &str = r#"
apiVersion: apps/v1
kind: DaemonSet
metadata:
  name: kured
  namespace: kube-system
  annotations:
    weave.works/kured-node-lock: '{"nodeID":"node-1.rig","metadata":{"unschedulable":false},"created":"2026-01-01T00:00:00Z","TTL":0}'
spec:
  selector: { matchLabels: { name: kured } }
  template:
    metadata: { labels: { name: kured } }
    spec: { containers: [{ name: kured, image: ghcr.io/kubereboot/kured:1.23.0 }], automountServiceAccountToken: false }
"#;

/// Another installation's agents.
const SECOND: &str = r#"
apiVersion: v1
kind: Namespace
metadata: { name: staging }
---
apiVersion: apps/v1
kind: DaemonSet
metadata:
  name: rebooter
  namespace: staging
  labels: &labels
    app.kubernetes.io/name: bellwether
    app.kubernetes.io/part-of: bellwether
    app.kubernetes.io/component: rebooter
spec:
  selector: { matchLabels: *labels }
  template:
    metadata: { labels: *labels }
    spec: { containers: [{ name: rebooter, image: "bellwether.invalid/rebooter:dev" }], automountServiceAccountToken: false }
"#;

/// A world into which Bellwether was deployed.
struct Deployed {
    world: World,
    /// The folder of the overlay.
    overlay: String,
    services: Services,
}

impl Deployed {
    async fn start(nodes: usize) -> Result<Self> {
        let world = World::start(WorldOptions {
            nodes,
            ..WorldOptions::default()
        })
        .await?;
        let services = Services::start(&world, ServicesOptions::default().without_drain_checks()).await?;
        services.leader(&world).await?;
        let kubectl = world.kubectl()?;
        let overlay = deploy::overlay(&world, OVERLAY)?.display().to_string();
        kubectl.run(&["apply", "--server-side", "-k", &overlay], "").await?;
        kubectl.run(&["apply", "-f", "-"], NATS).await?;
        let deployed = Self {
            world,
            overlay,
            services,
        };
        deployed
            .until("everything to be in order", async |findings| findings.in_order())
            .await?;
        Ok(deployed)
    }

    /// Runs a verb with these rights; the answer is JSON.
    async fn run(&self, verb: &str, kubeconfig: &std::path::Path) -> Result<Findings> {
        let schedulers = self.services.schedulers.iter().filter_map(|it| it.api_port);
        let addresses: Vec<String> = schedulers.map(|port| format!("127.0.0.1:{port}")).collect();
        let mut command = Command::new(tools::binary("kubectl-reboots")?);
        command
            .args([verb, "--output=json", "--scheduler", &addresses.join(",")])
            .arg("--kubeconfig")
            .arg(kubeconfig);
        let output = self.output(command).await?;
        Findings::read(&output).with_context(|| format!("kubectl reboots {verb}"))
    }

    async fn check(&self) -> Result<Findings> {
        self.run("check", self.world.control_plane.admin_kubeconfig()).await
    }

    async fn uninstall_check(&self) -> Result<Findings> {
        self.run("uninstall-check", self.world.control_plane.admin_kubeconfig())
            .await
    }

    /// Checks until it says what is expected: controllers and agents need a moment.
    async fn until(&self, what: &str, expected: impl AsyncFn(&Findings) -> Result<()>) -> Result<()> {
        wait::until(what, DEADLINE, async || expected(&self.check().await?).await).await
    }

    /// Does what a remedy says, as a person who pastes it into a shell.
    async fn paste(&self, remedy: &str) -> Result<()> {
        let mut command = Command::new("sh");
        command.args(["-c", remedy]);
        let output = self.output(command).await?;
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "`{remedy}`: {}", errors.trim());
        Ok(())
    }

    async fn output(&self, mut command: Command) -> Result<Output> {
        let kubectl = tools::tool("kubectl")?;
        let folder = kubectl.parent().context("a folder")?.display();
        let path = std::env::var("PATH").unwrap_or_default();
        let output = command
            .env("PATH", format!("{folder}:{path}"))
            .env("HOME", self.world.place.folder("kubectl")?)
            .env("KUBECONFIG", self.world.control_plane.admin_kubeconfig())
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        wait::within("a command to end", DEADLINE, async { Ok(output.await?) }).await
    }

    /// Nobody was told to reboot, whatever the tests did.
    fn finish(self) -> Result<()> {
        for host in self.world.hosts() {
            ensure!(host.reboot_orders() == 0, "{} was told to reboot", host.name());
        }
        drop(self.services);
        self.world.finish()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_around_bellwether_is_named_with_its_remedy() -> Result<()> {
    let deployed = Deployed::start(2).await?;
    let Deployed { world, services, .. } = &deployed;
    let kubectl = world.kubectl()?;
    let host = world.host(0)?;

    // A person with the rights of people.yaml, and no others, sees all of it.
    for args in [
        "create serviceaccount anna",
        "-n bellwether create rolebinding anna --role=reboots --serviceaccount=default:anna",
        "-n bellwether create rolebinding anna-check --role=reboots-check --serviceaccount=default:anna",
        "-n bellwether-agents create rolebinding anna-check --role=reboots-check --serviceaccount=default:anna",
        "create clusterrolebinding anna --clusterrole=bellwether-check --serviceaccount=default:anna",
    ] {
        kubectl.run(&args.split(' ').collect::<Vec<_>>(), "").await?;
    }
    let access = world.control_plane.access();
    let anna = service_account_kubeconfig(&world.client(), access, "default", "anna", world.place.path()).await?;
    deployed.run("check", &anna).await?.in_order()?;
    kubectl.run(&["delete", "clusterrolebinding", "anna"], "").await?;
    let half_blind = deployed.run("check", &anna).await?;
    half_blind.no_problem()?;
    half_blind.says("nodes is forbidden")?;
    half_blind.has("ReadForbidden")?;

    // A missing right. The remedy is pasted, and all is well again.
    kubectl
        .run(&["delete", "clusterrolebinding", "bellwether-drainer"], "")
        .await?;
    let remedy = deployed
        .check()
        .await?
        .remedy("drainer may not get nodes, list nodes, watch nodes, patch nodes")?;
    deployed.paste(&remedy).await?;
    deployed
        .until("the right to be back", async |findings| findings.in_order())
        .await?;

    // The component of narrow rights, as this version has it, and with a policy that an operator weakened.
    deployed.check().await?.has("RightsNotNarrowed")?;
    deploy::overlay(
        world,
        &format!("{OVERLAY}components:\n  - ../../components/narrow-rights\n"),
    )?;
    kubectl
        .run(&["apply", "--server-side", "-k", &deployed.overlay], "")
        .await?;
    deploy::overlay(world, OVERLAY)?;
    deployed
        .run("check", world.control_plane.admin_kubeconfig())
        .await?
        .in_order()?;
    deployed
        .check()
        .await?
        .says("rights narrower than RBAC: enforced by admission policies")?;
    let weaker = r#"{"spec":{"failurePolicy":"Ignore"}}"#;
    let policy = [
        "patch",
        "validatingadmissionpolicy",
        "bellwether-drainer-nodes",
        "--type=merge",
        "-p",
        weaker,
    ];
    kubectl.run(&policy, "").await?;
    let findings = deployed.check().await?;
    findings.has("NarrowRightsDiffer")?;
    findings.says("bellwether-drainer-nodes differs at spec.failurePolicy")?;
    let ours = ["-l", "app.kubernetes.io/part-of=bellwether"];
    for kind in ["validatingadmissionpolicies", "validatingadmissionpolicybindings"] {
        kubectl.run(&["delete", kind, ours[0], ours[1]], "").await?;
    }

    // Another tool that reboots nodes: both are named, and while it is there nobody is rebooted.
    kubectl.run(&["apply", "-f", "-"], KURED).await?;
    let lives = async |findings: &Findings| findings.remedy("kured (kube-system/kured): runs on 2 nodes").map(drop);
    deployed.until("kured to be named", lives).await?;
    let findings = deployed.check().await?;
    let unlock = findings.remedy("its lock is held: by node-1.rig for")?;
    assert!(
        unlock.ends_with("annotate daemonset kured weave.works/kured-node-lock-"),
        "{unlock}"
    );
    host.need_reboot(&["linux-base"])?;
    wait::until("the node to wait for that", DEADLINE, async || {
        let story = services.ctl_ok(&["explain", host.name()]).await?;
        ensure!(story.contains("RivalFound"), "{story}");
        Ok(())
    })
    .await?;
    kubectl.run(&["apply", "-f", "-"], SECOND).await?;
    deployed
        .until("the other installation to be named", async |findings| {
            findings.remedy("second Bellwether in staging: rebooter").map(drop)
        })
        .await?;
    host.withdraw_need()?;
    wait::until("the need to be gone", DEADLINE, async || {
        let story = services.ctl_ok(&["explain", host.name()]).await?;
        ensure!(story.contains("Reboot required: no"), "{story}");
        Ok(())
    })
    .await?;
    deployed.paste(&findings.remedy("runs on 2 nodes")?).await?;
    kubectl.run(&["delete", "namespace", "staging"], "").await?;
    deployed
        .until("both to be gone", async |findings| findings.in_order())
        .await?;

    // NATS is away, and the settings name one that was never there.
    let settings = kubectl
        .run(&["-n", "bellwether", "get", "configmaps", "-o", "name"], "")
        .await?;
    let settings = settings
        .lines()
        .find(|it| it.contains("settings"))
        .context("the settings")?;
    let typo = r#"{"data":{"BELLWETHER_NATS_URL":"nats://nats.messaging.svc:4222"}}"#;
    kubectl
        .run(&["-n", "bellwether", "patch", settings, "-p", typo], "")
        .await?;
    world.nats.kill9();
    deployed
        .until("the loss of NATS to be named", async |findings| {
            findings.remedy("leading scheduler: no leading scheduler was reached")?;
            let remedy = findings.remedy("Service messaging/nats: not there, though BELLWETHER_NATS_URL names it")?;
            ensure!(remedy.contains("set BELLWETHER_NATS_URL"), "{remedy}");
            Ok(())
        })
        .await?;
    world.nats.restart().await?;
    kubectl
        .run(
            &["apply", "--server-side", "--force-conflicts", "-k", &deployed.overlay],
            "",
        )
        .await?;
    deployed
        .until("NATS to be back", async |findings| findings.in_order())
        .await?;
    deployed.finish()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_an_agent_is_named_with_its_remedy() -> Result<()> {
    let deployed = Deployed::start(1).await?;
    let Deployed { world, services, .. } = &deployed;
    let kubectl = world.kubectl()?;
    let host = world.host(0)?;

    // A rebooter that finds no D-Bus on its host.
    services.agents_of(&host)?.rebooter.process.kill9();
    let root = host.root().display().to_string();
    let env = [
        ("BELLWETHER_NODE_NAME", host.name().to_owned()),
        ("BELLWETHER_HOST_ROOT", root.clone()),
        ("BELLWETHER_PROC_ROOT", format!("{root}/proc")),
        ("BELLWETHER_ADMIN_ADDRESS", format!("127.0.0.1:{}", ports::free_port()?)),
    ];
    let node: NodeName = host.name().parse()?;
    let token = node.token();
    let (role, node) = (Role::Rebooter, token.as_str());
    let mut settings = world.nats.settings(&User { role, node });
    settings.extend(env.map(|(key, value)| (key.to_owned(), value)));
    let _rebooter = world.place.start(
        "rebooter-logind",
        tools::binary("bellwether-rebooter")?,
        vec![],
        settings,
    )?;
    deployed
        .until("the missing bus to be named", async |findings| {
            let remedy = findings.remedy("rebooter of node-1.rig: could not reboot its host: D-Bus socket")?;
            ensure!(remedy.starts_with("mount the host's /run/dbus"), "{remedy}");
            findings.has("BusUnreachable")
        })
        .await?;
    host.need_reboot(&["linux-base"])?;
    wait::until("its node to be left alone", DEADLINE, async || {
        let story = services.ctl_ok(&["explain", host.name()]).await?;
        ensure!(story.contains("PreflightFailed"), "{story}");
        Ok(())
    })
    .await?;

    // A node without agents, and one that is none of ours.
    let shape = NodeShape {
        zone: "zone-1".to_owned(),
        control_plane: false,
    };
    world.add_node("node-2.rig", &shape, Behaviour::default()).await?;
    for (name, label, value) in [
        ("win-1", "kubernetes.io/os", "windows"),
        ("virtual-1", "type", "virtual-kubelet"),
    ] {
        let node =
            json!({ "apiVersion": "v1", "kind": "Node", "metadata": { "name": name, "labels": { label: value } } });
        kubectl.run(&["apply", "-f", "-"], &node.to_string()).await?;
    }
    deployed
        .until("the new node to be named", async |findings| {
            // Warnings as yet: its pods may still be starting.
            findings.says("sentinel of node-2.rig: was never heard; its node is new")?;
            findings.says("rebooter of node-2.rig: was never heard; its node is new")?;
            for name in ["win-1", "virtual-1"] {
                findings.says(&format!("left alone: {name}"))?;
            }
            let fleet = services.ctl_ok(&["status"]).await?;
            ensure!(!fleet.contains("win-1") && !fleet.contains("virtual-1"), "{fleet}");
            Ok(())
        })
        .await?;
    deployed.finish()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removal_is_safe_when_nothing_runs_and_clean_when_nothing_is_left() -> Result<()> {
    let deployed = Deployed::start(1).await?;
    let Deployed { world, services, .. } = &deployed;
    let kubectl = world.kubectl()?;
    let host = world.host(0)?;
    let db = Workload::new("db");
    world.create(&db.deployment()?).await?;
    world.create(&db.min_available(1)?).await?;
    world.wait_ready_pods("db", 1).await?;

    let remedy = deployed.uninstall_check().await?.remedy("pause: not paused")?;
    assert!(remedy.starts_with("kubectl reboots pause"), "{remedy}");
    host.need_reboot(&["linux-base"])?;
    wait::until("the drain under way to be named", DEADLINE, async || {
        let findings = deployed.uninstall_check().await?;
        findings.remedy("node node-1.rig: in an attempt: Draining")?;
        findings.remedy("cordons: node-1.rig would stay cordoned").map(drop)
    })
    .await?;
    services.ctl_ok(&["pause", "--reason", "removal"]).await?;
    services.ctl_ok(&["cancel", host.name()]).await?;
    wait::until("the removal to be safe", DEADLINE, async || {
        deployed.uninstall_check().await?.in_order()
    })
    .await?;

    for service in services.schedulers.iter().chain(&services.drainers) {
        service.process.kill9();
    }
    // By their pods they still run, so they may start something; without pods the nodes are the witnesses.
    let unasked = "leading scheduler: whether reboots are under way is not known";
    let remedy = deployed.uninstall_check().await?.remedy(unasked)?;
    let scale = "kubectl -n bellwether scale deployment scheduler --replicas=0";
    assert!(remedy.ends_with(scale), "{remedy}");
    deployed.paste(scale).await?;
    wait::until("the nodes to be gone by", DEADLINE, async || {
        let findings = deployed.uninstall_check().await?;
        findings.no_problem()?;
        findings.says(unasked)
    })
    .await?;
    kubectl.run(&["delete", "-k", &deployed.overlay], "").await?;
    // The scheduler was stopped before it took its conditions off.
    let left = "node node-1.rig: condition bellwether.dev/RebootRequired";
    let remedy = deployed.uninstall_check().await?.remedy(left)?;
    deployed.paste(&remedy).await?;
    deployed.uninstall_check().await?.in_order()?;

    // What a removal in mid-drain leaves behind, and people bind by hand.
    world.set_cordon(host.name(), true).await?;
    kubectl
        .run(
            &["annotate", "node", host.name(), "bellwether.dev/cordoned-for=a77e"],
            "",
        )
        .await?;
    let binding = [
        "create",
        "clusterrolebinding",
        "anna",
        "--clusterrole=bellwether-check",
        "--user=anna",
    ];
    kubectl.run(&binding, "").await?;
    let findings = deployed.uninstall_check().await?;
    deployed
        .paste(&findings.remedy("node node-1.rig: cordoned by Bellwether")?)
        .await?;
    deployed
        .paste(&findings.remedy("ClusterRoleBinding anna: still there")?)
        .await?;
    deployed.uninstall_check().await?.in_order()?;
    deployed.finish()
}
