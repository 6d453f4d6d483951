//! Bellwether itself, as processes: schedulers, drainers, and two agents on each host.
//!
//! They run as they do in pods: with all settings in the environment, with their own ServiceAccount's
//! rights and no others, and the agents with no Kubernetes access at all. Each is a user of NATS with the rights of its role,
//! an agent those for its node.

use std::collections::BTreeMap;
use std::process::{Output, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use bellwether_proto::mark::LEASE;
use bellwether_proto::permission::Role;
use bellwether_proto::{NodeName, setting};
use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;

use crate::accounts::User;
use crate::host::Host;
use crate::identity::service_account_kubeconfig;
use crate::ports::free_port;
use crate::proxy::Proxy;
use crate::record_keys::KeyMounts;
use crate::service::Service;
use crate::world::World;
use crate::{tools, wait};

pub use crate::namespaces::{AGENTS, NAMESPACE};

/// A lease of three seconds may have to run out first.
const LEADER_DEADLINE: Duration = Duration::from_secs(30);

/// How many services, and their settings.
#[derive(Clone, Debug)]
pub struct ServicesOptions {
    /// Replicas of the scheduler.
    pub schedulers: usize,
    /// Replicas of the drainer.
    pub drainers: usize,
    /// The nodes on which the schedulers think they run, in their order; none: they do not know.
    pub scheduler_nodes: Vec<String>,
    /// Environment of all services, over the rig's own; see `--help` of each.
    pub env: BTreeMap<String, String>,
}

impl Default for ServicesOptions {
    fn default() -> Self {
        let env = [
            // Seconds instead of minutes, so that a test sees the end of everything.
            ("BELLWETHER_LEASE_DURATION", "3s"),
            ("BELLWETHER_SOAK", "1s"),
            ("BELLWETHER_DRAIN_TIMEOUT", "60s"),
            ("BELLWETHER_REBOOT_START_TIMEOUT", "15s"),
            ("BELLWETHER_REBOOT_TIMEOUT", "40s"),
            ("BELLWETHER_VERIFY_TIMEOUT", "40s"),
            ("BELLWETHER_UNCORDON_TIMEOUT", "20s"),
            ("BELLWETHER_RETRY_DELAY", "5s"),
            ("BELLWETHER_REREAD_INTERVAL", "5s"),
            ("BELLWETHER_RESCAN_INTERVAL", "5s"),
            ("BELLWETHER_REFRESH_INTERVAL", "10s"),
        ];
        let env = env.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        Self {
            schedulers: 2,
            drainers: 1,
            scheduler_nodes: Vec::new(),
            env,
        }
    }
}

impl ServicesOptions {
    /// Sets one variable, such as `BELLWETHER_SLOTS`.
    #[must_use]
    pub fn set(mut self, key: &str, value: &str) -> Self {
        self.env.insert(key.to_owned(), value.to_owned());
        self
    }

    /// Nodes start although no drainer answers that they can be drained: for stories of drains that are blocked.
    #[must_use]
    pub fn without_drain_checks(self) -> Self {
        self.set(setting::CHECK_DRAINS, "false")
    }
}

/// The two agents of one host.
#[derive(Clone, Debug)]
pub struct Agents {
    /// Reports.
    pub sentinel: Service,
    /// Reboots.
    pub rebooter: Service,
}

/// All running services.
#[derive(Debug)]
pub struct Services {
    /// The schedulers, in the order of their names `scheduler-1` and so on.
    pub schedulers: Vec<Service>,
    /// The drainers.
    pub drainers: Vec<Service>,
    agents: Mutex<BTreeMap<String, Agents>>,
    scheduler_nodes: Vec<String>,
    env: BTreeMap<String, String>,
    /// What the kubelets bring to drainers and rebooters.
    pub keys: KeyMounts,
}

impl Services {
    /// Starts all of them, also the agents of all hosts; returns when all are ready.
    pub async fn start(world: &World, options: ServicesOptions) -> Result<Self> {
        let services = Self::launch(world, options).await?;
        services.wait_ready().await?;
        Ok(services)
    }

    /// Starts all of them without waiting for anything.
    pub async fn launch(world: &World, options: ServicesOptions) -> Result<Self> {
        let mut env = options.env;
        let traces = world.traces.url().to_owned();
        if world.nats_peers.is_some() {
            env.entry(setting::STREAM_REPLICAS.to_owned())
                .or_insert_with(|| "3".to_owned());
        }
        env.entry("BELLWETHER_LOG_FORMAT".to_owned())
            .or_insert_with(|| "text".to_owned());
        env.entry("OTEL_EXPORTER_OTLP_ENDPOINT".to_owned()).or_insert(traces);
        // Spans are looked at right after the deed.
        env.entry(setting::OTLP_DELAY.to_owned())
            .or_insert_with(|| "200".to_owned());
        let mut services = Self {
            schedulers: vec![],
            drainers: vec![],
            agents: Mutex::default(),
            scheduler_nodes: options.scheduler_nodes,
            env,
            keys: KeyMounts::start(&world.client(), &world.place.folder("record-keys")?)?,
        };
        for number in 1..=options.schedulers {
            let scheduler = services.start_scheduler(world, number).await?;
            services.schedulers.push(scheduler);
        }
        for number in 1..=options.drainers {
            let drainer = services.start_drainer(world, number).await?;
            services.drainers.push(drainer);
        }
        for host in world.hosts() {
            services.start_agents(world, &host)?;
        }
        Ok(services)
    }

    /// Waits until every running service reports that it is ready.
    pub async fn wait_ready(&self) -> Result<()> {
        let agents = self.agents().into_values().flat_map(|it| [it.sentinel, it.rebooter]);
        let all = self.schedulers.iter().chain(&self.drainers).cloned().chain(agents);
        for service in all.filter(|service| service.process.is_running()) {
            service.wait_ready().await?;
        }
        Ok(())
    }

    /// The agents of all hosts, by the host's name.
    #[must_use]
    pub fn agents(&self) -> BTreeMap<String, Agents> {
        self.agents.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The agents of one host.
    pub fn agents_of(&self, host: &Host) -> Result<Agents> {
        let agents = self.agents().remove(host.name());
        agents.with_context(|| format!("{} has no agents", host.name()))
    }

    /// Starts the agents of a host; they die and come back with its boots.
    pub fn start_agents(&self, world: &World, host: &Arc<Host>) -> Result<()> {
        let mut env = BTreeMap::from([
            ("BELLWETHER_NODE_NAME".to_owned(), host.name().to_owned()),
            ("BELLWETHER_HOST_ROOT".to_owned(), host.root().display().to_string()),
            (
                "BELLWETHER_PROC_ROOT".to_owned(),
                host.root().join("proc").display().to_string(),
            ),
        ]);
        let node: NodeName = host.name().parse()?;
        let token = node.token();
        let start = |role: Role, env| {
            let name = format!("{}-{node}", role.as_str());
            let node = token.as_str();
            self.start_service(world, &name, User { role, node }, env)
        };
        let sentinel = start(Role::Sentinel, env.clone())?;
        env.insert("BELLWETHER_REBOOT_METHOD".to_owned(), "command".to_owned());
        env.insert("BELLWETHER_REBOOT_COMMAND".to_owned(), host.reboot_command());
        env.insert("BELLWETHER_HOST_NAMESPACES".to_owned(), "false".to_owned());
        env.insert(
            setting::RECORD_KEYS.to_owned(),
            self.keys.file(AGENTS).display().to_string(),
        );
        let rebooter = start(Role::Rebooter, env)?;
        host.adopt_agents(vec![Arc::clone(&sentinel.process), Arc::clone(&rebooter.process)]);
        let mut agents = self.agents.lock().unwrap_or_else(PoisonError::into_inner);
        agents.insert(host.name().to_owned(), Agents { sentinel, rebooter });
        Ok(())
    }

    /// Waits until a scheduler holds the Lease and answers as the leader; returns it.
    pub async fn leader(&self, world: &World) -> Result<&Service> {
        let leases: Api<Lease> = Api::namespaced(world.client(), NAMESPACE);
        wait::until("a scheduler to lead", LEADER_DEADLINE, async || {
            let spec = leases.get(LEASE).await?.spec.unwrap_or_default();
            let holder = spec.holder_identity.context("no scheduler holds the lease")?;
            let mut running = self.schedulers.iter().filter(|it| it.process.is_running());
            let leader = running.find(|it| it.process.name() == holder);
            let leader = leader.with_context(|| format!("{holder} holds the lease and does not run"))?;
            // It holds the lease before it has read the state that it answers from.
            self.ctl_ok(&["status"]).await?;
            Ok(leader)
        })
        .await
    }

    /// Starts a scheduler or drainer again, from now on with this way to the API server and to NATS.
    pub async fn reroute(&self, world: &World, service: &Service, api: &Proxy, nats: &Proxy) -> Result<()> {
        self.reroute_to(world, service, api.port(), nats.port()).await
    }

    /// The same by these ports on loopback.
    pub async fn reroute_to(&self, world: &World, service: &Service, api: u16, nats: u16) -> Result<()> {
        let name = service.process.name();
        let (account, _) = name.split_once('-').context("a service without a number")?;
        let access = world.control_plane.access().through(api);
        let folder = world.place.folder(&format!("{name}-access"))?;
        let path = service_account_kubeconfig(&world.client(), &access, NAMESPACE, account, &folder).await?;
        let own = [
            ("KUBECONFIG", path.display().to_string()),
            ("BELLWETHER_NATS_URL", format!("tls://127.0.0.1:{nats}")),
        ];
        service.process.reconfigure(|program| {
            program.env.extend(own.map(|(key, value)| (key.to_owned(), value)));
        });
        service.process.restart()?;
        service.wait_ready().await
    }

    /// Runs `kubectl reboots` against the schedulers; returns status and output.
    pub async fn ctl(&self, args: &[&str]) -> Result<Output> {
        let addresses: Vec<String> = self
            .schedulers
            .iter()
            .filter_map(|it| it.api_port)
            .map(|port| format!("127.0.0.1:{port}"))
            .collect();
        let output = tokio::process::Command::new(tools::binary("kubectl-reboots")?)
            .args(args)
            .env("BELLWETHER_SCHEDULER", addresses.join(","))
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        wait::within("kubectl reboots to end", Duration::from_secs(60), async {
            Ok(output.await?)
        })
        .await
    }

    /// As [`Self::ctl`], for a command that has to succeed; returns its output.
    pub async fn ctl_ok(&self, args: &[&str]) -> Result<String> {
        let output = self.ctl(args).await?;
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "kubectl reboots {args:?}: {}", errors.trim());
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    async fn start_scheduler(&self, world: &World, number: usize) -> Result<Service> {
        let name = format!("scheduler-{number}");
        let api_port = free_port()?;
        let mut env = kubernetes(world, "scheduler").await?;
        env.insert("BELLWETHER_API_ADDRESS".to_owned(), format!("127.0.0.1:{api_port}"));
        env.insert("BELLWETHER_IDENTITY".to_owned(), name.clone());
        env.insert("BELLWETHER_NAMESPACE".to_owned(), NAMESPACE.to_owned());
        if let Some(node) = self.scheduler_nodes.get(number.saturating_sub(1)) {
            env.insert(setting::NODE_NAME.to_owned(), node.clone());
        }
        let service = self.start_service(world, &name, User::control(Role::Scheduler), env)?;
        Ok(Service {
            api_port: Some(api_port),
            ..service
        })
    }

    async fn start_drainer(&self, world: &World, number: usize) -> Result<Service> {
        let mut env = kubernetes(world, "drainer").await?;
        let keys = self.keys.file(NAMESPACE).display().to_string();
        env.insert(setting::RECORD_KEYS.to_owned(), keys);
        self.start_service(world, &format!("drainer-{number}"), User::control(Role::Drainer), env)
    }

    fn start_service(
        &self,
        world: &World,
        name: &str,
        user: User<'_>,
        own: BTreeMap<String, String>,
    ) -> Result<Service> {
        let binary = format!("bellwether-{}", user.role.as_str());
        let admin_port = free_port()?;
        let mut env = world.nats.settings(&user);
        env.extend(self.env.clone());
        env.extend(own);
        env.insert("BELLWETHER_ADMIN_ADDRESS".to_owned(), format!("127.0.0.1:{admin_port}"));
        let process = world.place.start(name, tools::binary(&binary)?, vec![], env)?;
        Ok(Service {
            process: Arc::new(process),
            admin_port,
            api_port: None,
        })
    }
}

/// The environment that gives a service the rights of its ServiceAccount.
async fn kubernetes(world: &World, account: &str) -> Result<BTreeMap<String, String>> {
    let access = world.control_plane.access();
    let folder = world.place.path();
    let path = service_account_kubeconfig(&world.client(), access, NAMESPACE, account, folder).await?;
    Ok(BTreeMap::from([("KUBECONFIG".to_owned(), path.display().to_string())]))
}
