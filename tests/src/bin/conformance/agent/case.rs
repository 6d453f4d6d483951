//! One trial's part of the stage: a node with its simulated host, and the program as its agent.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use async_nats::HeaderMap;
use bellwether_proto::permission::Role;
use bellwether_proto::stream::StreamDefinition;
use bellwether_proto::subject::Topic;
use bellwether_proto::{NodeName, setting, subject};
use rig::host::{Behaviour, Host};
use rig::ports::free_port;
use rig::proxy::Proxy;
use rig::record_keys::EXPECTED;
use rig::service::Service;
use rig::wait;

use super::stage::Stage;

/// Longer than what is awaited takes on busy cores, with a debug build and other trials beside.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// How often the program stores its report without a change.
pub(crate) const REFRESH: Duration = Duration::from_secs(6);

/// How long a trial watches that nothing happens, where only time can be awaited.
pub(crate) const QUIET: Duration = Duration::from_secs(3);

/// A node whose program does not run yet.
pub(crate) struct Setup<'s> {
    stage: &'s Stage,
    pub(crate) node: NodeName,
    pub(crate) host: Arc<Host>,
    /// The program's way to NATS.
    pub(crate) way: Proxy,
    env: BTreeMap<String, String>,
    admin_port: u16,
    from: usize,
}

impl<'s> Setup<'s> {
    /// Boots a host.
    pub(crate) fn new(stage: &'s Stage) -> Result<Self> {
        let node = stage.next_node()?;
        let behaviour = Behaviour {
            down_for: Duration::ZERO,
            ..Behaviour::default()
        };
        let host = Host::new(&stage.place.folder("hosts")?, node.as_str(), behaviour)?;
        let way = Proxy::start(stage.nats.port())?;
        let admin_port = free_port()?;
        let own = [
            (setting::NATS_URL, format!("tls://127.0.0.1:{}", way.port())),
            (setting::ADMIN_ADDRESS, format!("127.0.0.1:{admin_port}")),
            (setting::LOG_FORMAT, "text".to_owned()),
            (setting::NODE_NAME, node.to_string()),
            (setting::HOST_ROOT, host.root().display().to_string()),
            (setting::PROC_ROOT, host.root().join("proc").display().to_string()),
            (setting::REFRESH_INTERVAL, format!("{}s", REFRESH.as_secs())),
        ];
        let mut env = stage.settings(&node);
        env.extend(own.map(|(key, value)| (key.to_owned(), value)));
        let more = match stage.role {
            Role::Rebooter => vec![
                (setting::REREAD_INTERVAL, "3s".to_owned()),
                (setting::RECORD_KEYS, stage.keys.display().to_string()),
                (setting::REBOOT_METHOD, "command".to_owned()),
                (setting::REBOOT_COMMAND, host.reboot_command()),
                (setting::HOST_NAMESPACES, "false".to_owned()),
            ],
            Role::Sentinel | Role::Drainer | Role::Scheduler | Role::Notifier => {
                vec![(setting::RESCAN_INTERVAL, "2s".to_owned())]
            }
        };
        env.extend(more.into_iter().map(|(key, value)| (key.to_owned(), value)));
        Ok(Self {
            stage,
            node,
            host,
            way,
            env,
            admin_port,
            from: stage.ledger.len(),
        })
    }

    /// Changes a setting of the program.
    pub(crate) fn set(mut self, key: &str, value: &str) -> Self {
        self.env.insert(key.to_owned(), value.to_owned());
        self
    }

    /// A path of the host.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.host.root().join(path)
    }

    /// Stores a record in the place of the program's report.
    pub(crate) async fn write_record(&self, headers: HeaderMap, body: Vec<u8>) -> Result<()> {
        let subject = report_subject(self.stage.role, &self.node);
        publish(self.stage, subject, headers, body).await.map(drop)
    }

    /// Starts the program, and waits for nothing.
    pub(crate) fn start(self) -> Result<Case<'s>> {
        let command = &self.stage.command;
        let name = format!("program-{}", self.node);
        let place = &self.stage.place;
        let process = place.start(&name, command.program.clone(), command.args.clone(), self.env)?;
        let service = Service {
            process: Arc::new(process),
            admin_port: self.admin_port,
            api_port: None,
        };
        self.host.adopt_agents(vec![Arc::clone(&service.process)]);
        Ok(Case {
            stage: self.stage,
            node: self.node,
            host: self.host,
            way: self.way,
            service,
            from: self.from,
        })
    }
}

