//! Setting up JetStream: streams and durable consumers, created if missing or only verified.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context as _, bail};
use async_nats::jetstream::consumer::{self, AckPolicy, DeliverPolicy, PullConsumer, pull};
use async_nats::jetstream::context::{CreateStreamError, CreateStreamErrorKind, GetStreamErrorKind};
use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy, Stream};
use bellwether_proto::readiness::{Part, ReadinessCode};
use bellwether_proto::setting;
use bellwether_proto::stream::{
    CONSUMERS, ConsumerDefinition, ConsumerStart, EVENTS_STREAM, Retention, STREAMS, StreamDefinition,
};
use jiff::Timestamp;

use crate::args::{RetentionArgs, StreamArgs};
use crate::backoff::Backoff;
use crate::bus::Bus;
use crate::retry::Retry;
use crate::runtime::Chassis;

const NOT_FOUND: u64 = 10059;

/// The server's codes for a stream that reserves more than its storage, or the account's limits, have left.
const NO_ROOM: [u64; 3] = [10002, 10047, 10122];

/// Deliveries of one message.
const UNLIMITED: i64 = -1;

/// Makes sure that every stream of the contract is there and as defined where correctness rests on it,
/// and that every durable consumer is there and hands out what its reader acts on. A consumer whose reader chooses its start is left to that reader.
///
/// # Errors
/// Names the stream and field that differ, or what the server refused.
pub async fn ensure(bus: &Bus, args: &StreamArgs) -> anyhow::Result<()> {
    for definition in &STREAMS {
        let stream = ensure_stream(bus, definition, args)
            .await
            .with_context(|| format!("stream {}", definition.name))?;
        for consumer in CONSUMERS.iter().filter(|consumer| consumer.stream == definition.name) {
            let start = match consumer.start {
                ConsumerStart::Oldest => DeliverPolicy::All,
                ConsumerStart::Reader if args.manage_streams => continue,
                // Not created here, only verified.
                ConsumerStart::Reader => DeliverPolicy::All,
                // No service waits for it but its reader.
                ConsumerStart::Next => continue,
            };
            ensure_consumer(&stream, consumer, args, start).await?;
        }
    }
    Ok(())
}

/// Makes sure that a durable consumer is there; one that is created starts with the messages that were stored at
/// this time or later.
///
/// # Errors
/// The stream or the consumer is missing and may not be created, or the server refused or did not answer.
pub async fn ensure_consumer_since(
    bus: &Bus,
    definition: &ConsumerDefinition,
    args: &StreamArgs,
    since: Timestamp,
) -> anyhow::Result<()> {
    let stream = bus.jetstream.get_stream_no_info(definition.stream).await?;
    let start = DeliverPolicy::ByStartTime {
        start_time: std::time::SystemTime::from(since).into(),
    };
    ensure_consumer(&stream, definition, args, start).await.map(drop)
}

/// Messages of a durable consumer that are not acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiting {
    /// Those that it has not handed out yet.
    pub pending: u64,
    /// Those that are under way, over all replicas.
    pub unacknowledged: u64,
}

impl Waiting {
    /// All of them.
    #[must_use]
    pub fn all(self) -> u64 {
        self.pending.saturating_add(self.unacknowledged)
    }
}

/// How many messages of a durable consumer are not acknowledged.
///
/// # Errors
/// The stream or the consumer is not there, or the server did not answer.
pub async fn waiting(bus: &Bus, definition: &ConsumerDefinition) -> anyhow::Result<Waiting> {
    let stream = bus.jetstream.get_stream_no_info(definition.stream).await?;
    let found: PullConsumer = stream
        .get_consumer(definition.name)
        .await
        .map_err(|error| anyhow::anyhow!(error))?;
    let info = found.cached_info();
    Ok(Waiting {
        pending: info.num_pending,
        unacknowledged: u64::try_from(info.num_ack_pending)?,
    })
}

/// A scrape comes no more often, and one request costs the server nothing.
const WAITING_INTERVAL: Duration = Duration::from_secs(10);

