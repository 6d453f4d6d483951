//! `cargo xtask bench drain`: how fast a node is emptied, beside kubectl and beside what the API server can do.
//!
//! The ways take turns on the same two halves of a cluster in the same run: each drains the nodes on which the pods are, all
//! at once, and the pods move to the other half. A watch of its own sees when the first node is cordoned and when the pods are
//! gone; the metrics of the API server count the evictions. Bellwether's part begins with its cordon: what its scheduler
//! decides before is no drain.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a benchmark reads the clock and prints its table"
)]

use std::collections::BTreeSet;
use std::fmt;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use clap::Parser;
use futures_util::future::try_join_all;
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::watcher::{self, Event};
use kube::{Api, ResourceExt};
use rig::host::Host;
use rig::record::{NodeRecorder, node_state};
use rig::services::{Services, ServicesOptions};
use rig::wait;
use rig::workload::Workload;
use rig::world::{World, WorldOptions};

/// Longer than any drain takes on busy cores, so that a fault ends the benchmark.
const DEADLINE: Duration = Duration::from_secs(600);

/// The application whose pods are moved.
const APP: &str = "web";

/// Connections over which the floor sends its evictions.
const CONNECTIONS: usize = 8;

/// Most evictions for each pod that Bellwether may send.
const EVICTIONS_MAX: f64 = 1.2;

/// The longest time of Bellwether beside the floor.
const FLOOR_MAX: f64 = 1.3;

/// Measures how fast a node is emptied.
#[derive(Clone, Debug, Parser)]
#[command(name = "cargo xtask bench drain")]
struct Args {
    /// Pods of the node without a disruption budget
    #[arg(long, default_value_t = 110, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=110))]
    pods: u32,

    /// Pods of a node whose budget lets one go at a time
    #[arg(long, default_value_t = 10, value_name = "N", value_parser = clap::value_parser!(u32).range(2..=110))]
    budgeted: u32,

    /// Nodes that are drained at once
    #[arg(long, default_value_t = 10, value_name = "N", value_parser = clap::value_parser!(u8).range(2..=50))]
    nodes: u8,

    /// Pods of each of these nodes
    #[arg(long, default_value_t = 20, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=50))]
    each: u32,

    /// How often each way drains; the median counts
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=20))]
    rounds: u32,
}

/// What is drained.
#[derive(Clone, Copy, Debug)]
struct Load {
    nodes: u8,
    /// Of all nodes together.
    pods: u32,
    /// A budget lets one of them go at a time.
    has_budget: bool,
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { nodes, pods, .. } = self;
        match nodes {
            1 => write!(f, "One node with {pods} pods")?,
            nodes => write!(f, "{nodes} nodes at once with {pods} pods")?,
        }
        f.write_str(if self.has_budget {
            ", of which a budget lets one go at a time"
        } else {
            " without a disruption budget"
        })
    }
}

/// A way to drain nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// All evictions over eight connections, as fast as the API server answers.
    Floor,
    Bellwether,
    Kubectl,
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Floor => "the API server's floor",
            Self::Bellwether => "Bellwether",
            Self::Kubectl => "kubectl drain",
        })
    }
}

