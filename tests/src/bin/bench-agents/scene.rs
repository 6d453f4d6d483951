//! A node with both agents, a NATS server, and what a scheduler would write.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use async_nats::HeaderMap;
use bellwether_proto::permission::Role;
use bellwether_proto::{
    Attempt, AttemptId, AttemptRef, Generation, NeedReport, NodeName, NodeUid, Phase, PublicKeys, encode, setting,
    subject,
};
use jiff::{SignedDuration, Timestamp};
use rig::accounts::User;
use rig::bus::Bus;
use rig::host::{Behaviour, Host};
use rig::logind::{BOOTED, SystemBus};
use rig::nats::Nats;
use rig::place::Place;
use rig::ports::free_port;
use rig::proxy::Proxy;
use rig::record_keys::Signer;
use rig::service::Service;
use rig::{streams, wait};

const NODE: &str = "node-1.rig";

/// Longer than what is awaited takes on busy cores, so that a fault ends the benchmark.
const DEADLINE: Duration = Duration::from_secs(60);

/// An agent with its own way to NATS.
struct Agent {
    name: &'static str,
    service: Service,
    way: Proxy,
}

/// Everything that runs.
pub(crate) struct Scene {
    agents: [Agent; 2],
    host: Arc<Host>,
    system_bus: Option<SystemBus>,
    bus: Bus,
    signer: Signer,
    nats: Nats,
    place: Place,
}

impl Scene {
    /// Starts all of it, and waits until both agents are ready.
    pub(crate) async fn start(sentinel: &Path, rebooter: &Path) -> Result<Self> {
        // The only provider in the tree.
        rustls::crypto::ring::default_provider().install_default().ok();
        let place = Place::new()?;
        let node: NodeName = NODE.parse()?;
        let nats = Nats::start(&place, &[node.token().to_string()]).await?;
        let bus = Bus::connect(&nats).await?;
        streams::create(bus.jetstream(), 1).await?;
        let signer = Signer::new(1)?;
        let keys = place.file("keys", PublicKeys::of([signer.key()]).to_string())?;
        // The call is all that is measured: the host runs on, and its agents with it.
        let behaviour = Behaviour {
            ignore_reboot: true,
            ..Behaviour::default()
        };
        let host = Host::new(&place.folder("hosts")?, NODE, behaviour)?;
        let system_bus = SystemBus::start(Arc::clone(&host)).await?;
        if let Some(bus) = &system_bus {
            // As on nearly every host nearly all the time: a boot under way has a rebooter look at it each ten seconds.
            bus.answers().moments = BTreeMap::from(BOOTED);
        }
        let mut of_rebooter = vec![(setting::RECORD_KEYS, keys.display().to_string())];
        if system_bus.is_none() {
            of_rebooter.push((setting::REBOOT_METHOD, "command".to_owned()));
            of_rebooter.push((setting::REBOOT_COMMAND, host.reboot_command()));
            of_rebooter.push((setting::HOST_NAMESPACES, "false".to_owned()));
        }
        let start = |role, binary, own| agent(&place, &nats, &host, role, binary, own);
        let agents = [
            start(Role::Sentinel, sentinel, vec![])?,
            start(Role::Rebooter, rebooter, of_rebooter)?,
        ];
        for agent in &agents {
            agent.service.wait_ready().await?;
        }
        Ok(Self {
            agents,
            host,
            system_bus,
            bus,
            signer,
            nats,
            place,
        })
    }

    /// The names and process ids of both agents, the sentinel's first.
    pub(crate) fn pids(&self) -> Result<Vec<(&'static str, u32)>> {
        let pid = |agent: &Agent| {
            let pid = agent.service.process.pid();
            Ok((agent.name, pid.with_context(|| format!("{} has ended", agent.name))?))
        };
        self.agents.iter().map(pid).collect()
    }