/// Has the metrics show how many messages of a consumer are not acknowledged, for ever. Beside its reader, which may hang.
pub(crate) async fn observe_waiting(bus: &Bus, definition: &ConsumerDefinition) {
    loop {
        match waiting(bus, definition).await {
            Ok(found) => bus.lag.stated(definition, found.pending, found.unacknowledged),
            Err(error) => {
                let (consumer, error) = (definition.name, format!("{error:#}"));
                tracing::debug!(consumer, error, "Messages of the consumer not counted");
                bus.lag.forget(definition);
            }
        }
        tokio::time::sleep(WAITING_INTERVAL).await;
    }
}

/// How long to wait at most before a consumer is tried again that only its reader waits for.
const OFFER: Backoff = Backoff::up_to(Duration::from_secs(60));

/// Creates a durable consumer that nothing in this service waits for, after each new connection again, since NATS may
/// have lost its state. Without `--manage-streams` it does nothing. Runs until the service stops.
///
/// # Errors
/// None: each fault is logged, and tried again.
pub async fn offer(
    chassis: Chassis,
    bus: Bus,
    definition: &'static ConsumerDefinition,
    args: StreamArgs,
) -> anyhow::Result<()> {
    let mut connections = bus.connections();
    let mut retry = Retry::with("create the consumer of an optional service", OFFER);
    let offering = async {
        loop {
            let offered = async {
                let stream = bus.jetstream.get_stream_no_info(definition.stream).await?;
                ensure_consumer(&stream, definition, &args, DeliverPolicy::New).await
            };
            match offered.await {
                Err(error) => tokio::time::sleep(retry.failed(error.as_ref())).await,
                Ok(_) => {
                    retry.worked();
                    if connections.changed().await.is_err() {
                        return;
                    }
                }
            }
        }
    };
    if args.manage_streams {
        tokio::select! {
            () = offering => (),
            () = chassis.stop.cancelled() => (),
        }
    }
    chassis.stop.cancelled().await;
    Ok(())
}

/// Waits until a consumer is there that another service creates, and reports in `/readyz` and in the log what is in the
/// way. False: the service has to stop.
pub async fn await_consumer(chassis: &Chassis, bus: &Bus, definition: &ConsumerDefinition) -> bool {
    let verified_only = StreamArgs {
        manage_streams: false,
        stream_replicas: 1,
        retention: RetentionArgs::DEFAULT,
    };
    until_ready(chassis, "wait for the consumer", async || {
        let stream = bus.jetstream.get_stream_no_info(definition.stream).await?;
        ensure_consumer(&stream, definition, &verified_only, DeliverPolicy::New)
            .await
            .map(drop)
    })
    .await
}

/// How long to wait at most before JetStream is tried again: whoever sets it up by hand sees the
/// service ready within seconds.
const SET_UP: Backoff = Backoff::up_to(Duration::from_secs(2));

/// Waits until JetStream is set up, however long that takes, and reports in `/readyz` and in the log
/// what is in the way. False: the service has to stop.
///
/// It waits for every fault, also for a stream that differs: an operator changes the stream, not the service.
pub async fn set_up(chassis: &Chassis, bus: &Bus, args: &StreamArgs) -> bool {
    until_ready(chassis, "set up JetStream", async || ensure(bus, args).await).await
}

/// Tries until it works, and shows each fault. False: the service has to stop.
async fn until_ready(chassis: &Chassis, what: &'static str, attempt: impl AsyncFn() -> anyhow::Result<()>) -> bool {
    let mut retry = Retry::with(what, SET_UP);
    while let Err(error) = attempt().await {
        chassis
            .health
            .not_ready(ReadinessCode::StreamsNotSetUp, format!("{error:#}"));
        if !chassis.sleep(retry.failed(error.as_ref())).await {
            return false;
        }
    }
    retry.worked();
    chassis.health.ready(Part::Streams);
    true
}

