//! `cargo xtask bench pods`: how often a rollout moves a pod, with the real kube-scheduler.
//!
//! Counted are the pods that drainers report as gone from their nodes, of one Deployment, without any disruption budget.
//! Time plays no part: a busy machine gives the same figures.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a benchmark prints its table"
)]

use std::num::NonZeroU32;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use bellwether_proto::subject::{self, Topic};
use bellwether_proto::{Fact, NodeEvent, decode};
use clap::Parser;
use futures_util::StreamExt as _;
use rig::services::{Services, ServicesOptions};
use rig::wait;
use rig::workload::Workload;
use rig::world::{World, WorldOptions};

/// Longer than any node needs on busy cores, so that a fault ends the benchmark.
const NODE_DEADLINE: Duration = Duration::from_secs(60);

/// The most evictions for each pod under a policy with defaults.
const LIMIT: f64 = 1.05;

/// Measures how often a rollout moves a pod.
#[derive(Clone, Debug, Parser)]
#[command(name = "cargo xtask bench pods")]
struct Args {
    /// Number of nodes, all of which need a reboot at once
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u32).range(2..=100))]
    nodes: u32,

    /// How many may be disrupted at once
    #[arg(long, default_value = "4", value_name = "N")]
    slots: NonZeroU32,

    /// Number of pods
    #[arg(long, default_value_t = 60, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=2000))]
    pods: u32,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(&Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: &Args) -> Result<()> {
    println!("{} nodes, {} slots, {} pods\n", args.nodes, args.slots, args.pods);
    println!("| rollout | evictions | for each pod |\n| --- | --- | --- |");
    let mut figures = Vec::new();
    for (title, spec) in [
        ("without the taint of waiting nodes", "{ waitingTaint: None }"),
        ("by default", "{}"),
    ] {
        // Boxed: the largest part of the future.
        let evictions = Box::pin(evictions(args, spec)).await?;
        let for_each = f64::from(evictions) / f64::from(args.pods);
        println!("| {title} | {evictions} | {for_each:.3} |");
        figures.push(for_each);
    }
    let by_default = figures.last().copied().unwrap_or_default();
    println!("\nLimit by default: {LIMIT} for each pod");
    ensure!(by_default <= LIMIT, "above the limit: {by_default:.3}");
    Ok(())
}

/// The evictions of one rollout under a policy with this spec.
async fn evictions(args: &Args, spec: &str) -> Result<u32> {
    let world = World::start(WorldOptions {
        nodes: usize::try_from(args.nodes)?,
        domain: "",
        ..WorldOptions::default()
    })
    .await?;
    let web = Workload::new("web").replicas(args.pods);
    world.create(&web.deployment()?).await?;
    world.wait_ready_pods("web", usize::try_from(args.pods)?).await?;
    let policy = format!(
        "{{ apiVersion: bellwether.dev/v1alpha1, kind: RebootPolicy, metadata: {{ name: all }}, spec: {spec} }}"
    );
    world.kubectl()?.run(&["apply", "-f", "-"], &policy).await?;
    let mut events = world.nats.client().await?.subscribe(subject::ALL_EVENTS).await?;
    let options = ServicesOptions::default().set("BELLWETHER_SLOTS", &args.slots.to_string());
    let services = Services::start(&world, options).await?;
    services.leader(&world).await?;
    services.ctl_ok(&["pause", "--reason", "until all nodes wait"]).await?;
    for host in world.hosts() {
        host.upgrade_kernel("6.12.48")?;
    }
    wait::until("all nodes to wait", NODE_DEADLINE, async || {
        let table = services.ctl_ok(&["status"]).await?;
        let waiting = table.lines().filter(|line| line.contains("Waiting")).count();
        ensure!(waiting >= world.hosts().len(), "{waiting} do");
        Ok(())
    })
    .await?;
    services.ctl_ok(&["resume"]).await?;
    let mut evictions = 0;
    let drains = async {
        for _ in world.hosts() {
            evictions += next_drained(&mut events).await?;
        }
        Ok(())
    };
    wait::within("the rollout to end", NODE_DEADLINE * args.nodes, drains).await?;
    drop(services);
    world.finish()?;
    Ok(evictions)
}

/// The pods gone from the next node that is drained.
async fn next_drained(events: &mut async_nats::Subscriber) -> Result<u32> {
    loop {
        let message = events.next().await.context("the subscription ended")?;
        if !matches!(Topic::parse(&message.subject), Some(Topic::Event(..))) {
            continue;
        }
        let headers = message.headers.unwrap_or_default();
        let event: NodeEvent = decode(|name| headers.get(name).map(|it| it.as_str()), &message.payload)?;
        if let Fact::Drained { pods_gone, .. } = event.fact {
            return Ok(pods_gone);
        }
    }
}