    /// How many bytes each agent has exchanged with NATS, with TLS.
    pub(crate) fn bytes_on_the_wire(&self) -> Vec<u64> {
        self.agents.iter().map(|agent| agent.way.forwarded()).collect()
    }

    /// The way in which the host is rebooted.
    pub(crate) fn method(&self) -> &'static str {
        match &self.system_bus {
            Some(_) => "logind",
            None => "command, for want of a dbus-daemon",
        }
    }

    /// A package update needs a reboot, and once that is reported, a record orders it. Returns when the rebooter has called
    /// for it.
    pub(crate) async fn reboot(&self) -> Result<()> {
        self.host.upgrade_kernel("6.12.42")?;
        wait::until("the report of the need", DEADLINE, async || {
            let report = self.bus.host_report(NODE).await?.context("there is no report")?;
            ensure!(
                matches!(report.need, NeedReport::Required(_)),
                "it is {:?}",
                report.need
            );
            Ok(())
        })
        .await?;
        self.order().await?;
        wait::until("the call for a reboot", DEADLINE, async || {
            ensure!(self.host.reboot_orders() == 1, "none has come");
            Ok(())
        })
        .await
    }

    /// Stores the record that orders the reboot of the boot that runs now.
    async fn order(&self) -> Result<()> {
        let now = Timestamp::now();
        let (node, node_uid, generation): (NodeName, NodeUid, _) = (NODE.parse()?, "u1".parse()?, Generation(7));
        let attempt = AttemptRef {
            node: node.clone(),
            attempt: AttemptId::new(&node_uid, generation, now),
            node_uid,
            generation,
        };
        let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".parse()?;
        let mut record = Attempt::new(attempt, self.host.boot_id().parse()?, now, trace);
        record.phase = Phase::Rebooting;
        record.cordoned_at = Some(now);
        record.drained_at = Some(now);
        record.reboot_not_after = Some(now.checked_add(SignedDuration::try_from(DEADLINE)?)?);
        record.deadline = record.reboot_not_after;
        let encoded = encode(&record);
        let mut headers = HeaderMap::new();
        for (key, value) in encoded.headers {
            headers.insert(key, value);
        }
        let subject = subject::attempt_record(&node.token());
        let stored = self
            .signer
            .store(self.bus.jetstream(), subject, headers, encoded.payload);
        stored.await.map(drop)
    }

    /// Stops everything. It fails if NATS has refused an agent anything.
    pub(crate) fn finish(self) -> Result<()> {
        let violations = self.nats.violations();
        ensure!(violations.is_empty(), "NATS has refused: {violations:#?}");
        self.place.finish();
        Ok(())
    }
}

/// Starts an agent.
fn agent(
    place: &Place,
    nats: &Nats,
    host: &Host,
    role: Role,
    binary: &Path,
    own: Vec<(&'static str, String)>,
) -> Result<Agent> {
    let node: NodeName = host.name().parse()?;
    let way = Proxy::start(nats.port())?;
    let admin_port = free_port()?;
    let settings = [
        (setting::NATS_URL, format!("tls://127.0.0.1:{}", way.port())),
        (setting::ADMIN_ADDRESS, format!("127.0.0.1:{admin_port}")),
        (setting::NODE_NAME, node.to_string()),
        (setting::HOST_ROOT, host.root().display().to_string()),
        (setting::PROC_ROOT, host.root().join("proc").display().to_string()),
    ];
    let token = node.token();
    let user = User {
        role,
        node: token.as_str(),
    };
    let mut env: BTreeMap<String, String> = nats.settings(&user);
    let own = settings.into_iter().chain(own);
    env.extend(own.map(|(key, value)| (key.to_owned(), value)));
    let name = role.as_str();
    let process = place.start(name, binary.to_owned(), vec![], env)?;
    let service = Service {
        process: Arc::new(process),
        admin_port,
        api_port: None,
    };
    Ok(Agent { name, service, way })
}
