//! The gatekeeper on a real API server and a real NATS server: who gets in, as what, and what happens without its parts.

mod certificates;
mod journey;

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use async_nats::{Client, ConnectErrorKind};
use bellwether_proto::readiness::ReadinessCode;
use bellwether_proto::{NodeName, NodeToken, subject};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::Api;
use kube::api::{Patch, PatchParams};
use rig::gate::{AUDIENCE, Bound, Cluster, Gate, NODES, reports};
use rig::nats::Nats;
use rig::ports::free_port;
use rig::proxy::Way;
use rig::services::{AGENTS, NAMESPACE};
use rig::{tools, wait};
use serde_json::json;

use crate::metrics;

const DEADLINE: Duration = Duration::from_secs(60);
pub(crate) const SENTINEL: (&str, &str) = (AGENTS, "sentinel");
const SCHEDULER: (&str, &str) = (NAMESPACE, "scheduler");

fn token_of(node: &str) -> Result<NodeToken> {
    Ok(node.parse::<NodeName>()?.token())
}

/// A client with this token. Its answers arrive where those of n1's sentinel may, or those of a scheduler.
pub(crate) async fn connect(cluster: &Cluster, nats: &Nats, namespace: &str, token: &str) -> Result<Client> {
    let inbox = match namespace {
        AGENTS => subject::inbox("sentinel", Some(&token_of("n1")?)),
        _ => subject::inbox("scheduler", None),
    };
    let options = cluster.trusting(namespace).await?.custom_inbox_prefix(inbox);
    let options = if token.is_empty() {
        options
    } else {
        options.token(token.to_owned())
    };
    Ok(options.connect(nats.own_url()).await?)
}

/// Whether the server lets the client publish to this subject.
async fn may_publish(client: &Client, nats: &Nats, subject: &str) -> Result<bool> {
    let refusals = || nats.process.output().matches(" - Publish Violation - ").count();
    let before = refusals();
    client.publish(subject.to_owned(), "x".into()).await?;
    // The server takes the client's messages in order, so it has logged a refusal when it answers the next one. Each role
    // may ask this.
    client.request("$JS.API.INFO", "".into()).await?;
    Ok(refusals() == before)
}

