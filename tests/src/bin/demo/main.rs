//! The demo: rolling reboots in the rig, for a user to watch.
//!
//! Everything is real but the machines: see `rig`. It proves nothing; the tests do.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "it shows something to a person at a terminal, and measures how long it took"
)]

mod after;
mod live;
mod observe;
mod policy;

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use bellwether_proto::permission::Role;
use clap::Parser;
use rig::accounts::{self, User};
use rig::collector::Collector;
use rig::services::{Services, ServicesOptions};
use rig::workload::Workload;
use rig::world::{World, WorldOptions};

/// Longer than any fleet of this size needs, so that a fault ends the demo.
const NODE_DEADLINE: Duration = Duration::from_secs(60);

/// The kernel that the update installs.
const NEW_KERNEL: &str = "6.12.48";

/// How long a host is down, and how long a node is watched afterwards: the time that no tool can avoid.
const DOWN: Duration = Duration::from_secs(5);
const SOAK: Duration = Duration::from_secs(1);

/// How long a silent node still counts as Ready: below the time that a host is down, so that the node turns NotReady.
const NODE_GRACE: Duration = Duration::from_secs(3);

/// Shows rolling reboots of simulated hosts on a real control plane.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask demo")]
struct Args {
    /// Number of nodes
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u32).range(1..=50))]
    nodes: u32,

    /// How many may be disrupted at once
    #[arg(long, default_value = "1")]
    slots: NonZeroU32,

    /// File with RebootPolicies to apply first; if they let no node reboot now, the demo shows the reasons and ends
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,

    /// Start Prometheus with the alerts, and an OpenTelemetry collector, beside it
    #[arg(long)]
    observe: bool,

    /// Keep everything running at the end, until Ctrl-C
    #[arg(long)]
    keep: bool,
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
    let began = Instant::now();
    // A mistake shall not cost the start of a control plane.
    let policies = match &args.policy {
        Some(file) => Some(policy::read(file).await?),
        None => None,
    };
    println!(
        "Starting etcd, the Kubernetes control plane, NATS and {} simulated hosts ...",
        args.nodes
    );
    let mut options = WorldOptions {
        nodes: usize::try_from(args.nodes)?,
        domain: "",
        node_grace: NODE_GRACE,
        ..WorldOptions::default()
    };
    options.behaviour.down_for = DOWN;
    let world = World::start(options).await?;
    // A fault keeps the logs for a developer to read; Ctrl-C is none.
    tokio::select! {
        result = show(&world, args, policies.as_deref(), began) => result?,
        result = tokio::signal::ctrl_c() => {
            result?;
            println!("\nStopping everything.");
        }
    }
    world.finish()
}

async fn show(world: &World, args: &Args, policies: Option<&str>, began: Instant) -> Result<()> {
    let web = Workload::new("web").replicas(args.nodes * 2);
    world.create(&web.deployment()?).await?;
    world.create(&web.max_unavailable(2)?).await?;
    world.create(&Workload::new("log-collector").daemon_set()?).await?;
    world.wait_ready_pods("web", usize::try_from(args.nodes * 2)?).await?;
    if let Some(policies) = policies {
        policy::apply(world, policies).await?;
    }
    println!("Starting Bellwether: 2 schedulers, 1 drainer, a sentinel and a rebooter on each host ...");
    let mut options = ServicesOptions::default()
        .set("BELLWETHER_SLOTS", &args.slots.to_string())
        .set("BELLWETHER_SOAK", &format!("{}s", SOAK.as_secs()));
    let collector = match args.observe {
        true => Some(Collector::start(&world.place).await?),
        false => None,
    };
    if let Some(collector) = &collector {
        options = observe::send_traces_to(collector, options);
    }
    let services = Services::start(world, options).await?;
    let leader = services.leader(world).await?;
    println!("Ready after {:.1} s.\n", began.elapsed().as_secs_f64());
    heading("Where to look, while it runs");
    // Until the end of the demo.
    let _prometheus = match &collector {
        Some(collector) => Some(observe::start(world, &services, collector).await?),
        None => None,
    };
    observe::show_services(world, leader, args.observe);

    if policies.is_some() {
        policy::show(world).await?;
    }
    let kubectl = world.kubectl()?;
    heading("kubectl get nodes -o wide");
    println!("{}", kubectl.run(&["get", "nodes", "-o", "wide"], "").await?);
    let before = after::boots(world);

    heading("apt upgrade, on every host");
    for host in world.hosts() {
        host.upgrade_kernel(NEW_KERNEL)?;
    }
    println!("linux-image-{NEW_KERNEL} is installed; /var/run/reboot-required is written.\n");
    heading("kubectl reboots status, live");
    let started = Instant::now();
    let deadline = NODE_DEADLINE * args.nodes;
    let left = live::until_done(world, &services, deadline, policies.is_some()).await?;
    let total = started.elapsed();
    if !left.is_empty() {
        policy::outcome(world, &services, &left).await?;
        return if args.keep {
            keep(world, &services).await
        } else {
            Ok(())
        };
    }

    heading("kubectl get nodes -o wide");
    println!("{}", kubectl.run(&["get", "nodes", "-o", "wide"], "").await?);
    after::show_boots(world, &before)?;
    let attempts = after::show_costs(world).await?;
    let rounds = args.nodes.div_ceil(args.slots.get());
    let ideal = (DOWN + SOAK) * rounds;
    println!(
        "All in {:.1} s; ideal {:.1} s ({rounds} rounds of {} s down and {} s soak, nothing else): {:.2} times the ideal.\n",
        total.as_secs_f64(),
        ideal.as_secs_f64(),
        DOWN.as_secs(),
        SOAK.as_secs(),
        total.as_secs_f64() / ideal.as_secs_f64(),
    );
    let first = attempts.first().context("no attempt was made")?;
    heading(&format!("One trace, across the reboot of {}", first.node));
    let received = || match &collector {
        Some(collector) => collector.spans(),
        None => Ok(world.traces.spans()),
    };
    println!("{}", after::trace(first, received).await?);
    if args.keep {
        keep(world, &services).await?;
    }
    ensure!(
        world.hosts().iter().all(|host| host.reboots() == 1 || args.keep),
        "a host rebooted more than once"
    );
    Ok(())
}

async fn keep(world: &World, services: &Services) -> Result<()> {
    let leader = services.leader(world).await?;
    let api = leader.api_port.context("a scheduler serves an API")?;
    let host = world.host(0)?;
    heading("Everything keeps running. In another terminal:");
    println!("export KUBECONFIG={}", world.control_plane.admin_kubeconfig().display());
    let access = world.nats.access()?;
    println!(
        "export NATS_URL={} NATS_CA={}",
        world.nats.url(),
        access.authorities().display()
    );
    println!(
        "export NATS_USER={} NATS_PASSWORD={}   # may do everything",
        accounts::RIG,
        accounts::PASSWORD
    );
    println!("export BELLWETHER_SCHEDULER=127.0.0.1:{api}");
    let of_drainers = world.nats.settings(&User::control(Role::Drainer));
    let of_drainers: Vec<String> = of_drainers
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    println!("{} YOUR_DRAINER   # in place of the demo's", of_drainers.join(" "));
    println!("{} status --watch", rig::tools::binary("kubectl-reboots")?.display());
    println!(
        "touch {}   # {} needs a reboot",
        host.root().join("var/run/reboot-required").display(),
        host.name()
    );
    println!("\nCtrl-C ends it and leaves nothing behind.");
    std::future::pending().await
}

fn heading(text: &str) {
    println!("--- {text}");
}
