//! A real nats-server with JetStream, which can be killed, started again and robbed of its state. Three that share
//! their streams are in [`crate::nats_cluster`], and the way of clients into them in [`crate::accounts`].

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use async_nats::ConnectOptions;
use bellwether_proto::setting;
use tokio::net::TcpStream;
use tokio::time::sleep;

use crate::accounts::{Access, Accounts, User};
use crate::place::Place;
use crate::ports::free_port;
use crate::process::Process;
use crate::tools::tool;
use crate::wait;

const START_DEADLINE: Duration = Duration::from_secs(20);

/// What a server logs of a client that tries what it has no right to, and of one that it does not let in.
const VIOLATIONS: [&str; 2] = ["Violation", "authentication error"];

/// The running server.
#[derive(Debug)]
pub struct Nats {
    /// The process, for pause and resume.
    pub process: Process,
    port: u16,
    /// The ports of the other servers of its cluster.
    others: Vec<u16>,
    /// The way into it. None: it is as its configuration says.
    access: Option<Arc<Access>>,
    store: PathBuf,
}

impl Nats {
    /// Starts the current server for services, with agents on the nodes of these tokens.
    pub async fn start(place: &Place, nodes: &[impl AsRef<str>]) -> Result<Self> {
        Self::start_with(place, Access::new(place, Accounts::Two, nodes)?, "").await
    }

    /// Starts the current server with this way into it, and further lines of configuration.
    pub async fn start_with(place: &Place, access: Access, config: &str) -> Result<Self> {
        Self::start_as(place, "nats-server", Some(access), config).await
    }

    /// Starts a server that is too old for Bellwether, and else is as all others.
    pub async fn start_old(place: &Place, nodes: &[impl AsRef<str>]) -> Result<Self> {
        let access = Access::new(place, Accounts::Two, nodes)?;
        Self::start_as(place, "nats-server-old", Some(access), "").await
    }

    /// Starts the current server with these lines of configuration and nothing else, neither accounts nor TLS: for stories
    /// about other ways into a server.
    pub async fn start_bare(place: &Place, config: &str) -> Result<Self> {
        Self::start_as(place, "nats-server", None, config).await
    }

    async fn start_as(place: &Place, binary: &str, access: Option<Access>, config: &str) -> Result<Self> {
        let access = access.map(Arc::new);
        let way = access.as_ref().map(|access| access.config()).unwrap_or_default();
        let config = place.file("nats.conf", format!("{way}{config}\n"))?;
        let nats = Self::launch(place, (binary, binary), free_port()?, vec![], access, &config)?;
        nats.wait_ready().await?;
        Ok(nats)
    }

    /// Starts this binary by this name on this port, without waiting for it. `others` are the ports of its cluster.
    pub(crate) fn launch(
        place: &Place,
        (name, binary): (&str, &str),
        port: u16,
        others: Vec<u16>,
        access: Option<Arc<Access>>,
        config: &Path,
    ) -> Result<Self> {
        let store = place.folder(name)?.join("store");
        let args = vec![
            "--addr=127.0.0.1".to_owned(),
            format!("--port={port}"),
            "--jetstream".to_owned(),
            format!("--store_dir={}", store.display()),
            format!("--config={}", config.display()),
        ];
        let process = place.start(name, tool(binary)?, args, BTreeMap::new())?;
        Ok(Self {
            process,
            port,
            others,
            access,
            store,
        })
    }

    /// Where clients connect to: all servers of its cluster, separated by commas.
    #[must_use]
    pub fn url(&self) -> String {
        self.urls().join(",")
    }

    /// Where clients connect to that shall use this server, and no other as long as it runs.
    #[must_use]
    pub fn own_url(&self) -> String {
        self.url_of(self.port)
    }

    fn urls(&self) -> Vec<String> {
        std::iter::once(&self.port)
            .chain(&self.others)
            .map(|port| self.url_of(*port))
            .collect()
    }

    fn url_of(&self, port: u16) -> String {
        let scheme = if self.access.is_some() { "tls" } else { "nats" };
        format!("{scheme}://127.0.0.1:{port}")
    }

    /// The settings of a service that is this user.
    #[must_use]
    pub fn settings(&self, user: &User<'_>) -> BTreeMap<String, String> {
        let way = self.access.iter().flat_map(|access| access.settings(user));
        let all = way.chain([(setting::NATS_URL, self.url())]);
        all.map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// The way into a server that has one of the rig.
    pub fn access(&self) -> Result<&Access> {
        self.access
            .as_deref()
            .context("this server is as its configuration says")
    }

    /// Lets the agents of a node in that joins.
    pub async fn admit(&self, node: &str) -> Result<()> {
        let before = self.reloads();
        self.access()?.admit(node)?;
        self.process.reload()?;
        wait::eventually("the server to know the node", START_DEADLINE, async || {
            Ok(self.reloads() > before)
        })
        .await
    }

    /// How often it has read its files again.
    #[must_use]
    pub fn reloads(&self) -> usize {
        self.process.output().matches("Reloaded server configuration").count()
    }

    /// What clients tried so far without the right to.
    #[must_use]
    pub fn violations(&self) -> Vec<String> {
        let log = self.process.output();
        let violations = log
            .lines()
            .filter(|line| VIOLATIONS.iter().any(|word| line.contains(word)));
        violations.map(str::to_owned).collect()
    }

    /// Its port on loopback.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// A client of the rig's own, for tests that listen in or speak out of turn. It uses this server as long as it runs, else
    /// another of its cluster.
    pub async fn client(&self) -> Result<async_nats::Client> {
        let options = self.access.as_ref().map(|access| access.rig());
        self.connect(options.unwrap_or_default().retain_servers_order()).await
    }

    /// A client that is this user, and has its rights.
    pub async fn client_of(&self, user: &User<'_>) -> Result<async_nats::Client> {
        self.connect(self.access()?.options(user)).await
    }

    async fn connect(&self, options: ConnectOptions) -> Result<async_nats::Client> {
        options
            .connect(self.urls())
            .await
            .with_context(|| format!("cannot connect to {}", self.url()))
    }

    /// Crashes it.
    pub fn kill9(&self) {
        self.process.kill9();
    }

    /// Starts it again, on the same port and with the rest of its state.
    pub async fn restart(&self) -> Result<()> {
        self.process.restart()?;
        self.wait_ready().await
    }

    /// Crashes it and starts it again after a while.
    pub async fn be_away_for(&self, duration: Duration) -> Result<()> {
        self.kill9();
        sleep(duration).await;
        self.restart().await
    }

    /// Crashes it, and all streams and buckets are gone.
    pub async fn lose_state(&self) -> Result<()> {
        self.kill9();
        std::fs::remove_dir_all(&self.store).with_context(|| format!("cannot remove {}", self.store.display()))?;
        self.restart().await
    }

    /// Waits until it listens.
    pub(crate) async fn wait_ready(&self) -> Result<()> {
        let awaited = "nats-server to listen";
        self.process
            .while_running(awaited, START_DEADLINE, async || {
                TcpStream::connect(("127.0.0.1", self.port))
                    .await
                    .map(drop)
                    .context("refused")
            })
            .await
    }
}
