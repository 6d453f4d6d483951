//! The drainer's own rights in Kubernetes, which the API server reviews again and again.
//!
//! A drain that lacks a right would end as a half-emptied node, so no drain starts without all of
//! them. The drainer asks only about itself, and never tries a right by using it.

use std::time::Duration;

use bellwether_chassis::{Chassis, clock};
use bellwether_drainer_core::{ApiFault, ForbiddenGrace};
use bellwether_proto::readiness::{Part, ReadinessCode};
use jiff::Timestamp;
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

/// One right: verb, API group, resource, subresource.
type Right = (&'static str, &'static str, &'static str, &'static str);

/// All rights that no drain starts without.
pub(crate) const NEEDED: [Right; 9] = [
    ("get", "", "nodes", ""),
    ("list", "", "nodes", ""),
    ("watch", "", "nodes", ""),
    ("patch", "", "nodes", ""),
    ("list", "", "pods", ""),
    ("watch", "", "pods", ""),
    ("create", "", "pods", "eviction"),
    ("list", "policy", "poddisruptionbudgets", ""),
    ("watch", "policy", "poddisruptionbudgets", ""),
];

/// Rights without which drains do with less, each with what that is; the cluster role grants these too.
const HELPFUL: [(Right, &str); 8] = [
    (("list", "storage.k8s.io", "volumeattachments", ""), NO_DETACH),
    (("watch", "storage.k8s.io", "volumeattachments", ""), NO_DETACH),
    (("list", "", "persistentvolumes", ""), NO_CLAIMS),
    (("watch", "", "persistentvolumes", ""), NO_CLAIMS),
    (("list", "apps", "statefulsets", ""), NO_MEMBERS),
    (("watch", "apps", "statefulsets", ""), NO_MEMBERS),
    (("list", "", "namespaces", ""), NO_OWNERS),
    (("watch", "", "namespaces", ""), NO_OWNERS),
];
const NO_DETACH: &str = "drains do not wait until volumes are detached";
const NO_MEMBERS: &str = "where a policy has the members of StatefulSets go one at a time, the next one goes once the one before is gone from the node";
const NO_CLAIMS: &str = "drains do not know which pod uses a volume, and wait for the volumes of pods that stay too";
const NO_OWNERS: &str = "reports about a drain do not name who answers for the pods that block it";
/// The right that only drains need whose policy has pods deleted at their end. The component `force-drain` grants it.
const DELETE: Right = ("delete", "", "pods", "");

/// The drainer's rights, as far as known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Rights {
    /// The API server has not answered yet.
    Unknown,
    /// No right is missing.
    Held,
    /// At least one right is missing.
    Missing {
        /// The names of the missing rights.
        names: String,
        /// One of them is missing for too long to be about to appear: an API server that has just started
        /// answers so about every right, until it has read its rules.
        is_final: bool,
    },
}

