//! Starts the parts of the service, and receives the commands.

use std::sync::Arc;

use anyhow::Context as _;
use bellwether_chassis::{Chassis, RecordKeyFile, consume, nats, stream};
use bellwether_drainer_core::{DaemonSetKinds, DrainSettings, NodeMarks};
use bellwether_proto::readiness::ReadinessCode;
use bellwether_proto::stream::DRAINERS_CONSUMER;
use tokio::sync::{Semaphore, watch};

use crate::args::Args;
use crate::check::Checks;
use crate::given_back::GivenBack;
use crate::job::{Drainer, InProgress};
use crate::kube::client::Clients;
use crate::kube::rights::{self, Rights};
use crate::kube::{budgets, namespaces, sets, volumes};
use crate::metrics::Metrics;
use crate::places::Places;
use crate::throttle::Throttle;
use crate::tools::Tools;
use crate::turns::Turns;

/// Places besides those of the drains, so that drains that wait for hours never keep a node
/// from being uncordoned.
const UNCORDONS: usize = 16;

/// Places besides those for commands about taints: the scheduler sends no more at once than one replica has places for.
const TAINTS: usize = 20;

/// Runs until the service stops.
pub(crate) async fn run(chassis: Chassis, args: &Args) -> anyhow::Result<()> {
    // Ready means that all of it was looked at: the parts below report themselves once they have.
    let health = &chassis.health;
    health.not_ready(ReadinessCode::StreamsNotSetUp, "JetStream was not looked at yet");
    health.not_ready(
        ReadinessCode::KubernetesUnreachable,
        "the API server has not answered yet",
    );
    let metrics = Metrics::register(&chassis);
    let keys = RecordKeyFile::new(&args.record_keys, &chassis);
    chassis.spawn("record keys", keys.clone().look_after(chassis.clone()));
    let clients = Clients::set_up().await?;
    // Before NATS: an operator whose NATS server is missing should not look for a fault of the API server.
    let (publish_rights, mut rights) = watch::channel(Rights::Unknown);
    chassis.spawn(
        "rights",
        rights::review(chassis.clone(), clients.requests.clone(), publish_rights),
    );
    let bus = nats::connect(&chassis, &args.chassis, None).await?;
    if !stream::set_up(&chassis, &bus, &args.streams).await {
        return Ok(());
    }
    rights
        .wait_for(|rights| *rights != Rights::Unknown)
        .await
        .context("wait for the Kubernetes API server")?;

    let source = format!("{} {}", chassis.service.name, chassis.service.version);
    let daemon_sets = DaemonSetKinds::with(args.daemon_set_kinds.clone());
    let budgets = budgets::watched(&chassis, clients.watches.clone());
    let volumes = volumes::watched(&chassis, &clients.watches);
    let watches = clients.watches.clone();
    let owners = namespaces::watched(&chassis, watches.clone());
    let checks = Checks {
        bus: bus.clone(),
        client: clients.requests.clone(),
        budgets: budgets.clone(),
        volumes: volumes.clone(),
        owners: owners.clone(),
        daemon_sets: daemon_sets.clone(),
        metrics: metrics.clone(),
        source: source.clone(),
    };
    chassis.spawn("checks", checks.serve(chassis.clone()));

    let concurrency = usize::from(args.concurrency);
    let drainer = Arc::new(Drainer {
        source,
        tools: Tools {
            chassis: chassis.clone(),
            clients,
            places: Places::new(usize::from(args.evictions), metrics.evictions_in_flight.clone()),
            metrics,
            throttle: Throttle::default(),
            budgets,
            volumes,
            sets: sets::watched(&chassis, watches),
            owners,
            turns: Turns::default(),
            drains: DrainSettings {
                evictions_in_flight_max: usize::from(args.evictions_per_node),
                daemon_sets,
                marks: NodeMarks::new(
                    &args.pre_reboot_node_labels,
                    &args.post_reboot_node_labels,
                    args.annotate_nodes,
                ),
            },
        },
        places: Semaphore::new(concurrency),
        given_back: GivenBack::default(),
        in_progress: InProgress::default(),
        bus: bus.clone(),
        keys,
        rights,
    });
    tracing::info!(concurrency, "Ready for commands");
    let places = concurrency.saturating_add(UNCORDONS).saturating_add(TAINTS);
    consume::consume(
        &chassis,
        &bus,
        &args.streams,
        &DRAINERS_CONSUMER,
        places,
        move |message| Arc::clone(&drainer).handle(message),
    )
    .await
}
