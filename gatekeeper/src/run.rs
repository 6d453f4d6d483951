//! Starts the parts: first the keys, then the server's files, without which the server does not start, then the rest.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Context as _;
use bellwether_chassis::{Chassis, kubernetes};
use bellwether_gatekeeper_core::Keys;
use bellwether_proto::readiness::{Part, ReadinessCode};

use crate::args::Args;
use crate::authority;
use crate::certificate::Authority;
use crate::folder::Folder;
use crate::metrics::Metrics;
use crate::renewal::{Answering, Renewal};
use crate::secret::SeedSecret;
use crate::serve::{self, Gate};
use crate::wire::Server;

/// An API server that is silent for longer while it owes an answer is gone; all its answers here are small.
const READ_TIMEOUT: Duration = Duration::from_secs(10);

/// Runs until the service stops.
pub(crate) async fn run(chassis: Chassis, args: Args) -> anyhow::Result<()> {
    let health = &chassis.health;
    health.not_ready(ReadinessCode::KeysMissing, "the Secret was not read yet");
    health.not_ready(ReadinessCode::CertificateNotServed, "the server has no certificate yet");
    health.not_ready(
        ReadinessCode::AuthorityNotPublished,
        "the ConfigMaps were not looked at yet",
    );
    let metrics = chassis.metrics(Metrics::register);
    let table = args.table().map_err(anyhow::Error::msg)?;
    let (client, _) = kubernetes::client(READ_TIMEOUT).await?;
    let secret = SeedSecret::new(client.clone(), &args.namespace, &args.secret);
    let Some(seed) = secret.obtain(&chassis).await else {
        return Ok(());
    };
    let keys = Keys::derive(&seed)?;
    let authority = Authority::new(&keys, &seed).context("make the authority")?;
    let published = authority.certificate.clone();

    let folder = Folder::new(args.server_dir.clone());
    let server = Server {
        urls: args.chassis.nats_url.clone(),
        authority: folder.authority(),
    };
    let private = |key: &nkeys::KeyPair| key.seed().context("a key without its private half");
    let system = private(&keys.system)?;
    let own = private(&keys.gatekeeper)?;
    let renewal = Renewal::new(&args, folder, server.clone(), authority, metrics.clone(), system);
    let certificate = renewal.begin(&keys, &chassis)?;
    // The startup probe: the server may start.
    health.ready(Part::Keys);
    tracing::info!(folder = %args.server_dir.display(), issuer = keys.issuer.public_key(), "Files of the server written");

    chassis.spawn(
        "authority",
        authority::keep(chassis.clone(), client.clone(), args, secret, seed, published),
    );
    let (nats, questions) = server.questions(&chassis, own).await?;
    let answering = Answering {
        nats: nats.clone(),
        client: client.clone(),
    };
    chassis.spawn("certificate", renewal.keep(chassis.clone(), answering, certificate));
    let gate = Gate {
        chassis: chassis.clone(),
        nats,
        client,
        keys,
        table,
        metrics,
        known: Mutex::default(),
        admitted: Mutex::default(),
        reviews: serve::places(),
    };
    Arc::new(gate).serve(questions).await
}
