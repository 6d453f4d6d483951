//! The drainer's own rights in Kubernetes, asked of the API server and watched.
//!
//! A drain that lacks a right would end as a half-emptied node, so none starts without all of
//! them (defect 3). It asks only about itself, and never tries a right by using it.

use std::time::Duration;

use bellwether_chassis::Chassis;
use bellwether_proto::readiness::{Part, ReadinessCode};
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use kube::api::PostParams;
use kube::{Api, Client};
use tokio::sync::watch;

use crate::api::{ApiError, call};

/// How often it looks while something is missing.
const MISSING_INTERVAL: Duration = Duration::from_secs(10);
/// How often it looks when all is well.
const HELD_INTERVAL: Duration = Duration::from_secs(60);
/// How often it asks an API server that does not answer.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);
/// It says that it waits once in so many tries: every ten seconds or so.
const TRIES_PER_REMINDER: u32 = 10;

/// One right: verb, resource, subresource.
type Right = (&'static str, &'static str, &'static str);

/// All that the drainer needs; the cluster role of the deployment grants exactly these.
pub(crate) const NEEDED: [Right; 7] = [
    ("get", "nodes", ""),
    ("list", "nodes", ""),
    ("watch", "nodes", ""),
    ("patch", "nodes", ""),
    ("list", "pods", ""),
    ("watch", "pods", ""),
    ("create", "pods", "eviction"),
];

/// What is known of the drainer's rights.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Rights {
    /// The API server has not answered yet.
    Unknown,
    /// All are there.
    Held,
    /// These are not.
    Missing(String),
}

/// Looks after the rights until the service stops.
pub(crate) async fn look_after(chassis: Chassis, client: Client, known: watch::Sender<Rights>) -> anyhow::Result<()> {
    chassis.health.not_ready(
        ReadinessCode::KubernetesUnreachable,
        "the API server has not answered yet",
    );
    let mut tries: u32 = 0;
    loop {
        let pause = match check(&client).await {
            Ok(rights) => {
                tries = 0;
                chassis.health.ready(Part::Kubernetes);
                tell(&chassis, &rights);
                let pause = if rights == Rights::Held {
                    HELD_INTERVAL
                } else {
                    MISSING_INTERVAL
                };
                known.send_replace(rights);
                pause
            }
            Err(error) => {
                // What was known stands: the server's absence changes no right.
                let code = match error {
                    ApiError::Forbidden(_) => ReadinessCode::KubernetesForbidden,
                    ApiError::NotFound | ApiError::Conflict(_) | ApiError::Unavailable(_) => {
                        ReadinessCode::KubernetesUnreachable
                    }
                };
                chassis
                    .health
                    .not_ready(code, format!("the API server cannot be asked: {error}"));
                if tries.is_multiple_of(TRIES_PER_REMINDER) {
                    tracing::warn!(%error, "Waiting for the Kubernetes API server");
                }
                tries = tries.wrapping_add(1);
                RETRY_INTERVAL
            }
        };
        if !chassis.sleep(pause).await {
            return Ok(());
        }
    }
}

fn tell(chassis: &Chassis, rights: &Rights) {
    match rights {
        Rights::Missing(missing) => {
            chassis.health.not_ready(
                ReadinessCode::RightsMissing,
                format!("missing in Kubernetes: {missing}"),
            );
            tracing::error!(
                missing,
                remedy = "bind the drainer's cluster role to the service account or user it runs as",
                "Rights are missing in Kubernetes, no drain starts"
            );
        }
        Rights::Held | Rights::Unknown => chassis.health.ready(Part::Rights),
    }
}

async fn check(client: &Client) -> Result<Rights, ApiError> {
    let reviews: Api<SelfSubjectAccessReview> = Api::all(client.clone());
    let mut missing = Vec::new();
    for right in NEEDED {
        let answer = call(reviews.create(&PostParams::default(), &question(right))).await?;
        if !answer.status.is_some_and(|status| status.allowed) {
            missing.push(name(right));
        }
    }
    if missing.is_empty() {
        return Ok(Rights::Held);
    }
    Ok(Rights::Missing(missing.join(", ")))
}

/// In all namespaces, or of no namespace: neither is named.
fn question((verb, resource, subresource): Right) -> SelfSubjectAccessReview {
    SelfSubjectAccessReview {
        spec: SelfSubjectAccessReviewSpec {
            resource_attributes: Some(ResourceAttributes {
                verb: Some(verb.to_owned()),
                resource: Some(resource.to_owned()),
                subresource: (!subresource.is_empty()).then(|| subresource.to_owned()),
                ..ResourceAttributes::default()
            }),
            ..SelfSubjectAccessReviewSpec::default()
        },
        ..SelfSubjectAccessReview::default()
    }
}

fn name((verb, resource, subresource): Right) -> String {
    match subresource {
        "" => format!("{verb} {resource}"),
        subresource => format!("{verb} {resource}/{subresource}"),
    }
}
