//! A reboot whose services all come through the gatekeeper, by the tokens of their pods.
//!
//! The services are processes, as in all stories; their pods are there for the tokens. Those of the agents are of DaemonSets,
//! which a drain leaves alone, and those of the control services are on the node of the control plane, which is not drained.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use bellwether_proto::setting;
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::{Api, ResourceExt as _};
use rig::gate::Cluster;
use rig::record::node_state;
use rig::service::Service;
use rig::services::{AGENTS, NAMESPACE, Services, ServicesOptions};
use rig::wait;
use rig::workload::Workload;
use rig::world::{World, WorldOptions};

const DEADLINE: Duration = Duration::from_secs(120);

/// Runs a pod of the agent on each node.
async fn daemon_set(cluster: &Cluster, agent: &str) -> Result<()> {
    let object = serde_json::json!({
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": { "name": agent, "namespace": AGENTS },
        "spec": {
            "selector": { "matchLabels": { "agent": agent } },
            "template": {
                "metadata": { "labels": { "agent": agent } },
                "spec": {
                    "serviceAccountName": agent,
                    "tolerations": [{ "operator": "Exists" }],
                    "containers": [{ "name": agent, "image": "pod" }],
                },
            },
        },
    });
    let kubectl = cluster.kubectl()?;
    kubectl.run(&["apply", "-f", "-"], &object.to_string()).await.map(drop)
}

/// The pod of an agent on a node.
async fn pod_of(world: &World, agent: &str, node: &str) -> Result<Pod> {
    let pods: Api<Pod> = Api::namespaced(world.client(), AGENTS);
    let params = ListParams::default().labels(&format!("agent={agent}"));
    wait::until(&format!("the pod of the {agent} of {node}"), DEADLINE, async || {
        let pods = pods.list(&params).await?.items;
        let mut pods = pods.into_iter();
        let pod = pods.find(|pod| pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()) == Some(node));
        pod.context("there is none")
    })
    .await
}

/// The way of the services into the gated server.
struct Way<'a> {
    cluster: &'a Cluster,
    url: String,
    authority: String,
}

impl Way<'_> {
    /// Starts a service again, which comes by the token of this pod from now on, and by no password.
    async fn by_token(&self, service: &Service, account: (&str, &str), pod: &Pod) -> Result<()> {
        let name = service.process.name();
        let token = self.cluster.projected(account, pod).await?;
        let token = self.cluster.place.file(&format!("{name}.token"), token)?;
        let settings = [
            (setting::NATS_URL, self.url.clone()),
            (setting::NATS_CA, self.authority.clone()),
            (setting::NATS_TOKEN, token.display().to_string()),
        ];
        service.process.reconfigure(|program| {
            for password in [setting::NATS_USER, setting::NATS_PASSWORD] {
                program.env.remove(password);
            }
            program
                .env
                .extend(settings.map(|(name, value)| (name.to_owned(), value)));
        });
        service.process.restart()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_is_drained_rebooted_and_uncordoned_by_services_that_the_gatekeeper_let_in() -> Result<()> {
    let world = World::start(WorldOptions {
        nodes: 2,
        control_plane_nodes: 1,
        ..WorldOptions::default()
    })
    .await?;
    let web = Workload::new("web").replicas(2);
    world.create(&web.deployment()?).await?;
    world.wait_ready_pods("web", 2).await?;
    let cluster = Cluster::beside(&world).await?;
    let gate = cluster.gate(&[]).await?;
    for agent in ["sentinel", "rebooter"] {
        daemon_set(&cluster, agent).await?;
    }
    let authority = cluster.folder("gatekeeper")?.join("ca.crt");
    let way = Way {
        cluster: &cluster,
        url: gate.nats.own_url().replace("nats://", "tls://"),
        authority: authority.display().to_string(),
    };

    let services = Services::launch(&world, ServicesOptions::default()).await?;
    // From here on there is no other server that a service could be using.
    world.nats.kill9();
    let control_plane = world.host(0)?;
    let numbered = services.schedulers.iter().chain(&services.drainers);
    for service in numbered {
        let name = service.process.name();
        let (account, _) = name.split_once('-').context("a service without a number")?;
        let account = (NAMESPACE, account);
        let pod = cluster.pod(account, &name, Some(control_plane.name())).await?;
        way.by_token(service, account, &pod).await?;
    }
    for (node, agents) in services.agents() {
        for (agent, service) in [("sentinel", &agents.sentinel), ("rebooter", &agents.rebooter)] {
            let pod = pod_of(&world, agent, &node).await?;
            way.by_token(service, (AGENTS, agent), &pod).await?;
        }
    }
    services.wait_ready().await?;
    services.leader(&world).await?;

    let host = world.host(1)?;
    let agents = services.agents_of(&host)?;
    let before = pod_of(&world, "rebooter", host.name()).await?.uid();
    host.upgrade_kernel("6.12.48")?;
    wait::until("the node to be done", DEADLINE, async || {
        let story = services.ctl_ok(&["explain", host.name()]).await?;
        ensure!(story.contains("Done") && host.reboots() == 1, "{story}");
        Ok(())
    })
    .await?;
    ensure!(
        !node_state(&world.node(host.name()).await?).cordoned,
        "the node is cordoned"
    );
    ensure!(
        host.kernel() == "6.12.48" && host.reboot_orders() == 1,
        "{}",
        host.kernel()
    );
    let after = pod_of(&world, "rebooter", host.name()).await?.uid();
    ensure!(before == after, "the drain has moved the pod of an agent");
    agents.rebooter.wait_ready().await?;

    for role in ["sentinel", "rebooter", "drainer", "scheduler"] {
        let name = format!("bellwether_gatekeeper_admissions_total{{role=\"{role}\"}}");
        let admissions = gate.gatekeeper.metric(&name).await?;
        ensure!(
            admissions >= 1.0,
            "the gatekeeper has let {admissions} in of the role {role}"
        );
    }
    let violations = gate.nats.violations();
    ensure!(violations.is_empty(), "NATS has refused: {violations:#?}");
    drop(services);
    drop(gate);
    cluster.finish();
    world.finish()
}
