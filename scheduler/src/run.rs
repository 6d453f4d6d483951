//! From start to stop: connects, joins the election, and leads whenever this replica holds the Lease.

use std::time::Duration;

use bellwether_chassis::{Backoff, Chassis, clock, nats, stream};
use jiff::SignedDuration;

use crate::api::handle::ApiHandle;
use crate::api::service;
use crate::args::Args;
use crate::cluster::client;
use crate::cluster::lease::{self, Leadership};
use crate::lead::LeaderContext;
use crate::observe::metrics::Metrics;
use crate::observe::recorder::Recorder;

/// How long a leader waits after an error before it loads the records again.
const RELOAD: Backoff = Backoff::between(Duration::from_secs(1), Duration::from_secs(5));

/// After leading for so long, an error is the first of a new series.
const LED_WELL: SignedDuration = SignedDuration::from_mins(1);

pub(crate) async fn run(chassis: Chassis, args: Args) -> anyhow::Result<()> {
    let policy = args.policy.policy()?;
    let metrics = chassis.metrics(Metrics::register);
    let recorder = Recorder::start(args.record_inputs.as_deref(), &args.identity)?;
    let listener = service::bind(args.api_address).await?;
    let bus = nats::connect(&chassis, &args.chassis).await?;
    // Serve the API from startup, even before a replica leads.
    let api = ApiHandle::default();
    chassis.spawn(
        "api",
        service::serve(listener, api.clone(), bus.clone(), chassis.stop.clone()),
    );
    if !stream::set_up(&chassis, &bus, &args.streams).await {
        return Ok(());
    }
    let client = client::connect(&chassis).await?;
    let mut leadership = lease::join(
        &chassis,
        client.clone(),
        &args.namespace,
        &args.identity,
        args.lease_duration,
    )
    .await?;
    let context = LeaderContext {
        chassis: chassis.clone(),
        bus,
        client,
        api,
        metrics,
        policy,
        agents_namespace: args.agents_namespace,
        source: format!("scheduler {} ({})", chassis.service.version, args.identity),
        streams: args.streams,
    };
    lead_in_turn(&context, recorder, &mut leadership, &args.identity).await?;
    leadership.leave().await;
    Ok(())
}

/// Leads while this replica holds the Lease, until the service has to stop.
async fn lead_in_turn(
    context: &LeaderContext,
    mut recorder: Recorder,
    leadership: &mut Leadership,
    identity: &str,
) -> anyhow::Result<()> {
    let chassis = &context.chassis;
    let mut reload = RELOAD;
    while !chassis.stop.is_cancelled() {
        tokio::select! {
            gained = leadership.gained() => gained?,
            () = chassis.stop.cancelled() => continue,
        }
        tracing::info!(identity, "Leading");
        let began = clock::now();
        let ended = tokio::select! {
            // In this order: a process that was stopped for longer than its Lease lasts does not act on it.
            biased;
            () = leadership.lost() => Ok(()),
            () = chassis.stop.cancelled() => Ok(()),
            ended = lead(context, &mut recorder) => ended,
        };
        context.step_down();
        let Err(error) = ended else {
            tracing::info!("Not leading any more");
            continue;
        };
        context.metrics.reloaded();
        tracing::warn!(error = format!("{error:#}"), "Leader reloads its records");
        if clock::now().duration_since(began) > LED_WELL {
            reload.reset();
        }
        chassis.sleep(reload.after_failure()).await;
    }
    Ok(())
}

/// Leads until an error, once JetStream is as this replica needs it: NATS may have lost its state, or an
/// operator may have changed a stream, since this replica set it up.
async fn lead(context: &LeaderContext, recorder: &mut Recorder) -> anyhow::Result<()> {
    if !stream::set_up(&context.chassis, &context.bus, &context.streams).await {
        return Ok(());
    }
    context.lead(recorder).await
}