/// One drain: from the cordon to the end of the last pod, and the evictions that it took.
#[derive(Clone, Copy, Debug)]
struct Figures {
    took: Duration,
    evictions: f64,
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
    let load = |nodes, pods, has_budget| Load {
        nodes,
        pods,
        has_budget,
    };
    let ways = [Way::Floor, Way::Bellwether, Way::Kubectl];
    // Boxed: the largest part of the future.
    let free = Box::pin(compare(load(1, args.pods, false), args.rounds, &ways)).await?;
    let pods = args.each.saturating_mul(args.nodes.into());
    let many = Box::pin(compare(load(args.nodes, pods, false), args.rounds, &ways)).await?;
    let ways = [Way::Bellwether, Way::Kubectl];
    let budgeted = Box::pin(compare(load(1, args.budgeted, true), args.rounds, &ways)).await?;
    let ratio = |one: Figures, other: Figures| one.took.as_secs_f64() / other.took.as_secs_f64();
    for (nodes, figures) in [(1, free), (args.nodes, many)] {
        let [floor, ours, kubectl] = figures[..] else {
            return Ok(());
        };
        println!(
            "{nodes} nodes: beside the floor {:.2} (limit {FLOOR_MAX}), kubectl beside Bellwether {:.2}",
            ratio(ours, floor),
            ratio(kubectl, ours)
        );
        ensure!(
            ratio(ours, floor) <= FLOOR_MAX,
            "slower than the limit beside the floor"
        );
        ensure!(
            ours.evictions <= EVICTIONS_MAX,
            "more evictions for each pod than {EVICTIONS_MAX}"
        );
    }
    let [ours, kubectl] = budgeted[..] else { return Ok(()) };
    println!("With a budget kubectl beside Bellwether {:.2}", ratio(kubectl, ours));
    ensure!(
        ours.evictions <= EVICTIONS_MAX,
        "more evictions for each pod than {EVICTIONS_MAX}"
    );
    Ok(())
}

/// The median of each way.
async fn compare(load: Load, rounds: u32, ways: &[Way]) -> Result<Vec<Figures>> {
    println!("{load}, median of {rounds}\n");
    let half = usize::from(load.nodes);
    let world = World::start(WorldOptions {
        nodes: 2 * half,
        domain: "",
        ..WorldOptions::default()
    })
    .await?;
    let mut bench = Bench::start(world, load).await?;
    let mut all: Vec<Vec<Figures>> = vec![Vec::new(); ways.len()];
    for _ in 0..rounds {
        for (way, figures) in ways.iter().zip(&mut all) {
            figures.push(bench.drain(*way).await?);
        }
    }
    println!("| way | last pod gone after | evictions for each pod |\n| --- | --- | --- |");
    let mut medians = Vec::new();
    for (way, mut figures) in ways.iter().zip(all) {
        figures.sort_by_key(|figures| figures.took);
        let median = figures.get(figures.len() / 2).copied().context("no round")?;
        println!(
            "| {way} | {:.2} s | {:.2} |",
            median.took.as_secs_f64(),
            median.evictions
        );
        medians.push(median);
    }
    println!();
    drop(bench.services);
    bench.world.finish()?;
    Ok(medians)
}

struct Bench {
    world: World,
    services: Services,
    nodes: NodeRecorder,
    /// How many nodes are drained: the first ones, and then as many others.
    half: usize,
    pods: usize,
    kernels: u32,
}

impl Bench {
    /// All pods on the first half of the nodes, and Bellwether with nothing to do.
    async fn start(world: World, load: Load) -> Result<Self> {
        let half = usize::from(load.nodes);
        let others = world.hosts().split_off(half);
        for other in &others {
            world.set_cordon(other.name(), true).await?;
        }
        let web = Workload::new(APP).replicas(load.pods);
        world.create(&web.deployment()?).await?;
        if load.has_budget {
            world.create(&web.max_unavailable(1)?).await?;
        }
        let pods = usize::try_from(load.pods)?;
        world.wait_ready_pods(APP, pods).await?;
        for other in &others {
            world.set_cordon(other.name(), false).await?;
        }
        let nodes = NodeRecorder::start(world.client()).await?;
        let services = Services::start(
            &world,
            ServicesOptions::default()
                .set("BELLWETHER_DRAIN_TIMEOUT", "10m")
                .set("BELLWETHER_SLOTS", &load.nodes.to_string()),
        )
        .await?;
        services.leader(&world).await?;
        Ok(Self {
            world,
            services,
            nodes,
            half,
            pods,
            kernels: 0,
        })
    }