async fn ensure_stream(bus: &Bus, definition: &StreamDefinition, args: &StreamArgs) -> anyhow::Result<Stream> {
    let wanted = stream_config(definition, args);
    let stream = match bus.jetstream.get_stream(definition.name).await {
        Ok(stream) => stream,
        Err(error) => {
            let missing =
                matches!(error.kind(), GetStreamErrorKind::JetStream(ref cause) if cause.error_code().0 == NOT_FOUND);
            if !missing {
                return Err(error.into());
            }
            if !args.manage_streams {
                bail!("is missing, and --manage-streams=false forbids to create it");
            }
            tracing::info!(
                stream = definition.name,
                replicas = args.stream_replicas,
                "Stream created"
            );
            bus.jetstream
                .get_or_create_stream(wanted.clone())
                .await
                .map_err(|error| not_created(error, definition, &wanted))?
        }
    };
    verify(&stream.cached_info().config, &wanted, definition.newest_counts())?;
    Ok(stream)
}

/// A stream reserves what it may keep, so one that JetStream has no room for is refused at once: a matter of two settings.
fn not_created(error: CreateStreamError, definition: &StreamDefinition, wanted: &Config) -> anyhow::Error {
    let has_no_room = matches!(
        error.kind(),
        CreateStreamErrorKind::JetStream(ref cause) if NO_ROOM.contains(&cause.error_code().0)
    );
    let remedy = if !has_no_room {
        String::new()
    } else if definition.name == EVENTS_STREAM.name {
        format!(
            ", which reserves {} MiB: lower {}, or raise `max_file_store` of the NATS servers, or the account's limit",
            wanted.max_bytes.div_euclid(1 << 20),
            setting::EVENTS_MAX_BYTES,
        )
    } else {
        ": raise `max_file_store` of the NATS servers, or the account's limit".to_owned()
    };
    anyhow::Error::new(error).context(format!("create it{remedy}"))
}

/// The fields of a stream or consumer that differ from the contract, each with what it has to be.
#[derive(Debug, Default)]
struct Differences(Vec<String>);

impl Differences {
    fn check(&mut self, field: &str, found: String, wanted: String) {
        if found != wanted {
            self.0.push(format!("{field} is {found}, has to be {wanted}"));
        }
    }

    /// All of them in one line; none if there are none.
    fn text(&self) -> Option<String> {
        (!self.0.is_empty()).then(|| self.0.join("; "))
    }
}

/// What correctness rests on; sizes, ages and replicas are the operator's to change.
fn verify(found: &Config, wanted: &Config, newest_counts: bool) -> anyhow::Result<()> {
    let mut differences = Differences::default();
    differences.check(
        "subjects",
        format!("{:?}", found.subjects),
        format!("{:?}", wanted.subjects),
    );
    differences.check(
        "retention",
        format!("{:?}", found.retention),
        format!("{:?}", wanted.retention),
    );
    differences.check(
        "discard",
        format!("{:?}", found.discard),
        format!("{:?}", wanted.discard),
    );
    differences.check(
        "allow_direct",
        found.allow_direct.to_string(),
        wanted.allow_direct.to_string(),
    );
    let is_limited = found.max_messages_per_subject >= 1;
    if newest_counts && (!is_limited || (wanted.max_messages_per_subject == 1 && found.max_messages_per_subject != 1)) {
        differences.check(
            "max_msgs_per_subject",
            found.max_messages_per_subject.to_string(),
            wanted.max_messages_per_subject.to_string(),
        );
    }
    match differences.text() {
        None => Ok(()),
        Some(differences) => {
            bail!("{differences}: change it with `nats stream edit`, or delete it if it holds nothing of worth")
        }
    }
}

