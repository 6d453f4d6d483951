//! `cargo xtask bench reconnects`: how long a fleet's agents need to be let in again, all at once.
//!
//! A real NATS server with its gatekeeper and a real API server; the clients wait between tries as the services do. They
//! come three times: as the gatekeeper knows none of them, after a crash of the server alone, and after one of the server
//! and the gatekeeper together. Beside it stands the floor: the API server reviews the same tokens over as many connections
//! as the gatekeeper uses.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a benchmark reads the clock and prints its table"
)]

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use async_nats::{Client, Event};
use bellwether_proto::{NodeName, subject};
use clap::Parser;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec};
use kube::Api;
use kube::api::PostParams;
use rig::gate::{AUDIENCE, Cluster, Gate};
use rig::services::AGENTS;
use rig::wait;

/// So many requests the gatekeeper has under way at once, and so has the floor.
const AT_ONCE: usize = 32;

/// Longer than any part takes on busy cores, so that a fault ends the benchmark.
const DEADLINE: Duration = Duration::from_secs(300);

/// The waits between two tries of the services (`chassis/src/nats/pace.rs`).
const WAITS: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// The longest time until the last client is in. What takes the time is neither the gatekeeper nor the API server, but a
/// thousand handshakes at once on two cores: a client that waits for more than 1.8 s for its turn has to come again.
const LIMIT: Duration = Duration::from_secs(30);

/// Measures how long clients need to be let in, all at once.
#[derive(Clone, Debug, Parser)]
#[command(name = "cargo xtask bench reconnects")]
struct Args {
    /// Number of clients, each the sentinel of a node of its own
    #[arg(long, default_value_t = 1000, value_name = "N", value_parser = clap::value_parser!(u32).range(2..=10_000))]
    clients: u32,
}

/// A client, and how often it has tried since it was in last.
struct Agent {
    node: NodeName,
    token: String,
    tries: Arc<AtomicUsize>,
    connections: Arc<AtomicUsize>,
}

#[tokio::main]
async fn main() -> ExitCode {
    match Box::pin(run(&Args::parse())).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: &Args) -> Result<()> {
    let cluster = Cluster::start().await?;
    let gate = cluster.gate(&[]).await?;
    println!("{} clients; their pods and tokens are made ...", args.clients);
    let agents = agents(&cluster, args.clients).await?;
    let floor = floor(&cluster, &agents).await?;
    println!("\n| | the last client is in after | tries of a client, at most | reviews | limit |");
    println!("| --- | --- | --- | --- | --- |");
    println!(
        "| the API server alone reviews the tokens | {:.1} s | – | {} | – |",
        floor.as_secs_f64(),
        agents.len()
    );

    let mut clients = Vec::new();
    let first = round("none of them is known", LIMIT, &gate, &agents, 1, async || {
        let connecting = agents.iter().map(|agent| connect(&cluster, &gate, agent));
        clients = futures_util::future::try_join_all(connecting).await?;
        Ok(())
    });
    let first = first.await?;
    let second = round("the server has crashed", LIMIT, &gate, &agents, 2, async || {
        gate.nats.kill9();
        gate.nats.restart().await
    });
    let second = second.await?;
    let third = round(
        "server and gatekeeper have crashed",
        LIMIT,
        &gate,
        &agents,
        3,
        async || {
            gate.nats.kill9();
            gate.gatekeeper.process.kill9();
            gate.gatekeeper.process.restart()?;
            gate.nats.restart().await
        },
    );
    let third = third.await?;
    ensure!(first && second && third, "a time is above its limit");
    drop(clients);
    cluster.finish();
    Ok(())
}

