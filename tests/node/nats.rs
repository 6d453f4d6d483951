//! NATS on the very node that is rebooted: every service waits for NATS, which continues from its volume.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use async_nats::{ConnectErrorKind, ConnectOptions, Event};
use bellwether_proto::{NodeName, NodeToken, subject};
use kube::ResourceExt as _;
use rig::gate::{self, AUDIENCE, Bound};
use rig::wait;

use crate::cluster::{Cluster, NAMESPACES};
use crate::install;
use crate::operator::Status;
use crate::overlay::Overlay;
use crate::roll;

/// Where its volume is.
pub(crate) const NODE: &str = "node-1";

/// For one answer of NATS through two port forwards on busy machines.
const ANSWER: Duration = Duration::from_secs(60);

/// The quickstart as it is, with its own NATS.
pub(crate) async fn move_in(cluster: &Cluster, overlay: &Overlay) -> Result<()> {
    cluster.machine(NODE)?.run("mkdir -p /var/lib/nats").await?;
    cluster.apply(overlay).await?;
    let idle = |status: &Status| status.state == "Idle";
    cluster.wait_status(NODE, "to be known", idle).await?;
    cluster.photo("5-with-nats", NODE).await
}

/// The gatekeeper beside NATS has no more rights than the manifests give. With the token of a node's sentinel a client gets
/// in and speaks for that node alone; without a token no client gets in.
pub(crate) async fn keeps_nodes_apart(cluster: &Cluster) -> Result<()> {
    install::rights_of_gatekeeper(cluster).await?;
    let pods = cluster.pods().await?;
    let is_sentinel = |pod: &&k8s_openapi::api::core::v1::Pod| {
        let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref());
        pod.name_any().starts_with("sentinel-") && node == Some(NODE)
    };
    // As the kubelet asks for it; the file in the pod is for the user of the pod alone.
    let [control, agents] = NAMESPACES;
    let sentinel = Bound::Pod(pods.iter().find(is_sentinel).context("a sentinel")?);
    let token = gate::token(&cluster.client(), (agents, "sentinel"), AUDIENCE, sentinel).await?;
    let authority = [
        "get",
        "configmap",
        "bellwether-nats-ca",
        "--namespace",
        agents,
        "--output=jsonpath={.data.ca\\.crt}",
    ];
    let authority = cluster.file("nats-ca.crt", &cluster.kubectl.run(&authority, "").await?)?;
    let way = cluster.kubectl.forward(control, "nats-0", 4222).await?;
    let url = format!("tls://127.0.0.1:{}", way.port);
    let options = || {
        ConnectOptions::new()
            .require_tls(true)
            .add_root_certificates(authority.clone())
    };

    let stranger = options()
        .connect(&url)
        .await
        .err()
        .context("a client without a token is in")?;
    ensure!(
        stranger.kind() == ConnectErrorKind::AuthorizationViolation,
        "{stranger:?}"
    );

    let (own, other) = (token_of(NODE)?, token_of("node-2")?);
    let (reported, mut violations) = tokio::sync::mpsc::unbounded_channel();
    let client = options()
        .token(token)
        .custom_inbox_prefix(subject::inbox("sentinel", Some(&own)))
        .event_callback(move |event| {
            let reported = reported.clone();
            async move {
                if let Event::ServerError(error) = event {
                    // No reader is left once the test has ended.
                    reported.send(error.to_string()).ok();
                }
            }
        })
        .connect(&url)
        .await?;
    client.request("$JS.API.INFO", "".into()).await?;
    for denied in [
        subject::sentinel_record(&other),
        subject::rebooter_record(&own),
        subject::attempt_record(&own),
        subject::attempt_record(&other),
    ] {
        client.publish(denied.clone(), "x".into()).await?;
        let violation = async { violations.recv().await.context("the client has ended") };
        let violation = wait::within(&format!("a refusal of {denied}"), ANSWER, violation).await?;
        ensure!(
            violation.to_lowercase().contains("permissions violation"),
            "{violation}"
        );
    }
    Ok(())
}

fn token_of(node: &str) -> Result<NodeToken> {
    Ok(node.parse::<NodeName>()?.token())
}

/// The node's whole way.
pub(crate) async fn reboots_with_its_node(cluster: &Cluster) -> Result<()> {
    roll::one(cluster, NODE, "6", async || Ok(())).await?;
    let untouched = |status: &Status| status.attempt.is_none();
    cluster
        .wait_status("node-2", "to be left alone", untouched)
        .await
        .map(drop)
}