/// The part of one trial.
pub(crate) struct Case<'s> {
    pub(crate) stage: &'s Stage,
    pub(crate) node: NodeName,
    pub(crate) host: Arc<Host>,
    /// The program's way to NATS.
    pub(crate) way: Proxy,
    pub(crate) service: Service,
    /// The end of the ledger before the trial.
    pub(crate) from: usize,
}

impl<'s> Case<'s> {
    /// Starts the program on a host of its own, and waits until it is ready.
    pub(crate) async fn new(stage: &'s Stage) -> Result<Self> {
        let case = Setup::new(stage)?.start()?;
        case.wait_ready().await?;
        Ok(case)
    }

    /// A path of the host.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.host.root().join(path)
    }

    /// Waits until the program reports that it is ready.
    pub(crate) async fn wait_ready(&self) -> Result<()> {
        wait::until("the program to be ready", SOON, async || {
            ensure!(self.service.process.exited().is_none(), "it ended");
            let (status, body) = self.service.get("/readyz").await?;
            ensure!(status == 200, "/readyz answers {status} {}", body.trim());
            Ok(())
        })
        .await
        .with_context(|| format!("see the output of {}", self.service.process.name()))
    }

    /// For a while the program runs and is not ready.
    pub(crate) async fn runs_and_is_not_ready(&self) -> Result<()> {
        wait::until("an answer of /livez", SOON, async || {
            let (status, body) = self.service.get("/livez").await?;
            ensure!(status == 200, "it is {status} {body}");
            Ok(())
        })
        .await?;
        wait::steadily("it runs and is not ready", QUIET, async || {
            let (status, _) = self.service.get("/readyz").await?;
            Ok(status != 200 && self.service.process.is_running())
        })
        .await
    }

    /// The subject of the agent's own report.
    pub(crate) fn report_subject(&self) -> String {
        report_subject(self.stage.role, &self.node)
    }

    /// The host goes down, with its agents, and comes up again in another boot.
    pub(crate) async fn reboot_host(&self) -> Result<()> {
        let before = self.host.reboots();
        self.host.reboot_by_hand();
        self.host_is_back(before).await
    }

    /// Waits until the host, which goes down now, is up again.
    pub(crate) async fn host_is_back(&self, reboots_before: usize) -> Result<()> {
        wait::until("the host to be up again", SOON, async || {
            self.host.tick()?;
            ensure!(self.host.reboots() > reboots_before, "it is down");
            Ok(())
        })
        .await
    }
}

/// The subject of the report of a node's agent.
fn report_subject(role: Role, node: &NodeName) -> String {
    let token = node.token();
    match role {
        Role::Rebooter => subject::rebooter_record(&token),
        Role::Sentinel | Role::Drainer | Role::Scheduler | Role::Notifier => subject::sentinel_record(&token),
    }
}

/// Publishes to a stream, a record with its signature; returns the sequence of the message.
pub(crate) async fn publish(stage: &Stage, subject: String, headers: HeaderMap, payload: Vec<u8>) -> Result<u64> {
    let is_record = matches!(Topic::parse(&subject), Some(Topic::Attempt(_)));
    if is_record && headers.get(EXPECTED).is_none() && !payload.is_empty() {
        let jetstream = stage.bus.jetstream();
        return stage.signer.store(jetstream, subject, headers, payload).await;
    }
    publish_unsigned(stage, subject, headers, payload).await
}

/// Publishes to a stream; returns the sequence of the message.
pub(crate) async fn publish_unsigned(
    stage: &Stage,
    subject: String,
    headers: HeaderMap,
    payload: Vec<u8>,
) -> Result<u64> {
    let ack = stage
        .bus
        .jetstream()
        .publish_with_headers(subject, headers, payload.into());
    Ok(ack.await?.await?.sequence)
}

/// The marker of a deleted record, as `nats kv del` writes it and a scheduler does; the latter needs a bucket that allows
/// roll-ups, which that of the hosts does not.
pub(crate) fn deletion(stream: &StreamDefinition) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if stream.rollup {
        headers.insert("KV-Operation", "PURGE");
        headers.insert("Nats-Rollup", "sub");
    } else {
        headers.insert("KV-Operation", "DEL");
    }
    headers
}
