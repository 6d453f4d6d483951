//! Gates at work, with a real Prometheus behind TLS and a password: an alert that fires between drain and reboot stops
//! the reboot, a server that is gone stops every start, and each cause is explained.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use bellwether_proto::Phase;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::Api;
use kube::api::DeleteParams;
use rig::kubelet::READY_AFTER;
use rig::prometheus::{PASSWORD, Prometheus, USER};
use rig::record::node_state;
use rig::services::ServicesOptions;
use rig::workload::Workload;
use rig::world::{World, WorldOptions};
use serde_json::{Value, json};

use crate::fleet::Fleet;
use crate::policies;
use crate::windows::change;

/// A gate of this server, for the alerts that this filter leaves.
fn gate(server: &Prometheus, alerts: &Value) -> Value {
    json!({ "gates": { "prometheus": [{
        "name": "alerts",
        "url": server.url(),
        "alerts": alerts,
        "basicAuth": { "usernameFile": "user", "passwordFile": "password" },
        "caFile": "ca.crt",
    }] } })
}

/// A server, and a scheduler that may read its secrets.
async fn start(world: World, firing: &[&str]) -> Result<(Fleet, Prometheus)> {
    let certificate = world.control_plane.access().certificate().to_owned();
    let key = certificate.with_extension("key");
    let server = Prometheus::start(&world.place, &certificate, &key, firing).await?;
    let secrets = world.place.folder("gate-secrets")?;
    for (file, content) in [
        ("user", USER.as_bytes()),
        ("password", PASSWORD.as_bytes()),
        ("ca.crt", &fs::read(&certificate)?),
    ] {
        fs::write(secrets.join(file), content)?;
    }
    let secrets = secrets.to_str().context("a path that is no text")?;
    let options = ServicesOptions::default()
        .without_drain_checks()
        .set("BELLWETHER_GATE_SECRETS", secrets);
    let fleet = Fleet::start_in(world, options).await?;
    Ok((fleet, server))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_that_fires_during_the_drain_stops_the_reboot_and_a_dead_prometheus_every_start() -> Result<()> {
    let world = World::start(WorldOptions {
        nodes: 2,
        ..WorldOptions::default()
    })
    .await?;
    world.block_drain(0).await?;
    let (fleet, server) = start(world, &["Watchdog"]).await?;
    let ignoring = gate(&server, &json!({ "ignore": "^Watchdog$" }));
    policies::create(&fleet.world, "all", &ignoring).await?;
    let host = fleet.world.host(0)?;
    host.upgrade_kernel("6.12.48")?;
    fleet.in_phase(host.name(), Phase::Draining).await?;

    server.set_firing(&["Watchdog", "Fire"]).await?;
    let budgets: Api<PodDisruptionBudget> = Api::namespaced(fleet.world.client(), "default");
    budgets.delete("stuck", &DeleteParams::default()).await?;
    let cancelled = fleet.in_phase(host.name(), Phase::Cancelled).await?;
    let message = cancelled.ending.map(|ending| ending.message).unwrap_or_default();
    ensure!(message.contains("1 alert is active: Fire"), "{message}");
    fleet
        .explained(host.name(), &["PrometheusShut", "gate alerts", "Fire"])
        .await?;
    ensure!(host.reboot_orders() == 0, "the reboot was ordered");

    server.kill9();
    fleet
        .explained(host.name(), &["GateFailed", "cannot be reached", "Connection refused"])
        .await?;
    server.set_rules(&["Watchdog"])?;
    server.restart().await?;
    fleet.rebooted_once(&[host]).await?;
    fleet.finish()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_with_a_blocking_pod_waits_and_the_next_one_goes() -> Result<()> {
    let world = World::start(WorldOptions {
        nodes: 2,
        ..WorldOptions::default()
    })
    .await?;
    let (kept, next) = (world.host(0)?, world.host(1)?);
    world
        .create(&Workload::new("long").on_node(kept.name()).deployment()?)
        .await?;
    world.wait_ready_pods("long", 1).await?;
    let fleet = Fleet::start_in(world, ServicesOptions::default()).await?;
    let gate = json!({ "name": "batch", "selector": { "matchLabels": { "app": "long" } }, "namespaces": ["default"] });
    policies::create(&fleet.world, "all", &json!({ "gates": { "pods": [gate] } })).await?;
    kept.upgrade_kernel("6.12.48")?;
    fleet
        .explained(kept.name(), &["BlockingPod", "gate batch", "the pod default/long-"])
        .await?;
    next.upgrade_kernel("6.12.48")?;
    fleet.rebooted_once(&[next]).await?;
    ensure!(kept.reboot_orders() == 0, "the reboot was ordered");
    let deployments: Api<Deployment> = Api::namespaced(fleet.world.client(), "default");
    deployments.delete("long", &DeleteParams::default()).await?;
    fleet.all_rolled(1).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_is_uncordoned_once_its_pod_of_a_daemon_set_is_ready_again() -> Result<()> {
    let world = World::start(WorldOptions {
        nodes: 1,
        ..WorldOptions::default()
    })
    .await?;
    // Longer than the node takes to be Ready.
    let net = Workload::new("net").annotate(READY_AFTER, "12s");
    world.create(&net.daemon_set()?).await?;
    world.wait_ready_pods("net", 1).await?;
    let fleet = Fleet::start_in(world, ServicesOptions::default()).await?;
    policies::create(&fleet.world, "all", &json!({})).await?;
    let host = fleet.world.host(0)?;
    host.upgrade_kernel("6.12.48")?;
    let words = ["WaitsForService", "the pod of the DaemonSet default/net"];
    fleet.explained(host.name(), &words).await?;
    let node = node_state(&fleet.world.node(host.name()).await?);
    ensure!(node.ready && node.cordoned, "{node:?}");
    fleet.rebooted_once(&[host]).await?;
    fleet.world.wait_ready_pods("net", 1).await?;
    fleet.finish()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_fault_of_a_query_is_explained_in_the_words_of_the_server() -> Result<()> {
    let world = World::start(WorldOptions {
        nodes: 1,
        ..WorldOptions::default()
    })
    .await?;
    let (fleet, server) = start(world, &["Watchdog"]).await?;
    policies::create(&fleet.world, "all", &gate(&server, &json!({}))).await?;
    let host = fleet.world.host(0)?;
    host.upgrade_kernel("6.12.48")?;
    fleet
        .explained(host.name(), &["PrometheusShut", "1 alert is active: Watchdog"])
        .await?;
    let with = |fields: &Value| {
        let mut gate = gate(&server, &json!({}));
        let first = gate.pointer_mut("/gates/prometheus/0").and_then(Value::as_object_mut);
        if let (Some(first), Some(fields)) = (first, fields.as_object()) {
            first.remove("alerts");
            first.extend(fields.clone());
            first.retain(|_, value| !value.is_null());
        }
        gate
    };
    for (fields, words) in [
        (
            json!({ "query": "up >" }),
            &["GateFailed", "HTTP 400", "bad_data", "parse error"][..],
        ),
        (json!({ "query": "ALERTS[5m]" }), &["GateFailed", "gives a matrix"]),
        (json!({ "query": "1" }), &["GateFailed", "gives a scalar"]),
        (
            json!({ "query": "ALERTS > 0" }),
            &["PrometheusShut", "gives 1 result", "alertname=Watchdog"],
        ),
        (
            json!({ "query": "up", "basicAuth": { "usernameFile": "user", "passwordFile": "user" } }),
            &["GateFailed", "HTTP 401", "basicAuth"],
        ),
        (
            json!({ "query": "up", "basicAuth": { "usernameFile": "user", "passwordFile": "missing" } }),
            &["GateFailed", "gate-secrets/missing", "cannot be read"],
        ),
        (json!({ "query": "up", "caFile": null }), &["GateFailed", "ertificate"]),
    ] {
        change(&fleet, "all", with(&fields)).await?;
        fleet
            .explained(host.name(), words)
            .await
            .with_context(|| format!("{fields}"))?;
    }
    // The same question at the end of the soak, instead of a gate.
    let of_soak = |query: &str| {
        let spec = with(&json!({ "query": query }));
        let questions = spec.pointer("/gates/prometheus").cloned();
        json!({ "gates": null, "backInService": { "prometheus": questions } })
    };
    change(&fleet, "all", of_soak("ALERTS > 0")).await?;
    fleet
        .explained(host.name(), &["WaitsForSoak", "gives 1 result", "alertname=Watchdog"])
        .await?;
    let node = node_state(&fleet.world.node(host.name()).await?);
    ensure!(!node.cordoned, "{node:?}");
    // A query without a result is open.
    change(&fleet, "all", of_soak("up == 0")).await?;
    fleet.rebooted_once(&[host]).await?;
    fleet.finish()
}