/// Reviews the rights until the service stops.
pub(crate) async fn review(chassis: Chassis, client: Client, rights: watch::Sender<Rights>) -> anyhow::Result<()> {
    let mut tries: u32 = 0;
    let mut grace = ForbiddenGrace::default();
    let mut unhelped = Vec::new();
    loop {
        let pause = match reviewed(&client).await {
            Ok(Reviewed { missing, less }) => {
                tries = 0;
                if less != unhelped {
                    warn_of_less(&less);
                    unhelped = less;
                }
                let now = judge(clock::now(), &missing, &mut grace);
                chassis.health.ready(Part::Kubernetes);
                publish(&chassis, &now);
                let pause = if missing.is_empty() {
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
        Rights::Missing { names, .. } => {
            chassis
                .health
                .not_ready(ReadinessCode::RightsMissing, format!("missing in Kubernetes: {names}"));
            tracing::error!(
                missing = names,
                remedy = "bind the drainer's cluster role to the service account or user it runs as",
                "Rights are missing in Kubernetes, no drain starts"
            );
        }
        Rights::Held | Rights::Unknown => chassis.health.ready(Part::Rights),
    }
}

/// Judges one review, given with the rights that it found missing.
fn judge(now: Timestamp, missing: &[Right], grace: &mut ForbiddenGrace<Right>) -> Rights {
    for held in NEEDED.iter().filter(|right| !missing.contains(right)) {
        grace.reset(held);
    }
    if missing.is_empty() {
        return Rights::Held;
    }
    let names: Vec<String> = missing.iter().copied().map(name).collect();
    let over = missing.iter().filter(|right| grace.is_over(now, **right)).count();
    Rights::Missing {
        names: names.join(", "),
        is_final: over > 0,
    }
}

fn warn_of_less(less: &[(Right, &str)]) {
    for (right, consequence) in less {
        tracing::warn!(
            missing = name(*right),
            remedy = "bind the cluster role of the drainer's version to the service account or user it runs as",
            "A right is missing in Kubernetes: {consequence}"
        );
    }
}

/// What one review found.
struct Reviewed {
    /// The needed rights that are missing.
    missing: Vec<Right>,
    /// The helpful rights that are missing, each with what drains do without.
    less: Vec<(Right, &'static str)>,
}

/// Asks the API server whether pods may be deleted, for a drain that needs that.
pub(crate) async fn may_delete_pods(client: &Client) -> Result<bool, ApiFault> {
    is_held(client, DELETE).await
}

async fn is_held(client: &Client, right: Right) -> Result<bool, ApiFault> {
    let reviews: Api<SelfSubjectAccessReview> = Api::all(client.clone());
    let answer = call(reviews.create(&PostParams::default(), &question(right))).await?;
    Ok(answer.status.is_some_and(|status| status.allowed))
}

/// Asks the API server for each right.
async fn reviewed(client: &Client) -> Result<Reviewed, ApiFault> {
    let (mut missing, mut less) = (Vec::new(), Vec::new());
    for right in NEEDED {
        if !is_held(client, right).await? {
            missing.push(right);
        }
    }
    for (right, consequence) in HELPFUL {
        if !is_held(client, right).await? {
            less.push((right, consequence));
        }
    }
    Ok(Reviewed { missing, less })
}

/// The review names no namespace: the right has to hold in all of them, or the object has none.
fn question((verb, group, resource, subresource): Right) -> SelfSubjectAccessReview {
    SelfSubjectAccessReview {
        spec: SelfSubjectAccessReviewSpec {
            resource_attributes: Some(ResourceAttributes {
                verb: Some(verb.to_owned()),
                group: Some(group.to_owned()),
                resource: Some(resource.to_owned()),
                subresource: (!subresource.is_empty()).then(|| subresource.to_owned()),
                ..ResourceAttributes::default()
            }),
            ..SelfSubjectAccessReviewSpec::default()
        },
        ..SelfSubjectAccessReview::default()
    }
}

/// As RBAC writes it: `create pods/eviction`, `list poddisruptionbudgets.policy`.
fn name((verb, group, resource, subresource): Right) -> String {
    let dot = if group.is_empty() { "" } else { "." };
    let slash = if subresource.is_empty() { "" } else { "/" };
    format!("{verb} {resource}{dot}{group}{slash}{subresource}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_right_is_missing_for_good_after_a_minute_in_which_no_review_found_it() {
        let (evict, list) = (("create", "", "pods", "eviction"), ("list", "", "pods", ""));
        let mut grace = ForbiddenGrace::default();
        let mut review = |second, missing: &[Right]| {
            let now = Timestamp::from_second(second).unwrap();
            match judge(now, missing, &mut grace) {
                Rights::Missing { names, is_final } => (names, is_final),
                rights @ (Rights::Unknown | Rights::Held) => unreachable!("{rights:?}"),
            }
        };
        assert_eq!(
            review(0, &[list, evict]),
            ("list pods, create pods/eviction".to_owned(), false)
        );
        // The API server has read one more rule.
        assert_eq!(review(50, &[evict]), ("create pods/eviction".to_owned(), false));
        assert_eq!(review(61, &[list]), ("list pods".to_owned(), false));
        assert!(!review(121, &[list, evict]).1);
        assert!(review(122, &[list, evict]).1, "one of them is enough");
        assert_eq!(
            judge(Timestamp::from_second(123).unwrap(), &[], &mut grace),
            Rights::Held
        );
    }
}
