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
use jiff::Timestamp;
use serde_json::Value;

/// Gatekeepers share the questions of all servers: a server without its own gatekeeper lets clients in too.
const GROUP: &str = "gatekeepers";

/// Room for a whole fleet that connects at once; the rest of the questions would be too old when their turn comes.
const QUESTIONS_MAX: usize = 32 * 1024;

/// Waits between two tries to connect: all clients wait for this one.
const RECONNECT: Backoff = Backoff::between(Duration::from_millis(50), Duration::from_secs(1));

/// As [`bellwether_chassis`] does: a server whose machine lost its power closes no connection.
const PING_INTERVAL: Duration = Duration::from_secs(4);

/// A reload reads a few files, and asks the gatekeeper about each client, one after the other: some milliseconds each on a
/// machine without time, for the ten thousand agents of five thousand nodes.
const RELOAD_TIMEOUT: Duration = Duration::from_secs(120);

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

    /// A connection by which the server is controlled. `seed` is the private key of the user of the system account.
    pub(crate) async fn control(&self, seed: String) -> anyhow::Result<Control> {
        let options = self.options(seed).request_timeout(Some(RELOAD_TIMEOUT));
        let client = options.connect(self.addresses()?).await;
        Ok(Control {
            client: client.context("connect as the user of the system account")?,
        })
    }
}

/// A connection of the user of the system account.
pub(crate) struct Control {
    client: Client,
}

impl Control {
    /// The end of the certificate that the server shows to clients.
    pub(crate) async fn certificate_end(&self) -> anyhow::Result<Timestamp> {
        let state = self.ask("VARZ").await?;
        let end = state.pointer("/data/tls_cert_not_after").and_then(Value::as_str);
        let end = end.context("the server states no end of its certificate: take the NATS image of the component")?;
        Ok(end.parse()?)
    }

    /// Has the server read its files again.
    pub(crate) async fn reload(&self) -> anyhow::Result<()> {
        match self.ask("RELOAD").await?.get("error") {
            Some(error) => bail!("the server refuses its new files: {error}"),
            None => Ok(()),
        }
    }

    /// Ends the connection.
    pub(crate) async fn close(self) {
        // What fails here leaves a connection that the server ends.
        self.client.drain().await.ok();
    }

    async fn ask(&self, what: &str) -> anyhow::Result<Value> {
        let subject = format!("$SYS.REQ.SERVER.{}.{what}", self.client.server_info().server_id);
        let answer = self.client.request(subject, "".into()).await;
        let answer = answer.with_context(|| format!("ask the server for {what}"))?;
        serde_json::from_slice(&answer.payload).context("the answer is not JSON")
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
