//! Connecting to NATS: for ever, saying what it waits for, and refusing servers that are too old.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, bail};
use async_nats::{ClientError, ConnectOptions, Event};
use bellwether_proto::readiness::{Part, ReadinessCode};
use tokio::sync::watch;

use crate::admin::Health;
use crate::args::ChassisArgs;
use crate::backoff::Backoff;
use crate::bus::Bus;
use crate::runtime::Chassis;

/// JetStream's API level of NATS 2.11, the oldest version whose options do what they say.
const API_LEVEL_MIN: u64 = 1;

/// How often the log repeats that the service still waits.
const REMINDER: Duration = Duration::from_secs(10);

/// How often an idle connection is tried. The client gives a connection up at the third interval without an answer:
/// twelve seconds. Ten thousand agents cost a server 2,500 pings a second, well below a hundredth of its time.
const PING_INTERVAL: Duration = Duration::from_secs(4);

/// Waits between two tries to connect: short enough that a reboot of the NATS server's own node
/// costs seconds, long enough that thousands of agents do not drown a server that starts.
const RECONNECT: Backoff = Backoff::between(Duration::from_millis(100), Duration::from_secs(5));

/// Connects, and waits for as long as it takes.
///
/// # Errors
/// The server is older than NATS 2.11, an address holds a user or password, or a file of credentials,
/// password or certificates cannot be read.
pub async fn connect(chassis: &Chassis, args: &ChassisArgs) -> anyhow::Result<Bus> {
    let link = Arc::new(Link::new(chassis.health.clone(), &args.nats_url));
    // The client would ignore them, and whoever NATS lets in without a name would not notice.
    if args.nats_url.iter().any(|url| url.contains('@')) {
        bail!(
            "--nats-url holds a user, a password or a token, which all may read who see the settings: leave it at {} \
             and give the user by --nats-user and --nats-password, or by --nats-credentials",
            link.urls
        );
    }
    let heard = Arc::clone(&link);
    let (connected, connections) = watch::channel(0);
    let mut options = ConnectOptions::new()
        .name(format!("bellwether-{}", chassis.service.name))
        .retry_on_initial_connect()
        .max_reconnects(None)
        // A server whose machine lost its power closes no connection.
        .ping_interval(PING_INTERVAL)
        .reconnect_delay_callback(|tries| RECONNECT.after(u32::try_from(tries).unwrap_or(u32::MAX)))
        .event_callback(move |event| {
            heard.report(&event);
            if matches!(event, Event::Connected) {
                connected.send_modify(|times| *times += 1);
            }
            std::future::ready(())
        });
    if let Some(file) = &args.nats_credentials {
        options = options
            .credentials_file(file)
            .await
            .with_context(|| format!("read --nats-credentials {}", file.display()))?;
    }
    if let (Some(user), Some(file)) = (&args.nats_user, &args.nats_password) {
        let password = tokio::fs::read_to_string(file)
            .await
            .with_context(|| format!("read --nats-password {}", file.display()))?;
        // Editors and `echo` end a file with a new line, which no password does.
        let password = password.trim_end_matches(['\r', '\n']);
        options = options.user_and_password(user.clone(), password.to_owned());
    }
    if let Some(file) = &args.nats_ca {
        std::fs::metadata(file).with_context(|| format!("read --nats-ca {}", file.display()))?;
        options = options.add_root_certificates(file.clone());
    }
    let client = options
        .connect(args.nats_url.as_slice())
        .await
        .with_context(|| format!("--nats-url {}", link.urls))?;
    let bus = Bus::new(client, connections, chassis.health.clone());
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

/// The API level of JetStream, as soon as there is one.
async fn wait_for_jetstream(chassis: &Chassis, bus: &Bus, link: &Link) -> anyhow::Result<u64> {
    let mut reminder = tokio::time::interval(REMINDER);
    reminder.tick().await;
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
            _ = reminder.tick() => tracing::warn!(nats = link.urls, error = link.trouble(), "Waiting for NATS"),
            () = chassis.stop.cancelled() => bail!("stopped while waiting for NATS: {}", link.trouble()),
        }
    }
}

