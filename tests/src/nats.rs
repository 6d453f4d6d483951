//! A real nats-server with JetStream, which can be killed, started again and robbed of its state.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};
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
        let port = free_port()?;
        let store = place.folder(binary)?.join("store");
        let mut args = vec![
            "--addr=127.0.0.1".to_owned(),
            format!("--port={port}"),
            "--jetstream".to_owned(),
            format!("--store_dir={}", store.display()),
        ];
        args.extend_from_slice(more);
        let process = place.start(binary, tool(binary)?, args, BTreeMap::new())?;
        let nats = Self { process, port, store };
        nats.wait_ready().await?;
        Ok(nats)
    }

    /// Where clients connect to.
    #[must_use]
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Its port on loopback.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// A client of its own, for tests that listen in or speak out of turn.
    pub async fn client(&self) -> Result<async_nats::Client> {
        let url = self.url();
        async_nats::connect(&url)
            .await
            .with_context(|| format!("cannot connect to {url}"))
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

    async fn wait_ready(&self) -> Result<()> {
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
