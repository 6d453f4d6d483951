//! The drainer's own rights in Kubernetes, which the API server reviews again and again.
//!
//! A drain that lacks a right would end as a half-emptied node, so no drain starts without all of
//! them. The drainer asks only about itself, and never tries a right by using it.

use std::time::Duration;

use bellwether_chassis::Chassis;
use bellwether_drainer_core::ApiFault;
use bellwether_proto::readiness::{Part, ReadinessCode};
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use kube::api::PostParams;
use kube::{Api, Client};
use tokio::sync::watch;

use super::request::call;

/// How often the rights are reviewed while one is missing.
const MISSING_INTERVAL: Duration = Duration::from_secs(10);
/// How often the rights are reviewed while none is missing.
const HELD_INTERVAL: Duration = Duration::from_secs(60);
/// Wait before the next request to an API server that does not answer.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);
/// One try in so many is logged: about one every ten seconds.
const TRIES_PER_REMINDER: u32 = 10;

/// One right: verb, resource, subresource.
type Right = (&'static str, &'static str, &'static str);

/// All rights that the drainer needs; the cluster role of the deployment grants exactly these.
pub(crate) const NEEDED: [Right; 7] = [
    ("get", "nodes", ""),
    ("list", "nodes", ""),
    ("watch", "nodes", ""),
    ("patch", "nodes", ""),
    ("list", "pods", ""),
    ("watch", "pods", ""),
    ("create", "pods", "eviction"),
];

/// The drainer's rights, as far as known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Rights {
    /// The API server has not answered yet.
    Unknown,
    /// No right is missing.
    Held,
    /// The names of the missing rights.
    Missing(String),
}

/// Reviews the rights until the service stops.
pub(crate) async fn review(chassis: Chassis, client: Client, rights: watch::Sender<Rights>) -> anyhow::Result<()> {
    chassis.health.not_ready(
        ReadinessCode::KubernetesUnreachable,
        "the API server has not answered yet",
    );
    let mut tries: u32 = 0;
    loop {
        let pause = match check(&client).await {
            Ok(now) => {
                tries = 0;
                chassis.health.ready(Part::Kubernetes);
                publish(&chassis, &now);
                let pause = if now == Rights::Held {
                    HELD_INTERVAL
                } else {
                    MISSING_INTERVAL
                };
                rights.send_replace(now);
                pause
            }
            Err(error) => {
                // The last review still counts: a silent API server takes no right away.
                let code = match error {
                    ApiFault::Forbidden(_) => ReadinessCode::KubernetesForbidden,
                    ApiFault::NotFound | ApiFault::Conflict(_) | ApiFault::Unavailable(_) => {
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

fn publish(chassis: &Chassis, rights: &Rights) {
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

async fn check(client: &Client) -> Result<Rights, ApiFault> {
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

/// The review names no namespace: the right has to hold in all of them, or the object has none.
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
