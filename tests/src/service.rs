//! One of Bellwether's services as a process, with its admin address.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use crate::http;
use crate::process::Process;

/// How long a service may take to be ready, on busy cores.
const READY_DEADLINE: Duration = Duration::from_secs(30);

/// A running service.
#[derive(Clone, Debug)]
pub struct Service {
    /// Its process: kill, pause, restart, log.
    pub process: Arc<Process>,
    /// The port of `/livez`, `/readyz` and `/metrics`.
    pub admin_port: u16,
    /// The port of the gRPC API, for schedulers.
    pub api_port: Option<u16>,
}

impl Service {
    /// Waits until it says that it is ready.
    pub async fn wait_ready(&self) -> Result<()> {
        let awaited = format!("{} to be ready", self.process.name());
        self.process
            .while_running(&awaited, READY_DEADLINE, async || {
                let (status, body) = self.get("/readyz").await?;
                ensure!(status == 200, "{status} {}", body.trim());
                Ok(())
            })
            .await
    }

    /// The value of a metric, by its whole name with labels as `/metrics` writes it.
    pub async fn metric(&self, name: &str) -> Result<f64> {
        let text = self.metrics().await?;
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        let value = value.with_context(|| format!("no metric {name}"))?;
        Ok(value.trim().parse()?)
    }

    /// The sum of a metric's series whose labels contain this text.
    pub async fn sum(&self, metric: &str, labels: &str) -> Result<f64> {
        let text = self.metrics().await?;
        let series = text
            .lines()
            .filter_map(|line| line.strip_prefix(metric)?.strip_prefix('{'));
        let matching = series.filter_map(|series| series.rsplit_once("} "));
        let values = matching
            .filter(|(found, _)| found.contains(labels))
            .map(|(_, value)| value.trim().parse::<f64>());
        values
            .sum::<Result<f64, _>>()
            .with_context(|| format!("{metric} in {text}"))
    }

    /// All metrics.
    pub async fn metrics(&self) -> Result<String> {
        let (status, body) = self.get("/metrics").await?;
        ensure!(status == 200, "/metrics answers {status}");
        Ok(body)
    }

    /// Asks its admin server; returns status and body.
    pub async fn get(&self, path: &str) -> Result<(u16, String)> {
        http::get(self.admin_port, path).await
    }
}
