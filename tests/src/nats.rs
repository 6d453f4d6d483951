//! A real nats-server with JetStream, which can be killed, started again and robbed of its state. Three that share
//! their streams are in [`crate::nats_cluster`].

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};
use async_nats::ConnectOptions;
use tokio::net::TcpStream;
use tokio::time::sleep;

use crate::place::Place;
use crate::ports::free_port;
use crate::process::Process;
use crate::tools::tool;

const START_DEADLINE: Duration = Duration::from_secs(20);

/// The running server.
#[derive(Debug)]
pub struct Nats {
    /// The process, for pause and resume.
    pub process: Process,
    port: u16,
    /// The ports of the other servers of its cluster.
    others: Vec<u16>,
    store: PathBuf,
}

impl Nats {
    /// Starts the current server.
    pub async fn start(place: &Place) -> Result<Self> {
        Self::start_as(place, "nats-server", &[]).await
    }

    /// Starts the current server with these lines of configuration.
    pub async fn start_with(place: &Place, config: &str) -> Result<Self> {
        let config = place.file("nats.conf", config)?;
        Self::start_as(place, "nats-server", &[format!("--config={}", config.display())]).await
    }

    /// Starts a server that is too old for Bellwether.
    pub async fn start_old(place: &Place) -> Result<Self> {
        Self::start_as(place, "nats-server-old", &[]).await
    }

    /// Starts a server with further arguments, such as `--config`.
    pub async fn start_as(place: &Place, binary: &str, more: &[String]) -> Result<Self> {
        let nats = Self::launch(place, binary, binary, free_port()?, vec![], more)?;
        nats.wait_ready().await?;
        Ok(nats)
    }

    /// Starts a server of this name on this port without waiting for it. `others` are the ports of its cluster.
    pub(crate) fn launch(
        place: &Place,
        name: &str,
        binary: &str,
        port: u16,
        others: Vec<u16>,
        more: &[String],
    ) -> Result<Self> {
        let store = place.folder(name)?.join("store");
        let mut args = vec![
            "--addr=127.0.0.1".to_owned(),
            format!("--port={port}"),
            "--jetstream".to_owned(),
            format!("--store_dir={}", store.display()),
        ];
        args.extend_from_slice(more);
        let process = place.start(name, tool(binary)?, args, BTreeMap::new())?;
        Ok(Self {
            process,
            port,
            others,
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
        url(self.port)
    }

    fn urls(&self) -> Vec<String> {
        std::iter::once(&self.port)
            .chain(&self.others)
            .map(|port| url(*port))
            .collect()
    }

    /// Its port on loopback.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// A client of its own, for tests that listen in or speak out of turn. It uses this server as long as it runs, else
    /// another of its cluster.
    pub async fn client(&self) -> Result<async_nats::Client> {
        let options = ConnectOptions::new().retain_servers_order();
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

fn url(port: u16) -> String {
    format!("nats://127.0.0.1:{port}")
}
