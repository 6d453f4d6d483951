//! The authority's certificate, for the clients: in a ConfigMap in each of their namespaces.
//!
//! The manifests bring the ConfigMaps empty. Keys of others stay, and nothing is written that is there already. While the
//! Secret holds other keys than those in use, nothing is written either: two gatekeepers would write in turns.

use bellwether_chassis::{Chassis, chain};
use bellwether_gatekeeper_core::{Seed, config::AUTHORITY_FILE};
use bellwether_proto::readiness::{Part, ReadinessCode};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde_json::json;

use crate::args::Args;
use crate::error::ApiError;
use crate::secret::SeedSecret;

/// The name of the ConfigMaps.
const NAME: &str = "bellwether-nats-ca";

/// Looks again and again after the Secret and the ConfigMaps, until the service stops.
pub(crate) async fn keep(
    chassis: Chassis,
    client: Client,
    args: Args,
    secret: SeedSecret,
    seed: Seed,
    certificate: String,
) -> anyhow::Result<()> {
    loop {
        if secret.compare(&chassis, &seed).await {
            publish(&chassis, &client, &args.client_namespaces, &certificate).await;
        }
        if !chassis.sleep(args.interval).await {
            return Ok(());
        }
    }
}

async fn publish(chassis: &Chassis, client: &Client, namespaces: &[String], certificate: &str) {
    let (mut missing_rights, mut unpublished) = (Vec::new(), Vec::new());
    for namespace in namespaces {
        match ensure(client, namespace, certificate).await {
            Ok(()) => (),
            Err(error @ ApiError::Forbidden { .. }) => missing_rights.push(chain(&error)),
            Err(error) => unpublished.push(chain(&error)),
        }
    }
    for (code, part, found) in [
        (ReadinessCode::RightsMissing, Part::Rights, missing_rights),
        (ReadinessCode::AuthorityNotPublished, Part::Authority, unpublished),
    ] {
        if found.is_empty() {
            chassis.health.ready(part);
        } else {
            let found = found.join("; ");
            tracing::warn!(
                code = code.as_str(),
                error = found,
                "Authority is not published to all clients"
            );
            chassis.health.not_ready(code, found);
        }
    }
}

async fn ensure(client: &Client, namespace: &str, certificate: &str) -> Result<(), ApiError> {
    let object = format!("configmaps {namespace}/{NAME}");
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    let map = maps
        .get(NAME)
        .await
        .map_err(|error| ApiError::of(error, "get", &object))?;
    let found = map.data.as_ref().and_then(|data| data.get(AUTHORITY_FILE));
    if found.is_some_and(|found| found == certificate) {
        return Ok(());
    }
    let patch = json!({ "data": { AUTHORITY_FILE: certificate } });
    let patched = maps.patch(NAME, &PatchParams::default(), &Patch::Merge(&patch)).await;
    patched.map_err(|error| ApiError::of(error, "patch", &object))?;
    tracing::info!(object, "Authority published to clients");
    Ok(())
}
