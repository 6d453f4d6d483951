//! From start to stop: connect, join the election, lead when it is our turn.

use std::time::Duration;

use anyhow::Context as _;
use bellwether_chassis::{Bus, Chassis, clock, nats, stream};
use kube::Client;

use crate::api::service::{self, ApiHandle};
use crate::args::Args;
use crate::cluster::{lease, watch};
use crate::lead::{self, Lead};
use crate::observe::metrics::Metrics;

/// How often it says what it waits for.
const REMINDER: Duration = Duration::from_secs(10);

/// How long to wait before the records are loaded again after something went wrong: at first,
/// and at most when it goes wrong again and again.
const RELOAD_DELAY: Duration = Duration::from_secs(1);
const RELOAD_DELAY_MAX: Duration = Duration::from_secs(5);

/// After leading for so long, what goes wrong counts as something new.
const LED_WELL: jiff::SignedDuration = jiff::SignedDuration::from_mins(1);

pub(crate) async fn run(chassis: Chassis, args: Args) -> anyhow::Result<()> {
    let policy = args.policy()?;
    let metrics = chassis.metrics(Metrics::register);
    let listener = service::bind(args.api_address).await?;
    let bus = nats::connect(&chassis, &args.chassis).await?;
    set_up_streams(&chassis, &bus, &args).await?;
    // People are answered from the start, be it that nobody leads yet.
    let api = ApiHandle::new(bus.clone());
    chassis.spawn("api", service::serve(listener, api.clone(), chassis.stop.clone()));
    let client = kubernetes(&chassis).await?;

    let mut leadership = lease::join(client.clone(), &args.namespace, &args.identity, args.lease_duration).await?;
    let lead = Lead {
        chassis: chassis.clone(),
        bus,
        client,
        api,
        metrics,
        policy,
        agents_namespace: args.agents_namespace.clone(),
        source: format!("scheduler {} ({})", chassis.service.version, args.identity),
        streams: args.streams.clone(),
    };
    let mut delay = RELOAD_DELAY;
    while !chassis.stop.is_cancelled() {
        if *leadership.leading.borrow_and_update() {
            tracing::info!(identity = args.identity, "Leading");
            let began = clock::now();
            let outcome = tokio::select! {
                outcome = lead::lead(&lead) => outcome,
                () = lost(&mut leadership.leading) => Ok(()),
                () = chassis.stop.cancelled() => Ok(()),
            };
            lead.step_down();
            match outcome {
                Ok(()) => tracing::info!("Not leading any more"),
                Err(error) => {
                    lead.metrics.reloaded();
                    tracing::warn!(error = format!("{error:#}"), "Records are loaded anew");
                    if clock::now().duration_since(began) > LED_WELL {
                        delay = RELOAD_DELAY;
                    }
                    chassis.sleep(delay).await;
                    delay = (delay * 2).min(RELOAD_DELAY_MAX);
                }
            }
        } else {
            tokio::select! {
                changed = leadership.leading.changed() => changed.context("the election ended by itself")?,
                () = chassis.stop.cancelled() => (),
            }
        }
    }
    leadership.release_lease().await;
    Ok(())
}

/// Returns when this replica leads no more.
async fn lost(leading: &mut tokio::sync::watch::Receiver<bool>) {
    // The election's end is the end of leading as well.
    if leading.wait_for(|leading| !leading).await.is_err() {
        tracing::warn!("The election ended by itself");
    }
}

async fn set_up_streams(chassis: &Chassis, bus: &Bus, args: &Args) -> anyhow::Result<()> {
    loop {
        let Err(error) = stream::ensure(bus, &args.streams).await else {
            return Ok(());
        };
        if bus.is_connected() {
            return Err(error.context("set up JetStream"));
        }
        tracing::warn!(error = format!("{error:#}"), "Waiting for NATS");
        if !chassis.sleep(RELOAD_DELAY).await {
            return Ok(());
        }
    }
}

/// A client, as soon as the API server answers and lets us see what we have to. Waits for ever, and says for what.
async fn kubernetes(chassis: &Chassis) -> anyhow::Result<Client> {
    let mut config = kube::Config::infer()
        .await
        .context("find the Kubernetes API server: run in a pod with a service account, or set KUBECONFIG")?;
    // The client would repeat refused requests by itself for minutes, and nobody would know that it is blind.
    config.default_retry = false;
    // A connection whose other end is gone without a word; longer than a watch is silent.
    config.read_timeout = Some(Duration::from_secs(u64::from(watch::WATCH_SECONDS) + 30));
    let address = config.cluster_url.to_string();
    let client = Client::try_from(config).context("set up the Kubernetes client")?;
    let mut reminder = tokio::time::interval(REMINDER);
    chassis
        .health
        .not_ready("kubernetes", format!("{address} has not answered yet"));
    loop {
        let Err(error) = watch::check_access(&client).await else {
            break;
        };
        let error = bellwether_chassis::chain(&error);
        chassis.health.not_ready(
            "kubernetes",
            format!("{address} does not let us watch nodes and DaemonSets: {error}"),
        );
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(500)) => (),
            _ = reminder.tick() => {
                tracing::warn!(server = address, error, "Waiting for the API server to let us watch nodes and DaemonSets");
            }
            () = chassis.stop.cancelled() => anyhow::bail!("stopped while waiting for the API server at {address}"),
        }
    }
    chassis.health.ready("kubernetes");
    Ok(client)
}