/// The agents with their tokens.
async fn agents(cluster: &Cluster, number: u32) -> Result<Vec<Agent>> {
    let making = (0..number).map(async |number| {
        let name = format!("node-{number}");
        let account = (AGENTS, "sentinel");
        let pod = cluster.pod(account, &format!("sentinel-{number}"), Some(&name)).await?;
        anyhow::Ok(Agent {
            node: name.parse()?,
            token: cluster.projected(account, &pod).await?,
            tries: Arc::default(),
            connections: Arc::default(),
        })
    });
    stream::iter(making).buffer_unordered(AT_ONCE).try_collect().await
}

/// How long the API server needs for the reviews alone.
async fn floor(cluster: &Cluster, agents: &[Agent]) -> Result<Duration> {
    let reviews: Api<TokenReview> = Api::all(cluster.admin.clone());
    let begun = Instant::now();
    let reviewing = agents.iter().map(async |agent| {
        let spec = TokenReviewSpec {
            audiences: Some(vec![AUDIENCE.to_owned()]),
            token: Some(agent.token.clone()),
        };
        let review = TokenReview {
            spec,
            ..TokenReview::default()
        };
        let status = reviews.create(&PostParams::default(), &review).await?.status;
        ensure!(
            status.and_then(|it| it.authenticated) == Some(true),
            "a token is refused"
        );
        Ok(())
    });
    stream::iter(reviewing)
        .buffer_unordered(AT_ONCE)
        .try_collect::<()>()
        .await?;
    // The API server remembers a review for ten seconds: the gatekeeper's must cost the same.
    tokio::time::sleep(Duration::from_secs(11)).await;
    Ok(begun.elapsed() - Duration::from_secs(11))
}

/// Starts a client that tries until it is in.
async fn connect(cluster: &Cluster, gate: &Gate, agent: &Agent) -> Result<Client> {
    let (tries, connections) = (Arc::clone(&agent.tries), Arc::clone(&agent.connections));
    let options = cluster.trusting(AGENTS).await?;
    let client = options
        .token(agent.token.clone())
        .custom_inbox_prefix(subject::inbox("sentinel", Some(&agent.node.token())))
        .retry_on_initial_connect()
        .reconnect_delay_callback(move |attempts| {
            tries.fetch_max(attempts, Ordering::Relaxed);
            let (shortest, longest) = WAITS;
            let doubled =
                shortest * 2_u32.saturating_pow(u32::try_from(attempts.saturating_sub(1)).unwrap_or(u32::MAX).min(10));
            doubled.min(longest).mul_f64(fastrand::f64() + 0.5)
        })
        .event_callback(move |event| {
            let connections = Arc::clone(&connections);
            async move {
                if event == Event::Connected {
                    connections.fetch_add(1, Ordering::Relaxed);
                }
            }
        })
        .connect(gate.nats.own_url())
        .await?;
    Ok(client)
}

/// Does `begin`, waits until each client has connected so often, and prints a line. False: it took longer than the limit.
async fn round(
    title: &str,
    limit: Duration,
    gate: &Gate,
    agents: &[Agent],
    connections: usize,
    begin: impl AsyncFnOnce() -> Result<()>,
) -> Result<bool> {
    for agent in agents {
        agent.tries.store(0, Ordering::Relaxed);
    }
    let begun = Instant::now();
    begin().await?;
    wait::until("all clients to be in", DEADLINE, async || {
        let out = agents
            .iter()
            .filter(|agent| agent.connections.load(Ordering::Relaxed) < connections)
            .count();
        ensure!(out == 0, "{out} are out");
        Ok(())
    })
    .await?;
    let took = begun.elapsed();
    let tries = agents.iter().map(|agent| agent.tries.load(Ordering::Relaxed)).max();
    let reviews = gate
        .gatekeeper
        .metric("bellwether_gatekeeper_review_seconds_count")
        .await?;
    let kept = took <= limit;
    println!(
        "| {title} | {:.1} s | {} | {reviews:.0} in total | {:.0} s, {} |",
        took.as_secs_f64(),
        tries.context("no client")?,
        limit.as_secs_f64(),
        if kept { "kept" } else { "NOT KEPT" }
    );
    Ok(kept)
}
