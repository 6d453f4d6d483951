//! The client of the Kubernetes API server, set up once for all services that have one.
//!
//! It never repeats a request: whoever asks knows how long it may wait.

pub mod filled;

use std::time::Duration;

use anyhow::Context as _;
use kube::{Client, Config};

/// How long a connection with its TLS handshake may take: a server that is there and busy takes far less.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A client with its server's address, as kubectl would find both. A connection that is silent for
/// `read_timeout` while an answer is awaited counts as broken.
///
/// # Errors
/// Neither a kubeconfig nor a service account is there, or one of them cannot be used.
pub async fn client(read_timeout: Duration) -> anyhow::Result<(Client, String)> {
    let mut config = Config::infer()
        .await
        .context("find the Kubernetes API server: set KUBECONFIG, or run in a pod with a service account")?;
    // By default the client repeats refused requests by itself for minutes: an eviction that a
    // disruption budget blocks, or a permission that is missing, would never show.
    config.default_retry = false;
    config.read_timeout = Some(read_timeout);
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    // From the request on: a pooled connection may have been idle for longer before.
    config.reset_reader_on_write = true;
    let address = config.cluster_url.to_string();
    let client = Client::try_from(config).context("set up the Kubernetes client")?;
    Ok((client, address))
}