    /// Drains the nodes that have the pods.
    async fn drain(&mut self, way: Way) -> Result<Figures> {
        let before = self.world.wait_ready_pods(APP, self.pods).await?;
        let of = |pod: &Pod| pod.spec.as_ref().and_then(|spec| spec.node_name.clone());
        let from: BTreeSet<String> = before.iter().filter_map(of).collect();
        let mut hosts = self.world.hosts();
        let mut others = hosts.split_off(self.half);
        if others.iter().any(|host| from.contains(host.name())) {
            std::mem::swap(&mut hosts, &mut others);
        }
        let is_there = |host: &Arc<Host>| from.contains(host.name());
        ensure!(!others.iter().any(is_there), "pods are on both halves of the cluster");
        let evictions = self.evictions().await?;
        self.kernels += 1;
        let kernel = format!("6.12.{}", 48 + self.kernels);
        let began = Instant::now();
        let gone = last_gone(self.changes().await?, &before);
        let (gone_at, ()) = tokio::try_join!(gone, self.empty(way, &hosts, &kernel, &before))?;
        let cordons = self.nodes.changes();
        let cordoned = cordons
            .iter()
            .find(|change| change.at >= began && change.state.is_some_and(|state| state.cordoned));
        let cordoned_at = cordoned.context("no node was cordoned")?.at;
        let sent = self.evictions().await? - evictions;
        for host in &hosts {
            self.world.set_cordon(host.name(), false).await?;
        }
        let pods = u32::try_from(self.pods)?;
        Ok(Figures {
            took: gone_at.duration_since(cordoned_at),
            evictions: sent / f64::from(pods),
        })
    }

    /// The changes of the pods from now on.
    async fn changes(&self) -> Result<Changes> {
        let ours = watcher::Config::default().labels(&format!("app={APP}"));
        let mut events = watcher::watcher(Api::<Pod>::all(self.world.client()), ours).boxed();
        while !matches!(events.try_next().await?, Some(Event::InitDone)) {}
        Ok(events)
    }

    async fn empty(&self, way: Way, hosts: &[Arc<Host>], kernel: &str, pods: &[Pod]) -> Result<()> {
        match way {
            Way::Floor => {
                for host in hosts {
                    self.world.set_cordon(host.name(), true).await?;
                }
                let world = &self.world;
                let evictions = stream::iter(pods).map(|pod| world.evict(pod));
                let answers: Vec<Result<u16>> = evictions.buffer_unordered(CONNECTIONS).collect().await;
                for answer in answers {
                    let answer = answer?;
                    ensure!(answer == 201, "an eviction was answered by {answer}");
                }
                Ok(())
            }
            Way::Kubectl => {
                let drains = hosts.iter().map(async |host| {
                    let args = ["drain", host.name(), "--ignore-daemonsets", "--delete-emptydir-data"];
                    self.world.kubectl()?.run(&args, "").await.map(drop)
                });
                try_join_all(drains).await.map(drop)
            }
            Way::Bellwether => {
                let reboots: Vec<usize> = hosts.iter().map(|host| host.reboots()).collect();
                for host in hosts {
                    host.upgrade_kernel(kernel)?;
                }
                wait::until("all nodes to be rebooted and back", DEADLINE, async || {
                    for (host, reboots) in hosts.iter().zip(&reboots) {
                        ensure!(host.reboots() > *reboots, "no reboot yet");
                        let state = node_state(&self.world.node(host.name()).await?);
                        ensure!(!state.is_disrupted(), "{} is {state:?}", host.name());
                    }
                    Ok(())
                })
                .await
            }
        }
    }

    /// The evictions that the API server has answered so far, whatever the answer.
    async fn evictions(&self) -> Result<f64> {
        let metrics = self.world.kubectl()?.run(&["get", "--raw", "/metrics"], "").await?;
        let of_evictions = metrics
            .lines()
            .filter(|line| line.starts_with("apiserver_request_total{") && line.contains("subresource=\"eviction\""));
        let counts = of_evictions.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
        Ok(counts.sum())
    }
}

/// The changes of pods.
type Changes = BoxStream<'static, watcher::Result<Event<Pod>>>;

/// When the last of these pods is gone.
async fn last_gone(mut changes: Changes, pods: &[Pod]) -> Result<Instant> {
    let mut left: BTreeSet<Option<String>> = pods.iter().map(ResourceExt::uid).collect();
    wait::within("the pods to be gone", DEADLINE, async {
        while !left.is_empty() {
            if let Event::Delete(pod) = changes.try_next().await?.context("the watch ended")? {
                left.remove(&pod.uid());
            }
        }
        Ok(Instant::now())
    })
    .await
}
