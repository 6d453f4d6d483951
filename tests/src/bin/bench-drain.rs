//! `cargo xtask bench drain`: how fast a node is emptied, beside kubectl and beside what the API server can do.
//!
//! The ways take turns on the same two nodes in the same run: each drains the node on which the pods are, and they move to
//! the other one. A watch of its own sees when the node is cordoned and when its pods are gone; the metrics of the API
//! server count the evictions. Bellwether's part begins with its cordon: what its scheduler decides before is no drain.
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

    /// How often each way drains; the median counts
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=20))]
    rounds: u32,
}

/// A way to drain a node.
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
    println!(
        "{} pods without a disruption budget, median of {}\n",
        args.pods, args.rounds
    );
    let ways = [Way::Floor, Way::Bellwether, Way::Kubectl];
    // Boxed: the largest part of the future.
    let free = Box::pin(compare(args.pods, false, args.rounds, &ways)).await?;
    println!(
        "\n{} pods of a budget that lets one go at a time, median of {}\n",
        args.budgeted, args.rounds
    );
    let ways = [Way::Bellwether, Way::Kubectl];
    let budgeted = Box::pin(compare(args.budgeted, true, args.rounds, &ways)).await?;
    let [floor, ours, kubectl] = free[..] else {
        return Ok(());
    };
    let ratio = |one: Figures, other: Figures| one.took.as_secs_f64() / other.took.as_secs_f64();
    println!(
        "\nBeside the floor {:.2} (limit {FLOOR_MAX}), kubectl beside Bellwether {:.2}",
        ratio(ours, floor),
        ratio(kubectl, ours)
    );
    ensure!(
        ratio(ours, floor) <= FLOOR_MAX,
        "slower than the limit beside the floor"
    );
    let [ours, kubectl] = budgeted[..] else { return Ok(()) };
    println!("With a budget kubectl beside Bellwether {:.2}", ratio(kubectl, ours));
    ensure!(
        ours.evictions <= EVICTIONS_MAX,
        "more evictions for each pod than {EVICTIONS_MAX}"
    );
    Ok(())
}

/// The median of each way.
async fn compare(pods: u32, budgeted: bool, rounds: u32, ways: &[Way]) -> Result<Vec<Figures>> {
    let world = World::start(WorldOptions {
        nodes: 2,
        domain: "",
        ..WorldOptions::default()
    })
    .await?;
    let mut bench = Bench::start(world, pods, budgeted).await?;
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
    drop(bench.services);
    bench.world.finish()?;
    Ok(medians)
}

struct Bench {
    world: World,
    services: Services,
    nodes: NodeRecorder,
    pods: usize,
    kernels: u32,
}

impl Bench {
    /// All pods on the first node, and Bellwether with nothing to do.
    async fn start(world: World, pods: u32, budgeted: bool) -> Result<Self> {
        let second = world.host(1)?;
        world.set_cordon(second.name(), true).await?;
        let web = Workload::new(APP).replicas(pods);
        world.create(&web.deployment()?).await?;
        if budgeted {
            world.create(&web.max_unavailable(1)?).await?;
        }
        let pods = usize::try_from(pods)?;
        world.wait_ready_pods(APP, pods).await?;
        world.set_cordon(second.name(), false).await?;
        let nodes = NodeRecorder::start(world.client()).await?;
        let services = Services::start(
            &world,
            ServicesOptions::default().set("BELLWETHER_DRAIN_TIMEOUT", "10m"),
        )
        .await?;
        services.leader(&world).await?;
        Ok(Self {
            world,
            services,
            nodes,
            pods,
            kernels: 0,
        })
    }

    /// Drains the node that has the pods.
    async fn drain(&mut self, way: Way) -> Result<Figures> {
        let before = self.world.wait_ready_pods(APP, self.pods).await?;
        let of = |pod: &Pod| pod.spec.as_ref().and_then(|spec| spec.node_name.clone());
        let from = before.first().and_then(of).context("no pod")?;
        ensure!(
            before.iter().all(|pod| of(pod).as_ref() == Some(&from)),
            "the pods are on several nodes"
        );
        let host = self.world.hosts().into_iter().find(|host| host.name() == from);
        let host = host.context("an unknown node")?;
        let evictions = self.evictions().await?;
        self.kernels += 1;
        let kernel = format!("6.12.{}", 48 + self.kernels);
        let began = Instant::now();
        let gone = last_gone(self.changes(&from).await?, &before);
        let (gone_at, ()) = tokio::try_join!(gone, self.empty(way, &host, &kernel, &before))?;
        let cordons = self.nodes.changes();
        let cordoned = cordons.iter().find(|change| {
            change.at >= began && change.node == from && change.state.is_some_and(|state| state.cordoned)
        });
        let cordoned_at = cordoned.context("the node was not cordoned")?.at;
        let sent = self.evictions().await? - evictions;
        self.world.set_cordon(&from, false).await?;
        let pods = u32::try_from(self.pods)?;
        Ok(Figures {
            took: gone_at.duration_since(cordoned_at),
            evictions: sent / f64::from(pods),
        })
    }

    /// The changes of the pods on this node from now on.
    async fn changes(&self, node: &str) -> Result<Changes> {
        let on_node = watcher::Config::default().fields(&format!("spec.nodeName={node}"));
        let mut events = watcher::watcher(Api::<Pod>::all(self.world.client()), on_node).boxed();
        while !matches!(events.try_next().await?, Some(Event::InitDone)) {}
        Ok(events)
    }

    async fn empty(&self, way: Way, host: &Arc<Host>, kernel: &str, pods: &[Pod]) -> Result<()> {
        match way {
            Way::Floor => {
                self.world.set_cordon(host.name(), true).await?;
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
                let args = ["drain", host.name(), "--ignore-daemonsets", "--delete-emptydir-data"];
                self.world.kubectl()?.run(&args, "").await.map(drop)
            }
            Way::Bellwether => {
                let reboots = host.reboots();
                host.upgrade_kernel(kernel)?;
                wait::until("the node to be rebooted and back", DEADLINE, async || {
                    ensure!(host.reboots() > reboots, "no reboot yet");
                    let state = node_state(&self.world.node(host.name()).await?);
                    ensure!(!state.is_disrupted(), "the node is {state:?}");
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
