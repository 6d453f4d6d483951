//! Connecting to NATS: for ever, saying what it waits for, and refusing servers that are too old.

use std::time::Duration;

use anyhow::{Context as _, bail};
use async_nats::{ConnectOptions, Event};
use tokio::sync::watch;

use crate::args::ChassisArgs;
use crate::bus::Bus;
use crate::clock;
use crate::runtime::Chassis;

/// JetStream's API level of NATS 2.11, the oldest version whose options do what they say.
const API_LEVEL_MIN: u64 = 1;

/// How often it says that it still waits.
const REMINDER: Duration = Duration::from_secs(10);

/// How often the connection is tried out while nothing is said.
const PING_INTERVAL: Duration = Duration::from_secs(10);

/// Longest wait between two tries to connect: short enough that a reboot of the NATS server's
/// own node costs seconds, long enough that thousands of agents do not drown a server that starts.
const RECONNECT_DELAY_MAX: Duration = Duration::from_secs(5);

/// Connects, and waits for as long as it takes.
///
/// # Errors
/// The server is older than NATS 2.11, or a file of credentials or certificates cannot be read.
pub async fn connect(chassis: &Chassis, args: &ChassisArgs) -> anyhow::Result<Bus> {
    let health = chassis.health.clone();
    let urls = args.nats_url.join(",");
    health.not_ready("nats", format!("not connected to {urls}"));
    let (connected, connections) = watch::channel(0);
    let lost = format!("connection to {urls} lost");
    let mut options = ConnectOptions::new()
        .name(format!("bellwether-{}", chassis.service.name))
        .retry_on_initial_connect()
        .max_reconnects(None)
        // A server whose machine lost its power says nothing; three of these without an answer and it is left.
        .ping_interval(PING_INTERVAL)
        .reconnect_delay_callback(|tries| {
            let delay = Duration::from_millis(100).saturating_mul(1 << tries.min(6));
            clock::jitter(delay.min(RECONNECT_DELAY_MAX))
        })
        .event_callback(move |event| {
            report(&health, &event, &lost);
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
    if let Some(file) = &args.nats_ca {
        std::fs::metadata(file).with_context(|| format!("read --nats-ca {}", file.display()))?;
        options = options.add_root_certificates(file.clone());
    }
    let client = options
        .connect(args.nats_url.as_slice())
        .await
        .with_context(|| format!("--nats-url {urls}"))?;
    let bus = Bus::new(client, connections);
    let level = wait_for_jetstream(chassis, &bus, &urls).await?;
    if level < API_LEVEL_MIN {
        let version = bus.client.server_info().version;
        bail!(
            "NATS server at {urls} is version {version}, at least 2.11 is needed: upgrade it, or point --nats-url elsewhere"
        );
    }
    Ok(bus)
}

/// The API level of JetStream, as soon as there is one.
async fn wait_for_jetstream(chassis: &Chassis, bus: &Bus, urls: &str) -> anyhow::Result<u64> {
    let mut reminder = tokio::time::interval(REMINDER);
    reminder.tick().await;
    loop {
        let why = match api_level(bus).await {
            Ok(level) => return Ok(level),
            Err(error) => error,
        };
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(250)) => (),
            _ = reminder.tick() => tracing::warn!(nats = urls, error = format!("{why:#}"), "Waiting for NATS"),
            () = chassis.stop.cancelled() => bail!("stopped while waiting for NATS at {urls}"),
        }
    }
}

async fn api_level(bus: &Bus) -> anyhow::Result<u64> {
    if !bus.is_connected() {
        bail!("not connected: is the server running, and does --nats-url name it?");
    }
    let request = bus.client.request("$JS.API.INFO", bytes::Bytes::new());
    let answer = tokio::time::timeout(Duration::from_secs(2), request)
        .await
        .context("no answer from JetStream")?
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

fn report(health: &crate::admin::Health, event: &Event, lost: &str) {
    match event {
        Event::Connected => {
            health.ready("nats");
            tracing::info!("Connected to NATS");
        }
        Event::Disconnected | Event::Closed => {
            health.not_ready("nats", lost);
            tracing::warn!("Connection to NATS lost");
        }
        // A refused publish shows up only here; the publisher sees a time-out.
        Event::ServerError(error) => tracing::warn!(%error, "NATS server refuses"),
        Event::ClientError(error) => tracing::debug!(%error, "NATS client"),
        Event::SlowConsumer(subscription) => tracing::warn!(subscription, "NATS messages were dropped"),
        Event::LameDuckMode | Event::Draining => tracing::info!(%event, "NATS connection"),
    }
}
