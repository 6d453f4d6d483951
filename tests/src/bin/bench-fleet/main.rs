//! `cargo xtask bench fleet`: what Bellwether costs, and how fast it is, in a large fleet.
//!
//! Real are etcd, the API server, NATS, two schedulers and a drainer, each a process of its own. Simulated are the
//! nodes: their objects have the size of real ones, and one stand-in writes all that kubelets, sentinels and
//! rebooters write. Neither controllers nor kube-scheduler run, and the nodes have no pods: their time is not
//! Bellwether's. With `--drains`, as `cargo xtask bench drains`, there are pods, and one drainer is measured instead.
//! docs/performance.md explains each figure.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a benchmark reads the clock and prints its table"
)]

mod bench;
mod cpu;
mod hosts;
mod load;
mod measure;
mod observer;
mod shape;
mod table;

use std::num::NonZeroU32;
use std::process::ExitCode;

use anyhow::{Result, ensure};
use clap::Parser;

use crate::bench::Bench;
use crate::table::Table;

/// Measures Bellwether with a large simulated fleet on a real API server and NATS.
#[derive(Clone, Debug, Parser)]
#[command(name = "cargo xtask bench fleet")]
struct Args {
    /// Number of nodes
    #[arg(long, default_value_t = 5000, value_parser = clap::value_parser!(u32).range(2..=20_000))]
    nodes: u32,

    /// How many nodes need a reboot at the same moment, in the rollout
    #[arg(long, default_value_t = 200, value_name = "N")]
    rollout: u32,

    /// How many nodes may be disrupted at once
    #[arg(long, default_value = "20", value_name = "N")]
    slots: NonZeroU32,

    /// How many single needs are timed until the cordon; in five seconds come as many as there are slots
    #[arg(long, default_value_t = 200, value_name = "N")]
    needs: u32,

    /// Seconds over which the idle processor time is measured
    #[arg(long, default_value_t = 60, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..=3600))]
    idle: u32,

    /// Measure the drainer only, with so many drains in flight
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=500))]
    drains: Option<u16>,

    /// How many pods the cluster has then
    #[arg(long, default_value_t = 100_000, value_name = "N")]
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
    ensure!(
        args.rollout.saturating_add(args.needs) <= args.nodes,
        "--nodes {} is less than --rollout {} and --needs {} together: each takes nodes of its own",
        args.nodes,
        args.rollout,
        args.needs
    );
    let mut bench = Bench::start(args).await?;
    let mut table = Table::default();
    let result = tokio::select! {
        result = measure_all(&bench.parts, args, &mut table) => result,
        error = bench.background.failed() => Err(error),
    };
    if !table.is_empty() {
        println!("\n{}", table.markdown());
    }
    result?;
    bench.finish()?;
    let missed = table.missed();
    ensure!(missed.is_empty(), "above the limit: {}", missed.join("; "));
    Ok(())
}

async fn measure_all(parts: &bench::Parts, args: &Args, table: &mut Table) -> Result<()> {
    if let Some(drains) = args.drains {
        return measure::drains::measure(parts, args, drains.into(), table).await;
    }
    measure::idle::measure(parts, args, table).await?;
    measure::start::measure(parts, table).await?;
    measure::cordon::measure(parts, args, table).await?;
    measure::rollout::measure(parts, args, table).await?;
    measure::takeover::measure(parts, table).await
}
