//! A real Prometheus server with rules that a test sets, behind TLS and a password.
//!
//! It scrapes nothing: an alert whose expression is a constant fires as soon as its rule is evaluated.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tokio::net::TcpStream;

use crate::place::{Place, replace};
use crate::ports::free_port;
use crate::process::Process;
use crate::tools::tool;
use crate::wait;

const START_DEADLINE: Duration = Duration::from_secs(30);

/// The user that the server knows.
pub const USER: &str = "rig";
/// The user's password.
pub const PASSWORD: &str = "rig:secret";
/// The bcrypt hash of the password.
const PASSWORD_HASH: &str = "$2a$04$6Dl/ELsn2XQRgBTaL29OMebW.m4jGBMtIGR2GkfQuuGoRfb/kEWhm";

/// The running server.
#[derive(Debug)]
pub struct Prometheus {
    /// The process, for kill and restart.
    pub process: Process,
    port: u16,
    rules: PathBuf,
    loads: std::sync::atomic::AtomicU32,
}

impl Prometheus {
    /// Starts a server with a certificate for 127.0.0.1, and with alerts of these names that fire always.
    pub async fn start(place: &Place, certificate: &Path, key: &Path, firing: &[&str]) -> Result<Self> {
        let folder = place.folder("prometheus")?;
        let rules = place.file("prometheus-rules.yml", rules_of(firing))?;
        let config = format!(
            "global: {{ evaluation_interval: 1s }}\nrule_files: [{}]\n",
            rules.display()
        );
        let config = place.file("prometheus.yml", config)?;
        let web = format!(
            "tls_server_config: {{ cert_file: {}, key_file: {} }}\nbasic_auth_users: {{ {USER}: {PASSWORD_HASH} }}\n",
            certificate.display(),
            key.display()
        );
        let web = place.file("prometheus-web.yml", web)?;
        let port = free_port()?;
        let args = vec![
            format!("--config.file={}", config.display()),
            format!("--web.config.file={}", web.display()),
            format!("--web.listen-address=127.0.0.1:{port}"),
            // A series that ends without a mark, as at a crash, counts for so long; five minutes by default.
            "--query.lookback-delta=5s".to_owned(),
            format!("--storage.tsdb.path={}", folder.join("data").display()),
        ];
        let process = place.start("prometheus", tool("prometheus")?, args, BTreeMap::new())?;
        let server = Self {
            process,
            port,
            rules,
            loads: 1.into(),
        };
        server.wait_ready().await?;
        Ok(server)
    }

    /// Its address.
    #[must_use]
    pub fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    /// Has alerts of these names fire, and no others; returns once the server has read the rules.
    pub async fn set_firing(&self, firing: &[&str]) -> Result<()> {
        self.set_rules(firing)?;
        let pid = self.process.pid().context("Prometheus does not run")?;
        let pid = Pid::from_raw(i32::try_from(pid)?).context("no process")?;
        kill_process(pid, Signal::HUP)?;
        let loads = self.loads.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1;
        self.wait_loaded(usize::try_from(loads)?).await
    }

    /// Has alerts of these names fire, and no others, from its next start on.
    pub fn set_rules(&self, firing: &[&str]) -> Result<()> {
        replace(&self.rules, rules_of(firing))
    }

    /// Crashes it.
    pub fn kill9(&self) {
        self.process.kill9();
    }

    /// Starts it again, with its rules as they are.
    pub async fn restart(&self) -> Result<()> {
        self.process.restart()?;
        self.loads.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        self.wait_ready().await
    }

    /// Waits until it has read its rules so many times, by its log.
    async fn wait_loaded(&self, times: usize) -> Result<()> {
        const LOADED: &str = "Completed loading of configuration file";
        wait::until("Prometheus to have read its rules", START_DEADLINE, async || {
            let loaded = self.process.output().matches(LOADED).count();
            ensure!(loaded >= times, "read {loaded} of {times} times");
            Ok(())
        })
        .await
    }

    async fn wait_ready(&self) -> Result<()> {
        let awaited = "Prometheus to listen";
        self.process
            .while_running(awaited, START_DEADLINE, async || {
                TcpStream::connect(("127.0.0.1", self.port))
                    .await
                    .map(drop)
                    .context("refused")
            })
            .await?;
        let loads = self.loads.load(std::sync::atomic::Ordering::Relaxed);
        self.wait_loaded(usize::try_from(loads)?).await
    }
}

fn rules_of(firing: &[&str]) -> String {
    let rules = firing
        .iter()
        .map(|name| format!("{{ alert: {name}, expr: vector(1) }}"));
    let rules: Vec<_> = rules.collect();
    format!("groups: [{{ name: rig, rules: [{}] }}]\n", rules.join(", "))
}