/// The code with which the gatekeeper refuses this token.
pub(crate) async fn refused(cluster: &Cluster, gate: &Gate, token: &str, code: &str) -> Result<()> {
    let before = gate.refusals(code).await?;
    let error = connect(cluster, &gate.nats, AGENTS, token).await.err();
    let error = error.with_context(|| format!("{code} was expected, and the client is in"))?;
    let kind = error
        .downcast_ref::<async_nats::ConnectError>()
        .map(async_nats::ConnectError::kind);
    ensure!(
        kind == Some(ConnectErrorKind::AuthorizationViolation),
        "{code}: {error:?}"
    );
    let after = gate.refusals(code).await?;
    let metrics = gate.gatekeeper.metrics().await?;
    ensure!(after > before, "{code} was expected: {metrics}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_gets_in_with_the_rights_of_its_role_and_node_and_any_other_token_is_refused_with_its_code()
-> Result<()> {
    let _turn = rig::world::turn().await?;
    let cluster = Cluster::start().await?;
    let gate = cluster.gate(&[]).await?;
    let [n1, n2] = NODES;

    let pod = cluster.pod(SENTINEL, "sentinel-1", Some(n1)).await?;
    let token = cluster.projected(SENTINEL, &pod).await?;
    let sentinel = connect(&cluster, &gate.nats, AGENTS, &token).await?;
    let own = subject::sentinel_record(&token_of(n1)?);
    assert!(may_publish(&sentinel, &gate.nats, &own).await?);
    for denied in [
        subject::sentinel_record(&token_of(n2)?),
        subject::rebooter_record(&token_of(n1)?),
        subject::attempt_record(&token_of(n1)?),
        "$SYS.REQ.USER.AUTH".to_owned(),
    ] {
        assert!(!may_publish(&sentinel, &gate.nats, &denied).await?, "{denied}");
    }
    let scheduler_pod = cluster.pod(SCHEDULER, "scheduler-1", Some(n2)).await?;
    let scheduler = cluster.projected(SCHEDULER, &scheduler_pod).await?;
    let scheduler = connect(&cluster, &gate.nats, NAMESPACE, &scheduler).await?;
    assert!(may_publish(&scheduler, &gate.nats, &subject::attempt_record(&token_of(n1)?)).await?);
    assert!(!may_publish(&scheduler, &gate.nats, &subject::sentinel_record(&token_of("n1")?)).await?);
    assert!(
        gate.gatekeeper
            .metric("bellwether_gatekeeper_admissions_total{role=\"sentinel\"}")
            .await?
            >= 1.0
    );

    // The same token within a minute is no question to the API server.
    connect(&cluster, &gate.nats, AGENTS, &token).await?;
    assert!(
        gate.gatekeeper
            .metric("bellwether_gatekeeper_remembered_tokens_total")
            .await?
            >= 1.0
    );

    let forged = {
        let (signed, _) = token.rsplit_once('.').context("a token")?;
        format!("{signed}.c2lnbmF0dXJl")
    };
    let unscheduled = cluster.pod(SENTINEL, "unscheduled", None).await?;
    let stranger = cluster.pod(("default", "default"), "stranger", Some(n1)).await?;
    let gone = cluster.pod(SENTINEL, "gone", Some(n1)).await?;
    let of_gone = cluster.projected(SENTINEL, &gone).await?;
    let again = cluster.pod(SENTINEL, "again", Some(n1)).await?;
    let of_before = cluster.projected(SENTINEL, &again).await?;
    cluster.delete(&gone).await?;
    cluster.delete(&again).await?;
    cluster.pod(SENTINEL, "again", Some(n1)).await?;
    for (token, code) in [
        (String::new(), "TokenAbsent"),
        ("garbage".to_owned(), "TokenMalformed"),
        (forged, "TokenRefused"),
        (
            cluster.token(SENTINEL, "another", Bound::Pod(&pod)).await?,
            "AudienceWrong",
        ),
        (
            cluster
                .token(("default", "default"), AUDIENCE, Bound::Pod(&stranger))
                .await?,
            "AccountUnknown",
        ),
        (cluster.token(SENTINEL, AUDIENCE, Bound::Unbound).await?, "PodMissing"),
        (cluster.token(SENTINEL, AUDIENCE, Bound::Node(n1)).await?, "PodMissing"),
        (cluster.projected(SENTINEL, &unscheduled).await?, "NodeMissing"),
        (of_gone, "TokenRefused"),
        (of_before, "TokenRefused"),
    ] {
        refused(&cluster, &gate, &token, code).await?;
    }
    // A pod without a node may also mean an API server that writes no nodes into tokens: a fault of the installation.
    reports(&gate.gatekeeper, ReadinessCode::TokensWithoutNode).await?;
    let log = gate.gatekeeper.process.output();
    assert!(
        log.contains("Client refused") && !log.contains(&token),
        "no token is in the log"
    );
    metrics::of_gatekeeper_are_those_of_the_page(&gate.gatekeeper).await?;
    cluster.finish();
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn two_gatekeepers_that_start_at_once_agree_and_their_servers_trust_each_other() -> Result<()> {
    let _turn = rig::world::turn().await?;
    let cluster = Cluster::start().await?;
    let names = ["one", "two"];
    let ports = [free_port()?, free_port()?];
    let routes = [free_port()?, free_port()?];
    let [first, second] = names;
    let started = tokio::try_join!(
        cluster.gatekeeper(first, ports[0], &[]),
        cluster.gatekeeper(second, ports[1], &[]),
    )?;
    let block = |own: u16| {
        let [one, two] = routes.map(|port| format!("tls://127.0.0.1:{port}"));
        format!("  name: rig\n  listen: 127.0.0.1:{own}\n  routes: [ {one:?}, {two:?} ]")
    };
    let (one, two) = tokio::try_join!(
        async { cluster.server(first, ports[0], vec![ports[1]], &block(routes[0])).await },
        async {
            cluster
                .server(second, ports[1], vec![ports[0]], &block(routes[1]))
                .await
        },
    )?;
    for (gatekeeper, _) in [&started.0, &started.1] {
        gatekeeper.wait_ready().await?;
    }
    is_included(&cluster, first)?;
    let authority = |name| std::fs::read_to_string(cluster.folder(name)?.join("ca.crt")).context("read");
    assert_eq!(authority(first)?, authority(second)?);
    let token = {
        let pod = cluster.pod(SENTINEL, "sentinel-1", Some("n1")).await?;
        cluster.projected(SENTINEL, &pod).await?
    };
    for nats in [&one, &two] {
        wait::until("the servers to have a route to each other", DEADLINE, async || {
            let connection = connect(&cluster, nats, AGENTS, &token).await?;
            let known = connection.server_info().connect_urls;
            ensure!(known.len() == 2, "it knows {known:?}");
            Ok(())
        })
        .await?;
    }
    // One gatekeeper away: the other one answers for both servers.
    started.0.0.process.kill9();
    wait::until("a client to get in", DEADLINE, async || {
        connect(&cluster, &one, AGENTS, &token).await
    })
    .await?;
    cluster.finish();
    Ok(())
}

/// The server takes each configuration of the deploy folder with the files of this gatekeeper, at the places of a pod.
fn is_included(cluster: &Cluster, gatekeeper: &str) -> Result<()> {
    let pod = cluster.place.folder("pod")?.join("etc");
    std::fs::create_dir_all(pod.join("bellwether"))?;
    std::fs::create_dir_all(pod.join("nats-config"))?;
    std::os::unix::fs::symlink(cluster.folder(gatekeeper)?, pod.join("bellwether/gate"))?;
    for component in ["nats", "nats-cluster"] {
        let shipped = tools::repository().join(format!("deploy/components/{component}/nats.conf"));
        let config = pod.join("nats-config/nats.conf");
        std::fs::copy(shipped, &config)?;
        std::fs::write(pod.join("nats-config/leaf.conf"), "")?;
        let mut server = std::process::Command::new(tools::tool("nats-server")?);
        let output = server
            .arg("-t")
            .arg("-c")
            .arg(&config)
            .env("POD_NAME", "nats-0")
            .output()?;
        let printed = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success() && printed.contains("is valid"),
            "{component}: {printed}"
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_api_server_clients_stay_and_no_new_one_gets_in_until_it_is_back() -> Result<()> {
    let _turn = rig::world::turn().await?;
    let cluster = Cluster::start().await?;
    let gate = cluster.gate(&[]).await?;
    let pods = [("one", "n1"), ("two", "n2")];
    let mut tokens = Vec::new();
    for (name, node) in pods {
        let pod = cluster.pod(SENTINEL, name, Some(node)).await?;
        tokens.push(cluster.projected(SENTINEL, &pod).await?);
    }
    let [one, two] = &tokens[..] else {
        anyhow::bail!("two tokens");
    };
    let stays = connect(&cluster, &gate.nats, AGENTS, one).await?;
    gate.api.set(Way::Cut);
    reports(&gate.gatekeeper, ReadinessCode::KubernetesUnreachable).await?;
    refused(&cluster, &gate, two, "ReviewFailed").await?;
    assert!(may_publish(&stays, &gate.nats, &subject::sentinel_record(&token_of("n1")?)).await?);
    // An answer to a client that has gone would delay those that are there.
    gate.api.set(Way::Silent);
    assert!(connect(&cluster, &gate.nats, AGENTS, two).await.is_err());
    wait::until("the question to be dropped", DEADLINE, async || {
        let dropped = gate
            .gatekeeper
            .metric("bellwether_gatekeeper_stale_questions_total")
            .await?;
        ensure!(dropped >= 1.0, "{dropped}");
        Ok(())
    })
    .await?;
    gate.api.set(Way::Open);
    wait::until("the second client to get in", DEADLINE, async || {
        connect(&cluster, &gate.nats, AGENTS, two).await
    })
    .await?;
    gate.gatekeeper.wait_ready().await?;
    cluster.finish();
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_is_emptied_overwritten_or_cut_is_named_and_changes_no_key_in_use() -> Result<()> {
    let _turn = rig::world::turn().await?;
    let cluster = Cluster::start().await?;
    let gate = cluster.gate(&[]).await?;
    let good = cluster.secret().await?.data.context("a filled Secret")?;
    assert_eq!(good.get("seed").context("a seed")?.0.len(), 32);
    let pod = cluster.pod(SENTINEL, "sentinel-1", Some("n1")).await?;
    let token = cluster.projected(SENTINEL, &pod).await?;
    let secrets: Api<Secret> = Api::namespaced(cluster.admin.clone(), NAMESPACE);
    let put = async |data: serde_json::Value| {
        let patch = Patch::Merge(json!({ "data": data }));
        secrets
            .patch("bellwether-gate", &PatchParams::default(), &patch)
            .await
            .map(drop)
    };
    let other = "A".repeat(42) + "E=";
    for (data, code) in [
        (json!({ "seed": null, "created": null }), ReadinessCode::KeysChanged),
        (
            json!({ "seed": other, "created": good["created"] }),
            ReadinessCode::KeysChanged,
        ),
        (json!({ "seed": "AAAA" }), ReadinessCode::KeysMalformed),
    ] {
        put(data).await?;
        let message = reports(&gate.gatekeeper, code).await?;
        assert!(message.contains("restart the NATS pods"), "{message}");
        connect(&cluster, &gate.nats, AGENTS, &token).await?;
    }
    // Nothing was written over it.
    let left = cluster.secret().await?.data.context("the cut Secret")?;
    assert_eq!(left.get("seed").context("a seed")?.0.len(), 3);
    // A gatekeeper that starts now takes no keys from it, and makes no files.
    let (second, _api) = cluster.gatekeeper("second", free_port()?, &[]).await?;
    reports(&second, ReadinessCode::KeysMalformed).await?;
    assert!(!cluster.folder("second")?.join("gate.conf").exists());
    put(json!(good)).await?;
    gate.gatekeeper.wait_ready().await?;
    cluster.finish();
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gatekeeper_without_a_right_names_it_and_publishes_once_it_has_it() -> Result<()> {
    let _turn = rig::world::turn().await?;
    let cluster = Cluster::start().await?;
    let kubectl = cluster.kubectl()?;
    let rights = "deploy/components/nats/gatekeeper/rights.yaml";
    kubectl
        .run(&["-n", NAMESPACE, "delete", "rolebinding", "gatekeeper"], "")
        .await?;
    kubectl
        .run(&["-n", AGENTS, "delete", "rolebinding", "gatekeeper"], "")
        .await?;
    let port = free_port()?;
    let (gatekeeper, _api) = cluster.gatekeeper("gatekeeper", port, &[]).await?;
    let message = reports(&gatekeeper, ReadinessCode::RightsMissing).await?;
    assert!(message.contains("secrets bellwether/bellwether-gate"), "{message}");
    assert_eq!(cluster.secret().await?.data, None);

    kubectl
        .run(&["apply", "-f", rights, "-l", "app.kubernetes.io/name=nats"], "")
        .await?;
    kubectl
        .run(&["-n", AGENTS, "delete", "rolebinding", "gatekeeper"], "")
        .await?;
    let _nats = cluster.server("gatekeeper", port, vec![], "").await?;
    wait::until("the missing right of the agents' ConfigMap", DEADLINE, async || {
        let message = reports(&gatekeeper, ReadinessCode::RightsMissing).await?;
        ensure!(
            message.contains("configmaps bellwether-agents/bellwether-nats-ca"),
            "{message}"
        );
        Ok(())
    })
    .await?;
    let maps: Api<ConfigMap> = Api::namespaced(cluster.admin.clone(), AGENTS);
    let foreign = Patch::Merge(json!({ "data": { "theirs": "stays", "ca.crt": "old" } }));
    maps.patch("bellwether-nats-ca", &PatchParams::default(), &foreign)
        .await?;
    kubectl.run(&["apply", "-f", rights], "").await?;
    gatekeeper.wait_ready().await?;
    let published = maps.get("bellwether-nats-ca").await?;
    let data = published.data.context("data")?;
    assert_eq!(data.get("theirs").map(String::as_str), Some("stays"));
    assert!(
        data.get("ca.crt")
            .context("an authority")?
            .starts_with("-----BEGIN CERTIFICATE")
    );
    // What is there already is not written again: looks of a second each leave the object alone.
    let version = published.metadata.resource_version;
    wait::steadily("the ConfigMap stays as it is", Duration::from_secs(3), async || {
        Ok(maps.get("bellwether-nats-ca").await?.metadata.resource_version == version)
    })
    .await?;
    cluster.finish();
    Ok(())
}
