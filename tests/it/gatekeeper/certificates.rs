//! The server's certificate and its authority: renewed in time, named near the end and after.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use bellwether_proto::readiness::{self, ReadinessCode};
use bellwether_proto::{setting, subject};
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{Patch, PatchParams};
use rig::gate::{Cluster, Gate, reports};
use rig::ports::free_port;
use rig::services::{AGENTS, NAMESPACE};
use rig::wait;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, BufReader};

use super::{DEADLINE, SENTINEL, connect, may_publish, token_of};

/// Of the server's certificate, renewed after two thirds.
const LIFETIME: Duration = Duration::from_secs(24);

/// The certificate that the server shows, which this authority has to have signed.
async fn shown(cluster: &Cluster, gate: &Gate) -> Result<CertificateDer<'static>> {
    let authority = cluster.folder("gatekeeper")?.join("ca.crt");
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(authority)?)?;
    let config = rustls::ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = tokio::net::TcpStream::connect(("127.0.0.1", gate.nats.port())).await?;
    let mut stream = BufReader::new(stream);
    let mut info = String::new();
    stream.read_line(&mut info).await?;
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let name = ServerName::try_from("nats-0.nats.bellwether.svc")?;
    let stream = connector.connect(name, stream.into_inner()).await?;
    let (_, session) = stream.get_ref();
    let chain = session.peer_certificates().context("no certificate")?;
    Ok(chain.first().context("no certificate")?.clone().into_owned())
}

/// Waits for a second since 1970.
async fn over(second: f64) -> Result<()> {
    wait::until(&format!("second {second}"), DEADLINE, async || {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
        ensure!(now.as_secs_f64() > second, "not yet");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_renewed_before_its_end_and_no_client_loses_its_connection() -> Result<()> {
    let _turn = rig::world::turn().await?;
    let cluster = Cluster::start().await?;
    let lifetime = format!("{}s", LIFETIME.as_secs());
    let gate = cluster.gate(&[(setting::CERTIFICATE_LIFETIME, &lifetime)]).await?;
    let pod = cluster.pod(SENTINEL, "sentinel-1", Some("n1")).await?;
    let token = cluster.projected(SENTINEL, &pod).await?;
    let before = connect(&cluster, &gate.nats, AGENTS, &token).await?;
    let first = shown(&cluster, &gate).await?;
    const EXPIRY: &str = "bellwether_gatekeeper_certificate_expiry_seconds";
    let ends = gate.gatekeeper.metric(EXPIRY).await?;
    wait::until("another certificate", DEADLINE, async || {
        ensure!(shown(&cluster, &gate).await? != first, "it is the first one");
        Ok(())
    })
    .await?;
    wait::until("its end in the metrics", DEADLINE, async || {
        ensure!(gate.gatekeeper.metric(EXPIRY).await? > ends, "it is that of the first");
        Ok(())
    })
    .await?;
    // Neither the server's reloads end a connection, nor a gatekeeper that starts again beside it, which needs none.
    let reloads = gate.nats.reloads();
    ensure!(reloads > 0, "the server has not read its files again");
    let kept = "bellwether_gatekeeper_kept_connections_total";
    ensure!(
        gate.gatekeeper.metric(kept).await? >= 1.0,
        "no connection was asked about again"
    );
    // The next certificate would end in another second: the server states whole ones.
    let renewed = gate.gatekeeper.metric(EXPIRY).await? - LIFETIME.as_secs_f64();
    over(renewed + 2.0).await?;
    gate.gatekeeper.process.kill9();
    gate.gatekeeper.process.restart()?;
    gate.gatekeeper.wait_ready().await?;
    connect(&cluster, &gate.nats, AGENTS, &token).await?;
    assert_eq!(gate.nats.reloads(), reloads);
    over(ends + 1.0).await?;
    connect(&cluster, &gate.nats, AGENTS, &token).await?;
    assert!(may_publish(&before, &gate.nats, &subject::sentinel_record(&token_of("n1")?)).await?);
    assert_eq!(before.statistics().connects.load(Ordering::Relaxed), 1);
    cluster.finish();
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authority_that_ends_or_has_ended_is_named_and_nothing_trusts_it_longer() -> Result<()> {
    let _turn = rig::world::turn().await?;
    let cluster = Cluster::start().await?;
    let made = async |days: i64| {
        let created = jiff::Timestamp::now() - jiff::SignedDuration::from_hours(24 * days);
        let data = json!({ "stringData": { "seed": "a".repeat(32), "created": created.to_string() } });
        let secrets: Api<Secret> = Api::namespaced(cluster.admin.clone(), NAMESPACE);
        let patch = Patch::Merge(data);
        secrets
            .patch("bellwether-gate", &PatchParams::default(), &patch)
            .await
            .map(drop)
    };
    // Ten years are 3,650 days, and a certificate of the server lasts for 30.
    made(3640).await?;
    let port = free_port()?;
    let (ending, _api) = cluster.gatekeeper("ending", port, &[]).await?;
    let nats = cluster.server("ending", port, vec![], "").await?;
    let message = reports(&ending, ReadinessCode::AuthorityEnds).await?;
    assert!(
        message.contains("empty the Secret and restart the NATS pods"),
        "{message}"
    );
    let pod = cluster.pod(SENTINEL, "sentinel-1", Some("n1")).await?;
    let token = cluster.projected(SENTINEL, &pod).await?;
    connect(&cluster, &nats, AGENTS, &token).await?;

    made(3660).await?;
    let port = free_port()?;
    let (ended, _api) = cluster.gatekeeper("ended", port, &[]).await?;
    let nats = cluster.server("ended", port, vec![], "").await?;
    reports(&ended, ReadinessCode::AuthorityEnds).await?;
    wait::steadily(
        "the gatekeeper names the end, not what follows from it",
        Duration::from_secs(3),
        async || {
            let (_, body) = ended.get("/readyz").await?;
            let found = readiness::parse(&body);
            Ok(found.iter().any(|it| it.code == Some(ReadinessCode::AuthorityEnds)))
        },
    )
    .await?;
    let authority = cluster.folder("ended")?.join("ca.crt");
    let client = async_nats::ConnectOptions::new()
        .require_tls(true)
        .add_root_certificates(authority);
    assert!(client.token(token).connect(nats.own_url()).await.is_err());
    cluster.finish();
    Ok(())
}
