//! The authority's certificate, for the clients: in a ConfigMap in each of their namespaces.
//!
//! While the Secret holds other keys than those in use, nothing is written: two gatekeepers would write in turns.

use bellwether_chassis::kubernetes::filled::{FilledMap, ObjectError};
use bellwether_chassis::{Chassis, chain};
use bellwether_gatekeeper_core::{Seed, config::AUTHORITY_FILE};
use bellwether_proto::readiness::{Part, ReadinessCode};
use kube::Client;

use crate::args::Args;
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
    let maps: Vec<FilledMap> = args
        .client_namespaces
        .iter()
        .map(|namespace| FilledMap::new(client.clone(), namespace, NAME, AUTHORITY_FILE))
        .collect();
    loop {
        if secret.compare(&chassis, &seed).await {
            publish(&chassis, &maps, &certificate).await;
        }
        if !chassis.sleep(args.interval).await {
            return Ok(());
        }
    }
}

async fn publish(chassis: &Chassis, maps: &[FilledMap], certificate: &str) {
    let (mut missing_rights, mut unpublished) = (Vec::new(), Vec::new());
    for map in maps {
        match map.ensure(certificate).await {
            Ok(_) => (),
            Err(error @ ObjectError::Forbidden { .. }) => missing_rights.push(chain(&error)),
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
