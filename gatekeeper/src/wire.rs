//! Connections to the server beside the gatekeeper: one by which it asks, one by which the gatekeeper has it reload.
//!
//! The only file here that knows of NATS.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail};
use async_nats::{Client, ConnectOptions, Event, ServerAddr, Subscriber};
use bellwether_chassis::admin::Health;
use bellwether_chassis::{Backoff, Chassis};
use bellwether_gatekeeper_core::question::SUBJECT;
use bellwether_proto::readiness::{Part, ReadinessCode};

/// Gatekeepers share the questions of all servers; a server prefers the one beside it.
const GROUP: &str = "gatekeepers";

/// Room for a whole fleet that connects at once; the rest of the questions would be too old when their turn comes.
const QUESTIONS_MAX: usize = 32 * 1024;

/// Waits between two tries to connect: all clients wait for this one.
const RECONNECT: Backoff = Backoff::between(Duration::from_millis(50), Duration::from_secs(1));

/// As [`bellwether_chassis`] does: a server whose machine lost its power closes no connection.
const PING_INTERVAL: Duration = Duration::from_secs(4);

/// A reload reads a few files.
const RELOAD_TIMEOUT: Duration = Duration::from_secs(10);

/// Where the server is, and how it proves itself.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    pub(crate) urls: Vec<String>,
    pub(crate) authority: PathBuf,
}

impl Server {
    fn options(&self, seed: String) -> ConnectOptions {
        ConnectOptions::with_nkey(seed)
            .name("bellwether-gatekeeper")
            .require_tls(true)
            .add_root_certificates(self.authority.clone())
            // Its own server, and no other of the cluster.
            .ignore_discovered_servers()
            .ping_interval(PING_INTERVAL)
    }

    fn addresses(&self) -> anyhow::Result<Vec<ServerAddr>> {
        let parsed = self
            .urls
            .iter()
            .map(|url| url.parse().with_context(|| format!("--nats-url {url}")));
        parsed.collect()
    }

    /// Subscribes to the server's questions; connects as often as the server comes back. `seed` is the private key of the
    /// gatekeeper's user.
    pub(crate) async fn questions(&self, chassis: &Chassis, seed: String) -> anyhow::Result<(Client, Subscriber)> {
        let urls = self.urls.join(",");
        let reported = Link {
            health: chassis.health.clone(),
            urls: urls.clone(),
        };
        reported.lost(ReadinessCode::NatsUnreachable, "the server has not started yet");
        let options = self
            .options(seed)
            .retry_on_initial_connect()
            .max_reconnects(None)
            .subscription_capacity(QUESTIONS_MAX)
            .reconnect_delay_callback(|tries| RECONNECT.after(u32::try_from(tries).unwrap_or(u32::MAX)))
            .event_callback(move |event| {
                reported.report(&event);
                std::future::ready(())
            });
        let client = options
            .connect(self.addresses()?)
            .await
            .with_context(|| format!("--nats-url {urls}"))?;
        let questions = client
            .queue_subscribe(SUBJECT, GROUP.to_owned())
            .await
            .context("subscribe")?;
        Ok((client, questions))
    }

    /// Has the server read its files again. `seed` is the private key of the user of the system account.
    pub(crate) async fn reload(&self, seed: String) -> anyhow::Result<()> {
        let client = self
            .options(seed)
            .connect(self.addresses()?)
            .await
            .context("connect as the user of the system account")?;
        let subject = format!("$SYS.REQ.SERVER.{}.RELOAD", client.server_info().server_id);
        let answer = tokio::time::timeout(RELOAD_TIMEOUT, client.request(subject, "".into())).await;
        client.drain().await.ok();
        let answer = answer
            .context("the server does not answer")?
            .context("ask for the reload")?;
        let answer: serde_json::Value = serde_json::from_slice(&answer.payload).context("the answer is not JSON")?;
        match answer.get("error") {
            Some(error) => bail!("the server refuses its new files: {error}"),
            None => Ok(()),
        }
    }
}

/// The connection as `/readyz` and the log show it.
struct Link {
    health: Health,
    urls: String,
}

impl Link {
    fn report(&self, event: &Event) {
        match event {
            Event::Connected => {
                self.health.ready(Part::Nats);
                tracing::info!("Connected to NATS");
            }
            Event::Disconnected | Event::Closed => {
                self.lost(ReadinessCode::NatsConnectionLost, "the connection is lost");
                tracing::warn!("Connection to NATS lost");
            }
            Event::ClientError(error) => {
                let why = format!(
                    "{error}: is the server running, and with the files of --server-dir? One that has older keys has to be \
                     started again"
                );
                self.lost(ReadinessCode::NatsUnreachable, &why);
            }
            Event::ServerError(error) => tracing::warn!(%error, "NATS server refuses"),
            Event::SlowConsumer(_) => tracing::warn!("Questions were dropped"),
            Event::LameDuckMode | Event::Draining => tracing::info!(%event, "NATS connection"),
        }
    }

    fn lost(&self, code: ReadinessCode, why: &str) {
        self.health
            .not_ready(code, format!("not connected to {}: {why}", self.urls));
    }
}