async fn api_level(bus: &Bus) -> anyhow::Result<u64> {
    let request = bus.client.request("$JS.API.INFO", bytes::Bytes::new());
    let answer = tokio::time::timeout(Duration::from_secs(2), request)
        .await
        .context("JetStream does not answer: may this user ask for $JS.API.INFO?")?
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

/// The state of the connection to NATS, as `/readyz` and the log show it.
#[derive(Debug)]
struct Link {
    health: Health,
    /// Where to, as it may be shown.
    urls: String,
    encrypted: bool,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// JetStream has answered once: from then on a connection is enough.
    of_use: bool,
    /// What is in the way; meaningless while nothing is.
    trouble: String,
}

impl Link {
    fn new(health: Health, urls: &[String]) -> Self {
        let urls = shown(urls);
        let trouble = format!("not connected to {urls}: is the server running, and does --nats-url name it?");
        health.not_ready(ReadinessCode::NatsUnreachable, trouble.clone());
        Self {
            health,
            encrypted: urls.contains("tls://"),
            urls,
            state: Mutex::new(State { of_use: false, trouble }),
        }
    }

    fn trouble(&self) -> String {
        self.locked().trouble.clone()
    }

    fn found_useful(&self, connected: bool) {
        self.locked().of_use = true;
        // If the connection was lost meanwhile, the next one marks the part as ready.
        if connected {
            self.health.ready(Part::Nats);
        }
    }

    fn found_useless(&self, code: ReadinessCode, why: String) {
        self.health.not_ready(code, why.clone());
        self.locked().trouble = why;
    }

    fn report(&self, event: &Event) {
        match event {
            Event::Connected => {
                if self.locked().of_use {
                    self.health.ready(Part::Nats);
                }
                tracing::info!("Connected to NATS");
            }
            Event::Disconnected | Event::Closed => {
                let lost = format!("connection to {} lost", self.urls);
                self.found_useless(ReadinessCode::NatsConnectionLost, lost);
                tracing::warn!("Connection to NATS lost");
            }
            // A refused publish shows up only here; the publisher sees a time-out.
            Event::ServerError(error) => tracing::warn!(%error, "NATS server refuses"),
            // It could not connect; it tries again and again.
            Event::ClientError(error) => {
                let (code, explained) = explained(error, self.encrypted);
                let why = format!("not connected to {}: {explained}", self.urls);
                if self.trouble() != why {
                    tracing::warn!(error = why, code = code.as_str(), "No connection to NATS");
                    self.found_useless(code, why);
                }
            }
            Event::SlowConsumer(subscription) => tracing::warn!(subscription, "NATS messages were dropped"),
            Event::LameDuckMode | Event::Draining => tracing::info!(%event, "NATS connection"),
        }
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Addresses without the user and password that they may carry: `/readyz` and the log show them.
fn shown(urls: &[String]) -> String {
    let bare = |url: &String| match url.split_once("://") {
        Some((scheme, rest)) => format!("{scheme}://{}", rest.rsplit('@').next().unwrap_or_default()),
        None => url.rsplit('@').next().unwrap_or_default().to_owned(),
    };
    urls.iter().map(bare).collect::<Vec<_>>().join(",")
}

/// The code of an error of the client, and its text with what may be wrong. The client gives errors of
/// the connection as text only, and no cause: this is the one place that reads the text.
fn explained(error: &ClientError, encrypted: bool) -> (ReadinessCode, String) {
    let text = error.to_string();
    let text = text.strip_prefix("nats: ").unwrap_or(&text);
    let (code, hint) = match text {
        "authorization violation" => (
            ReadinessCode::NatsAuthRefused,
            "does the server know the user of --nats-credentials, or --nats-user with its password?",
        ),
        "failed signing nonce" => (
            ReadinessCode::NatsAuthRefused,
            "is --nats-credentials a file of credentials, as `nsc` writes it?",
        ),
        "DNS error" => (
            ReadinessCode::NatsUnreachable,
            "does --nats-url name a host that is there?",
        ),
        "IO error" | "TLS error" if encrypted => (
            ReadinessCode::NatsTlsFailed,
            "is the server running, and does --nats-ca hold the authority of its certificate?",
        ),
        "TLS error" => return (ReadinessCode::NatsTlsFailed, text.to_owned()),
        "IO error" | "timed out" => (
            ReadinessCode::NatsUnreachable,
            "is the server running, and does --nats-url name it?",
        ),
        _ => return (ReadinessCode::NatsUnreachable, text.to_owned()),
    };
    (code, format!("{text}: {hint}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_without_its_user_and_password() {
        let urls = ["nats://anna:p@ss@nats-0:4222", "tls://nats-1:4222", "token@nats-2"].map(str::to_owned);
        assert_eq!(shown(&urls), "nats://nats-0:4222,tls://nats-1:4222,nats-2");
    }

    #[test]
    fn what_may_be_wrong_is_said_with_what_the_client_says() {
        use ReadinessCode::{NatsAuthRefused, NatsTlsFailed, NatsUnreachable};
        for (error, encrypted, code, named) in [
            ("authorization violation", false, NatsAuthRefused, "--nats-credentials"),
            ("failed signing nonce", false, NatsAuthRefused, "--nats-credentials"),
            ("DNS error", false, NatsUnreachable, "--nats-url"),
            ("IO error", false, NatsUnreachable, "--nats-url"),
            ("IO error", true, NatsTlsFailed, "--nats-ca"),
            ("TLS error", true, NatsTlsFailed, "--nats-ca"),
        ] {
            let (found, text) = explained(&ClientError::Other(error.to_owned()), encrypted);
            assert_eq!(found, code, "{error}");
            assert!(text.starts_with(error) && text.contains(named), "{text}");
        }
        let other = explained(&ClientError::MaxReconnects, false);
        assert_eq!(other, (NatsUnreachable, "max reconnects reached".to_owned()));
    }
}
