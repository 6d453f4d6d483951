//! Starts the parts of the service, and receives the events.

use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context as _, bail};
use bellwether_chassis::{Bus, Chassis, RetentionArgs, StreamArgs, clock, consume, nats, stream};
use bellwether_notifier_core::{Form, Office, Settings};
use bellwether_proto::readiness::ReadinessCode;
use bellwether_proto::stream::NOTIFIER_CONSUMER;

use crate::args::Args;
use crate::inbox::Notifier;
use crate::metrics::Metrics;
use crate::newest::Newest;
use crate::post::Post;
use crate::state::StateFile;
use crate::{deliver, http, secret};

/// As many events as the consumer hands out at once: while one target is away, those for the others still come.
const EVENTS_AT_ONCE: usize = 512;

/// One of them is the newest event of the fleet, which is not acknowledged until the next one.
const EVENTS_OF_NODES: usize = EVENTS_AT_ONCE - 1;

const _: () = assert!(EVENTS_AT_ONCE as i64 == NOTIFIER_CONSUMER.max_ack_pending);

/// A longer file is no configuration.
const CONFIG_BYTES_MAX: u64 = 256 * 1024;

/// How often the digests are looked at beside their own time, which each event moves.
const DIGEST_INTERVAL: Duration = Duration::from_secs(30);

/// How soon a digest that waits for events which were not read is looked at again.
const BEHIND_INTERVAL: Duration = Duration::from_secs(1);

/// How soon what is due is looked at again: each look asks NATS once.
const DUE_INTERVAL: Duration = Duration::from_secs(10);

/// Only the schedulers create what is missing; a notifier has no right to.
const VERIFIED_ONLY: StreamArgs = StreamArgs {
    manage_streams: false,
    stream_replicas: 1,
    retention: RetentionArgs::DEFAULT,
};

/// Runs until the service stops.
pub(crate) async fn run(chassis: Chassis, args: &Args) -> anyhow::Result<()> {
    chassis
        .health
        .not_ready(ReadinessCode::StreamsNotSetUp, "JetStream was not looked at yet");
    let settings = configuration(&args.config).with_context(|| format!("--config {}", args.config.display()))?;
    check(&settings)
        .await
        .with_context(|| format!("--config {}", args.config.display()))?;
    let (file, state) = StateFile::open(args.state.as_deref())?;
    let metrics = Metrics::register(&chassis, settings.targets.iter().map(|target| target.name.as_str()));
    let notifier = Arc::new(Notifier {
        chassis: chassis.clone(),
        metrics,
        under_way: AtomicU64::new(0),
        newest: Newest::default(),
        posts: settings.targets.iter().map(|_| Post::default()).collect(),
        office: Mutex::new(Office::new(settings.clone(), state, EVENTS_OF_NODES)),
        state: tokio::sync::Mutex::new((file, 0)),
        settings,
    });
    for place in 0..notifier.settings.targets.len() {
        chassis.spawn("target", deliver::serve(Arc::clone(&notifier), place));
    }
    let bus = nats::connect(&chassis, &args.chassis, None).await?;
    if !stream::await_consumer(&chassis, &bus, &NOTIFIER_CONSUMER).await {
        return Ok(());
    }
    chassis.spawn("digests", digests(Arc::clone(&notifier), bus.clone()));
    tracing::info!(targets = notifier.settings.targets.len(), "Ready for events");
    consume::consume(
        &chassis,
        &bus,
        &VERIFIED_ONLY,
        &NOTIFIER_CONSUMER,
        EVENTS_AT_ONCE,
        move |record| Arc::clone(&notifier).handle(&record),
    )
    .await
}

/// Reads the file with targets and routes.
pub(crate) fn configuration(path: &Path) -> anyhow::Result<Settings> {
    let metadata = std::fs::metadata(path).context("mount the ConfigMap bellwether-notifier")?;
    anyhow::ensure!(metadata.is_file(), "is no file");
    anyhow::ensure!(
        metadata.len() <= CONFIG_BYTES_MAX,
        "is longer than {CONFIG_BYTES_MAX} bytes"
    );
    Ok(Settings::parse(&std::fs::read_to_string(path)?)?)
}

/// Fails unless each file of the configuration can be used now.
async fn check(settings: &Settings) -> anyhow::Result<()> {
    const REMEDY: &str = "mount the Secret that holds this key, and fill the key";
    for target in &settings.targets {
        for file in target.secrets() {
            let content = secret::read(file).await.context(REMEDY)?;
            let is_token = matches!(&target.form, Form::SlackBot { token, .. } if token == file);
            if is_token && ::http::HeaderValue::from_str(&content).is_err() {
                bail!("{file}: the content is no token: fill it with one line of ASCII");
            }
        }
        if let Some(address) = target.address() {
            secret::url(target, address).await?;
        }
        secret::resolved(target).await?;
        http::trust(target).await?;
    }
    Ok(())
}

/// Sends what is due by time alone, once every event is read. The outboxes keep the messages; no event waits for them.
async fn digests(notifier: Arc<Notifier>, bus: Bus) -> anyhow::Result<()> {
    loop {
        let next = notifier.office().poll_timeout();
        let wait = match next {
            Some(due) if due <= clock::now() => {
                let is_behind = notifier.is_behind(&bus).await;
                let mut office = notifier.office();
                let due = office.handle_time(clock::now(), is_behind);
                drop(notifier.placed(&office, due));
                // Until it is delivered it stays due.
                if is_behind { BEHIND_INTERVAL } else { DUE_INTERVAL }
            }
            Some(due) => clock::until(due).min(DIGEST_INTERVAL),
            None => DIGEST_INTERVAL,
        };
        // Never in a circle without a pause.
        if !notifier.chassis.sleep(wait.max(Duration::from_millis(100))).await {
            return Ok(());
        }
    }
}