fn stream_config(definition: &StreamDefinition, args: &StreamArgs) -> Config {
    let mut definition = *definition;
    if definition.name == EVENTS_STREAM.name {
        definition.max_age = Some(args.retention.events_max_age);
        definition.max_bytes = Some(args.retention.events_max_bytes);
        definition.per_subject = Some(args.retention.events_per_node);
    }
    Config {
        name: definition.name.to_owned(),
        description: Some(definition.description.to_owned()),
        subjects: definition
            .subjects
            .iter()
            .map(|subject| (*subject).to_owned())
            .collect(),
        retention: match definition.retention {
            Retention::Limits => RetentionPolicy::Limits,
            Retention::WorkQueue => RetentionPolicy::WorkQueue,
        },
        discard: DiscardPolicy::Old,
        max_messages_per_subject: definition.per_subject.unwrap_or(-1),
        max_messages: -1,
        max_bytes: definition.max_bytes.unwrap_or(-1),
        max_age: definition.max_age.unwrap_or(Duration::ZERO),
        duplicate_window: definition.duplicate_window,
        num_replicas: usize::from(args.stream_replicas),
        allow_rollup: definition.rollup,
        // Direct reads are how agents read a record without a consumer.
        allow_direct: true,
        ..Config::default()
    }
}

async fn ensure_consumer<I>(
    stream: &Stream<I>,
    definition: &ConsumerDefinition,
    args: &StreamArgs,
    start: DeliverPolicy,
) -> anyhow::Result<PullConsumer> {
    let named = || format!("consumer {} of stream {}", definition.name, definition.stream);
    if !args.manage_streams {
        let found: PullConsumer = stream.get_consumer(definition.name).await.map_err(|error| {
            let missing = "is missing, and --manage-streams=false forbids to create it";
            anyhow::anyhow!(error).context(missing).context(named())
        })?;
        if let Some(differences) = differences(&found.cached_info().config, definition) {
            let remedy = "--manage-streams=false forbids to change it: do so with `nats consumer edit`";
            return Err(anyhow::anyhow!("{differences}; {remedy}").context(named()));
        }
        return Ok(found);
    }
    let config = pull::Config {
        durable_name: Some(definition.name.to_owned()),
        description: Some(definition.description.to_owned()),
        filter_subjects: definition.filters.iter().map(|filter| (*filter).to_owned()).collect(),
        deliver_policy: start,
        ack_policy: AckPolicy::Explicit,
        ack_wait: definition.ack_wait,
        max_ack_pending: definition.max_ack_pending,
        // What limits redelivery is the message itself: its record moves on, or its time is over.
        max_deliver: UNLIMITED,
        ..pull::Config::default()
    };
    let found = stream
        .get_or_create_consumer(definition.name, config.clone())
        .await
        .with_context(named)?;
    let found_config = &found.cached_info().config;
    let Some(differences) = differences(found_config, definition) else {
        return Ok(found);
    };
    // Else a version that reads a new kind of event would never get one from the consumer of the version before.
    tracing::info!(
        consumer = definition.name,
        differences,
        "Consumer is of another version, it is changed"
    );
    let changed = pull::Config {
        deliver_policy: found_config.deliver_policy,
        ..config
    };
    stream
        .update_consumer(changed)
        .await
        .with_context(|| format!("change it: {differences}"))
        .with_context(named)
}

/// What correctness rests on; waits and numbers are the operator's to change.
fn differences(found: &consumer::Config, wanted: &ConsumerDefinition) -> Option<String> {
    let mut differences = Differences::default();
    // The server keeps a single filter in a field of its own.
    let single = Some(found.filter_subject.as_str()).filter(|filter| !filter.is_empty());
    let filters: BTreeSet<&str> = found.filter_subjects.iter().map(String::as_str).chain(single).collect();
    let wanted: BTreeSet<&str> = wanted.filters.iter().copied().collect();
    differences.check("filter_subjects", format!("{filters:?}"), format!("{wanted:?}"));
    let [found_policy, wanted_policy] = [found.ack_policy, AckPolicy::Explicit].map(|policy| format!("{policy:?}"));
    differences.check("ack_policy", found_policy, wanted_policy);
    differences.check("max_deliver", found.max_deliver.to_string(), UNLIMITED.to_string());
    differences.text()
}
