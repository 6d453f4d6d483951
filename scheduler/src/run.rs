//! From start to stop: connects, joins the election, and leads whenever this replica holds the Lease.

use std::time::Duration;

use anyhow::Context as _;
use bellwether_chassis::{Backoff, Chassis, chain, clock, nats, stream};
use bellwether_proto::readiness::{Part, ReadinessCode};
use bellwether_proto::stream::NOTIFIER_CONSUMER;
use tokio::sync::Mutex;

use crate::api::handle::ApiHandle;
use crate::api::service;
use crate::args::Args;
use crate::cluster::client;
use crate::cluster::lease::{self, Leadership};
use crate::cluster::node_conditions::NodeConditionWriter;
use crate::cluster::node_events::NodeEventWriter;
use crate::cluster::record_keys::KeyKeeper;
use crate::error::{NotLoaded, Refusal};
use crate::lead::{Kept, LED_WELL, LeaderContext, OwnNode, OwnNodeDrains};
use crate::observe::metrics::Metrics;
use crate::observe::recorder::Recorder;

/// How long a leader waits after an error before it loads the records again.
const RELOAD: Backoff = Backoff::between(Duration::from_secs(1), Duration::from_secs(5));

/// How long JetStream may take to be as this replica needs it. With NATS within reach this takes milliseconds; a
/// server that restarts, or a vote among three, takes seconds.
const SET_UP_TIMEOUT: Duration = Duration::from_secs(5);

/// After so many failed loads in a row this replica leaves the Lease to the others: after 7 s if NATS refuses at
/// once, after 30 s if NATS does not answer. That is longer than a server's restart or a vote among three takes,
/// and a standby with a better way to NATS would have led for long.
const FAILED_LOADS_MAX: u32 = 4;

pub(crate) async fn run(chassis: Chassis, args: Args) -> anyhow::Result<()> {
    let policy = args.policy.policy()?;
    let metrics = Metrics::register(&chassis, args.kured_metric);
    let recorder = Recorder::start(args.record_inputs.as_deref(), &args.identity)?;
    let listener = service::bind(args.api_address).await?;
    let bus = nats::connect(&chassis, &args.chassis, None).await?;
    // Serve the API from startup, even before a replica leads.
    let api = ApiHandle::default();
    chassis.spawn(
        "api",
        service::serve(listener, api.clone(), bus.clone(), chassis.stop.clone()),
    );
    if !stream::set_up(&chassis, &bus, &args.streams).await {
        return Ok(());
    }
    let offered = stream::offer(chassis.clone(), bus.clone(), &NOTIFIER_CONSUMER, args.streams.clone());
    chassis.spawn("consumer of the notifier", offered);
    let client = client::connect(&chassis).await?;
    let mut leadership = lease::join(
        &chassis,
        client.clone(),
        &args.namespace,
        &args.identity,
        args.lease_duration,
    )
    .await?;
    let record_keys = KeyKeeper::new(
        &client,
        [&args.namespace, &args.agents_namespace],
        args.record_keys.lifetime()?,
        args.record_keys.notice(),
        chassis.health.clone(),
    );
    let context = LeaderContext {
        record_keys: Mutex::new(record_keys),
        keys_interval: args.record_keys.interval(),
        node_events: NodeEventWriter::new(client.clone(), args.identity.clone(), metrics.clone()),
        node_conditions: NodeConditionWriter::new(client.clone(), metrics.clone()),
        chassis: chassis.clone(),
        bus,
        client,
        api,
        metrics,
        policy,
        agents_namespace: args.agents_namespace,
        source: format!("scheduler {} ({})", chassis.service.version, args.identity),
        streams: args.streams,
        gate_secrets: args.gate_secrets,
        own_node: OwnNode::new(args.node_name, args.namespace),
    };
    // A standby that watches the Lease takes it at once; one whose watch is silent, when it ends by its count.
    let turn_of_others = Duration::try_from(args.lease_duration).context("--lease-duration")?;
    let mut turns = Turns {
        context: &context,
        recorder,
        kept: Kept::default(),
        set_up: true,
    };
    while !chassis.stop.is_cancelled() {
        turns.wait(&mut leadership).await?;
        if chassis.stop.is_cancelled() {
            break;
        }
        tracing::info!(identity = args.identity, "Leading");
        let ended = tokio::select! {
            // In this order: a process that was stopped for longer than its Lease lasts does not act on it.
            biased;
            () = leadership.lost() => Ok(()),
            () = chassis.stop.cancelled() => Ok(()),
            ended = turns.lead() => ended,
        };
        // A standby watches nothing.
        turns.kept = Kept::default();
        match ended {
            Ok(()) => {
                context.step_down(Refusal::NotLeading);
                tracing::info!("Not leading any more");
            }
            Err(error) if error.is::<OwnNodeDrains>() => {
                tracing::info!(
                    reason = chain(error.as_ref()),
                    "Releases the Lease: another replica has the next turn"
                );
                leadership.step_aside(turn_of_others).await;
            }
            Err(error) => {
                tracing::error!(
                    error = chain(error.as_ref()),
                    seconds = turn_of_others.as_secs(),
                    "Releases the Lease: the others have the next turn"
                );
                leadership.step_aside(turn_of_others).await;
            }
        }
    }
    leadership.leave().await;
    Ok(())
}

