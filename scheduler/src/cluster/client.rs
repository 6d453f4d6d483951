//! Connecting to the API server: waits until it answers and lets us watch.

use std::time::Duration;

use bellwether_chassis::{Chassis, kubernetes};
use bellwether_proto::readiness::{Part, ReadinessCode};
use k8s_openapi::api::core::v1::Node;
use kube::api::{ListParams, WatchParams};
use kube::core::PartialObjectMeta;
use kube::{Api, Client};

use crate::cluster::list_watch::{WATCH_SECONDS, Watchable};
use crate::cluster::policy::PolicyObject;
use crate::cluster::watch::DaemonSetMeta;

/// The name under which the API server notes which fields the scheduler has written.
pub(crate) const FIELD_MANAGER: &str = "bellwether-scheduler";

/// How often the API server is asked again while the service waits.
const TRY_AGAIN: Duration = Duration::from_millis(500);

/// Longer than a healthy watch is silent, yet so short that a silent one is noticed within 15 s. It holds for
/// each answer: the first page of a list has to come in that time too. Below the 13 s after which the watcher
/// would renew a silent watch without a word.
const READ_TIMEOUT: Duration = Duration::from_secs(WATCH_SECONDS as u64 + 4);

/// How often the log repeats that the service still waits.
const REMINDER: Duration = Duration::from_secs(10);

/// A client, as soon as the API server answers and lets us watch nodes, DaemonSets and RebootPolicies. Waits as long as
/// that takes; the log and `/readyz` show the reason.
///
/// # Errors
/// There is no configuration for a client, or the service has to stop.
pub(crate) async fn connect(chassis: &Chassis) -> anyhow::Result<Client> {
    let (client, address) = kubernetes::client(READ_TIMEOUT).await?;
    let mut reminder = tokio::time::interval(REMINDER);
    chassis.health.not_ready(
        ReadinessCode::KubernetesUnreachable,
        format!("{address} has not answered yet"),
    );
    loop {
        let Err(error) = check_access(&client).await else {
            break;
        };
        let refused = matches!(&error, kube::Error::Api(status) if matches!(status.code, 401 | 403));
        let code = if refused {
            ReadinessCode::KubernetesForbidden
        } else {
            ReadinessCode::KubernetesUnreachable
        };
        let error = bellwether_chassis::chain(&error);
        chassis.health.not_ready(
            code,
            format!("{address} does not let us watch nodes, DaemonSets and RebootPolicies: {error}"),
        );
        tokio::select! {
            () = tokio::time::sleep(TRY_AGAIN) => (),
            _ = reminder.tick() => {
                tracing::warn!(server = address, error, "Waiting for the API server to let us watch nodes, DaemonSets and RebootPolicies");
            }
            () = chassis.stop.cancelled() => anyhow::bail!("stopped while waiting for the API server at {address}"),
        }
    }
    chassis.health.ready(Part::Kubernetes);
    Ok(client)
}

/// Succeeds if the API server answers and lets us list and watch nodes, DaemonSets and RebootPolicies.
pub(crate) async fn check_access(client: &Client) -> Result<(), kube::Error> {
    may_watch::<PartialObjectMeta<Node>>(client).await?;
    may_watch::<DaemonSetMeta>(client).await?;
    match may_watch::<PolicyObject>(client).await {
        // Without the definition there are no policies.
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        answer => answer,
    }
}

async fn may_watch<K: Watchable>(client: &Client) -> Result<(), kube::Error> {
    let api = Api::<K>::all(client.clone());
    let list = api.list(&ListParams::default().limit(1)).await?;
    let version = list.metadata.resource_version.unwrap_or_default();
    // A second is the shortest time-out there is; the watch is dropped at once.
    api.watch(&WatchParams::default().timeout(1), &version).await.map(drop)
}
