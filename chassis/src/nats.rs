//! Connecting to NATS: for ever, saying what it waits for, and refusing servers that are too old.

mod content;
mod credentials;
mod first;
mod link;
mod pace;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use async_nats::{AuthError, ConnectOptions, Event};
use bellwether_proto::readiness::ReadinessCode;
use bellwether_proto::{NodeName, subject};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::args::ChassisArgs;
use crate::authority;
use crate::bus::Bus;
use crate::named_file::{FileError, NamedFile};
use crate::runtime::Chassis;
use credentials::Credentials;
use first::First;
use link::Link;
use pace::Pace;

/// JetStream's API level of NATS 2.11, the oldest version whose options do what they say.
const API_LEVEL_MIN: u64 = 1;

/// How often the log repeats that the service still waits.
const REMINDER: Duration = Duration::from_secs(10);

/// How often a service of the control plane tries an idle connection. The client gives a connection up at the third interval
/// without an answer: twelve seconds.
const PING_INTERVAL: Duration = Duration::from_secs(4);

/// How often an agent does: each ping wakes a host that else sleeps. A minute until a dead connection is given up is little
/// beside the five for which an order holds and the fifteen for which a report counts. Ten thousand agents cost a server
/// 1,000 pings a second, well below a hundredth of its time.
const AGENT_PING_INTERVAL: Duration = Duration::from_secs(20);

/// The files on which a connection depends. Each try reads them again.
#[derive(Debug, Clone)]
struct Files {
    credentials: Option<Credentials>,
    authority: Option<NamedFile>,
}

/// Connects, and waits for as long as it takes: for a server, and for files that are missing or cannot be used.
///
/// `node` is the node of an agent: answers arrive below an inbox of its own.
///
/// # Errors
/// The server is older than NATS 2.11, or an address holds a user or password.
pub async fn connect(chassis: &Chassis, args: &ChassisArgs, node: Option<&NodeName>) -> anyhow::Result<Bus> {
    let link = Arc::new(Link::new(chassis.health.clone(), &args.nats_url));
    // The client would ignore them, and whoever NATS lets in without a name would not notice.
    if args.nats_url.iter().any(|url| url.contains('@')) {
        bail!(
            "--nats-url holds a user, a password or a token, which all may read who see the settings: leave it at {} \
             and give the user by --nats-user and --nats-password, by --nats-credentials or by --nats-token",
            link.urls
        );
    }
    let files = Files::of(args);
    let pace = Pace::default();
    let first = Arc::new(First::new(Instant::now()));
    let heard = Arc::clone(&link);
    let (connected, connections) = watch::channel(0);
    let looked_at = files.clone();
    let inbox = subject::inbox(chassis.service.name, node.map(NodeName::token).as_ref());
    let options = files
        .options()
        .name(format!("bellwether-{}", chassis.service.name))
        .custom_inbox_prefix(inbox)
        .retry_on_initial_connect()
        .max_reconnects(None)
        // A server whose machine lost its power closes no connection.
        .ping_interval(node.map_or(PING_INTERVAL, |_| AGENT_PING_INTERVAL))
        .reconnect_delay_callback(move |tries| pace.wait(tries, Instant::now()))
        .reconnect_to_server_callback(move |servers, _| {
            let first = Arc::clone(&first);
            async move { first.next(&servers).await }
        })
        .event_callback(move |event| {
            let (heard, looked_at) = (Arc::clone(&heard), looked_at.clone());
            if matches!(event, Event::Connected) {
                connected.send_modify(|times| *times += 1);
            }
            async move {
                let unusable = match event {
                    Event::ClientError(_) => looked_at.unusable().await,
                    Event::Connected
                    | Event::Disconnected
                    | Event::LameDuckMode
                    | Event::Draining
                    | Event::Closed
                    | Event::SlowConsumer(_)
                    | Event::ServerError(_) => None,
                };
                heard.report(&event, unusable);
            }
        });
    let client = options
        .connect(args.nats_url.as_slice())
        .await
        .with_context(|| format!("--nats-url {}", link.urls))?;
    let bus = Bus::new(client, connections, chassis.health.clone());
    chassis.metrics(|registry| bus.register(registry));
    let level = wait_for_jetstream(chassis, &bus, &link).await?;
    if level < API_LEVEL_MIN {
        let version = bus.client.server_info().version;
        bail!(
            "NATS server at {} is version {version}, at least 2.11 is needed: upgrade it, or point --nats-url elsewhere",
            link.urls
        );
    }
    link.found_useful(bus.is_connected());
    Ok(bus)
}

impl Files {
    fn of(args: &ChassisArgs) -> Self {
        let authority = args.nats_ca.as_deref();
        Self {
            credentials: Credentials::of(args),
            authority: authority.map(|path| NamedFile::new("--nats-ca", path)),
        }
    }

    /// Options of a client that reads the files at each try.
    fn options(self) -> ConnectOptions {
        let options = match self.credentials {
            Some(credentials) => ConnectOptions::with_auth_callback(move |nonce| {
                let credentials = credentials.clone();
                async move { credentials.answer(&nonce).await.map_err(AuthError::new) }
            }),
            None => ConnectOptions::new(),
        };
        match self.authority {
            Some(file) => options.add_root_certificates(file.path().to_owned()),
            None => options,
        }
    }

    /// The first file that cannot be used now: the cause of a failed try, which the client keeps to itself.
    async fn unusable(&self) -> Option<(ReadinessCode, FileError)> {
        if let Some(file) = &self.authority
            && let Err(error) = authority::check(file).await
        {
            return Some((ReadinessCode::NatsAuthorityUnusable, error));
        }
        let credentials = self.credentials.as_ref()?;
        let error = credentials.check().await.err()?;
        Some((ReadinessCode::NatsCredentialsUnusable, error))
    }
}

/// The API level of JetStream, as soon as there is one.
async fn wait_for_jetstream(chassis: &Chassis, bus: &Bus, link: &Link) -> anyhow::Result<u64> {
    let mut reminder = tokio::time::interval(REMINDER);
    reminder.tick().await;
    let mut connections = bus.connections();
    loop {
        if bus.is_connected() {
            match api_level(bus).await {
                Ok(level) => return Ok(level),
                Err(error) => {
                    let trouble = format!("connected to {}, but {error:#}", link.urls);
                    link.found_useless(ReadinessCode::JetStreamUnavailable, trouble);
                }
            }
        }
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(250)) => (),
            Ok(()) = connections.changed() => (),
            _ = reminder.tick() => tracing::warn!(nats = link.urls, error = link.trouble(), "Waiting for NATS"),
            () = chassis.stop.cancelled() => bail!("stopped while waiting for NATS: {}", link.trouble()),
        }
    }
}

async fn api_level(bus: &Bus) -> anyhow::Result<u64> {
    let request = bus.client.request("$JS.API.INFO", bytes::Bytes::new());
    let answer = tokio::time::timeout(Duration::from_secs(2), request)
        .await
        .context("JetStream does not answer: may this user ask for $JS.API.INFO, and subscribe to its inbox?")?
        .context("JetStream does not answer: is it enabled on the server (-js), and for this account?")?;
    let info: serde_json::Value = serde_json::from_slice(&answer.payload).context("JetStream's answer is not JSON")?;
    if let Some(error) = info.get("error") {
        bail!("JetStream refuses: {error}");
    }
    // Servers before 2.11 do not tell a level.
    Ok(info
        .pointer("/api/level")
        .and_then(serde_json::Value::as_u64)
        .unwrap_or(0))
}