/// This replica's turns of leading.
struct Turns<'a> {
    context: &'a LeaderContext,
    recorder: Recorder,
    kept: Kept,
    /// JetStream was as this replica needs it at the last look.
    set_up: bool,
}

impl Turns<'_> {
    /// Waits until this replica leads, or the service has to stop. While another one leads, it keeps setting up
    /// JetStream if that failed, so that `/readyz` shows the present and not the turn before.
    async fn wait(&mut self, leadership: &mut Leadership) -> anyhow::Result<()> {
        let context = self.context;
        let set_up = async {
            if self.set_up {
                std::future::pending::<()>().await;
            }
            self.set_up = stream::set_up(&context.chassis, &context.bus, &context.streams).await;
            context.step_down(Refusal::NotLeading);
            std::future::pending::<()>().await;
        };
        tokio::select! {
            gained = leadership.gained() => gained,
            () = context.chassis.stop.cancelled() => Ok(()),
            () = set_up => Ok(()),
        }
    }

    /// Leads, and loads the records again after each error.
    ///
    /// # Errors
    /// Another replica has to lead: the records could not be loaded so often that it may do better, or this replica's node is
    /// being drained.
    async fn lead(&mut self) -> anyhow::Result<()> {
        let context = self.context;
        let mut reload = RELOAD;
        let mut failed_loads = 0;
        while !context.chassis.stop.is_cancelled() {
            let began = clock::now();
            let Err(error) = self.lead_once().await else {
                return Ok(());
            };
            if error.is::<OwnNodeDrains>() {
                context.step_down(Refusal::NotLeading);
                return Err(error);
            }
            context.step_down(Refusal::CannotLead(chain(error.as_ref())));
            context.metrics.reloaded();
            failed_loads = if error.is::<NotLoaded>() { failed_loads + 1 } else { 0 };
            if failed_loads >= FAILED_LOADS_MAX {
                return Err(error);
            }
            tracing::warn!(error = chain(error.as_ref()), "Leader reloads its records");
            if clock::now().duration_since(began) > LED_WELL {
                reload.reset();
            }
            context.chassis.sleep(reload.after_failure()).await;
        }
        Ok(())
    }

    /// Leads until an error, once JetStream is as this replica needs it: NATS may have lost its state, or an
    /// operator may have changed a stream, since this replica set it up.
    async fn lead_once(&mut self) -> anyhow::Result<()> {
        let Self { context, .. } = *self;
        self.set_up = false;
        let set_up = stream::ensure(&context.bus, &context.streams);
        let set_up = tokio::time::timeout(SET_UP_TIMEOUT, set_up).await;
        let set_up = set_up.unwrap_or_else(|_| Err(anyhow::anyhow!("JetStream does not answer")));
        if let Err(error) = set_up {
            context
                .chassis
                .health
                .not_ready(ReadinessCode::StreamsNotSetUp, format!("{error:#}"));
            return Err(error.context("set up JetStream").context(NotLoaded));
        }
        context.chassis.health.ready(Part::Streams);
        self.set_up = true;
        // Boxed: the largest part of this replica's future.
        Box::pin(context.lead(&mut self.recorder, &mut self.kept)).await
    }
}
