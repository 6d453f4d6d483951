//! `cargo xtask soak`: fifty nodes need reboots again and again, while parts of the cluster are killed and stopped at
//! random; an independent watch of the API server judges what happens to pods, budgets and nodes.
//!
//! Real are API server, controllers, kube-scheduler, etcd, NATS and Bellwether; hosts and kubelets are simulated. The
//! mishaps come by a seed, and the run around them is as irregular as real processes are: a seed gives the same mishaps
//! again, not the same run.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a command line that prints its report, and lets time pass"
)]

mod figures;
mod judge;
mod load;
mod mishap;
mod needs;
mod witness;

use std::num::NonZeroU32;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use clap::Parser;
use rig::bus::Bus;
use rig::services::{Services, ServicesOptions};
use rig::wait;
use rig::world::{World, WorldOptions};
use tokio::time::{Instant, sleep};

use crate::figures::Figures;
use crate::judge::Judge;
use crate::load::Load;
use crate::mishap::{Course, Tally, Target};
use crate::needs::Needs;
use crate::witness::Witness;

/// Longer than 1,500 pods need to start on two busy cores.
const LOAD_DEADLINE: Duration = Duration::from_secs(600);

/// Longer than an attempt lasts at most, by the time-outs below, with a restart of everything in it.
const QUIET_DEADLINE: Duration = Duration::from_secs(300);

/// How often the run looks whether a promise is broken, and how often it states how far it is.
const LOOK: Duration = Duration::from_secs(5);
const STATE: Duration = Duration::from_secs(30);

/// How long a silent node still counts as Ready: longer than the API server is away, since otherwise all nodes would be
/// not Ready after each of its mishaps, and no drain would progress.
const NODE_GRACE: Duration = Duration::from_secs(20);

/// Soaks Bellwether in a cluster whose parts die.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask soak")]
struct Args {
    /// Minutes of mishaps; start and end take a few more
    #[arg(long, default_value_t = 10, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=600))]
    minutes: u32,

    /// Number of nodes, each with thirty pods
    #[arg(long, default_value_t = 50, value_name = "N", value_parser = clap::value_parser!(u32).range(10..=50))]
    nodes: u32,

    /// How many may be disrupted at once
    #[arg(long, default_value = "5", value_name = "N")]
    slots: NonZeroU32,

    /// The mishaps of this seed; else of a random one
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
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
    let seed = args.seed.unwrap_or_else(|| fastrand::u64(..1_000_000));
    println!(
        "Seed {seed}; the same mishaps again: cargo xtask soak --minutes {} --nodes {} --slots {} --seed {seed}",
        args.minutes, args.nodes, args.slots
    );
    let began = Instant::now();
    let world = World::start(WorldOptions {
        nodes: usize::try_from(args.nodes)?,
        domain: "",
        node_grace: NODE_GRACE,
        ..WorldOptions::default()
    })
    .await?;
    // A hundred logs would hide the verdict.
    world.place.be_quiet();
    let load = Load::new(args.nodes);
    let slots = usize::try_from(args.slots.get())?;
    let witness = Witness::start(world.client(), Judge::new(slots, load.budgets()));
    let soak = Soak {
        args,
        seed,
        world,
        witness,
        load,
        began,
    };
    let violations = Box::pin(soak.run()).await?;
    let logs = soak.world.place.path().join("logs");
    if violations.is_empty() {
        println!("\nNo promise was broken.");
        return soak.world.finish();
    }
    println!("\nBroken, see the logs in {}:", logs.display());
    for violation in &violations {
        println!("  {violation}");
    }
    let first = violations.first().map(String::as_str).unwrap_or_default();
    bail!("{} promises were broken; the first: {first}", violations.len())
}

struct Soak<'a> {
    args: &'a Args,
    seed: u64,
    world: World,
    witness: Witness,
    load: Load,
    began: Instant,
}

impl Soak<'_> {
    /// Returns what was broken.
    async fn run(&self) -> Result<Vec<String>> {
        tokio::select! {
            kept = self.load.keep(&self.world, &self.witness) => kept.map(|()| vec![]),
            kept = self.keep_control_plane() => kept.map(|()| vec![]),
            ran = self.in_loaded_cluster() => ran,
        }
    }

    async fn in_loaded_cluster(&self) -> Result<Vec<String>> {
        let (world, load) = (&self.world, self.load);
        println!("{} pods on {} nodes start ...", load.pods(), self.args.nodes);
        load.create(world).await?;
        wait::until("all pods to be ready", LOAD_DEADLINE, async || {
            let ready = self.witness.judge().ready();
            ensure!(ready == load.pods(), "{ready} of {} are", load.pods());
            Ok(())
        })
        .await?;
        let options = ServicesOptions {
            drainers: 2,
            ..ServicesOptions::default()
                .set("BELLWETHER_SLOTS", &self.args.slots.to_string())
                .set("BELLWETHER_DRAIN_TIMEOUT", "90s")
                .set("BELLWETHER_REBOOT_START_TIMEOUT", "30s")
        };
        let services = Services::start(world, options).await?;
        services.leader(world).await?;
        println!(
            "Ready after {:.0} s; mishaps begin.",
            self.began.elapsed().as_secs_f64()
        );

        let tally = Tally::default();
        let mut needs = Needs::new(world.hosts(), self.seed);
        let end = Instant::now() + Duration::from_secs(u64::from(self.args.minutes) * 60);
        let ended = tokio::select! {
            mishaps = self.mishaps(&services, &tally, end) => mishaps.map(|()| true),
            needs = needs.run(&self.witness, end) => needs.map(|()| true),
            () = self.broken() => Ok(false),
        };
        // A run that has broken a promise shows its figures as it is.
        if ended? {
            println!("The mishaps are over; attempts end.");
            tokio::select! {
                quiet = self.quiet(&services) => quiet?,
                needs = needs.run(&self.witness, end) => needs?,
            }
            self.witness.judge().conclude();
        }
        let events = Bus::connect(&world.nats).await?.all_events().await.unwrap_or_default();
        let judge = self.witness.judge();
        Figures::of(&events).show(&judge, &tally, needs.counts());
        Ok(judge.violations().to_vec())
    }

    /// Starts controllers and kube-scheduler again when they end, as a kubelet does: a kube-scheduler ends by itself when
    /// an API server that was killed has left its cache wrong.
    async fn keep_control_plane(&self) -> Result<()> {
        let plane = &self.world.control_plane;
        loop {
            sleep(LOOK).await;
            for process in [&plane.controller_manager, &plane.scheduler] {
                if process.exited().is_some() {
                    println!("           {} has ended by itself, and starts again", process.name());
                    process.restart()?;
                }
            }
        }
    }

    /// All mishaps until `end`; everything runs again when they are over.
    async fn mishaps(&self, services: &Services, tally: &Tally, end: Instant) -> Result<()> {
        let drainers = services.drainers.iter().map(|it| &*it.process).collect();
        let schedulers = services.schedulers.iter().map(|it| &*it.process).collect();
        let course = |target, processes| Course::new(target, processes, self.seed, tally).run(end);
        let rest = async {
            let begin = Instant::now();
            while Instant::now() < end {
                sleep(STATE.min(end - Instant::now())).await;
                let judge = self.witness.judge();
                println!(
                    "{:7.1} s  {} cordons, {} evictions, now cordoned: {}",
                    begin.elapsed().as_secs_f64(),
                    judge.cordons(),
                    judge.evictions(),
                    judge.cordoned().join(" ")
                );
            }
            Ok(())
        };
        tokio::try_join!(
            course(Target::Drainer, drainers),
            course(Target::Scheduler, schedulers),
            course(Target::Nats, vec![&self.world.nats.process]),
            course(Target::ApiServer, vec![&self.world.control_plane.api_server]),
            rest,
        )
        .map(drop)
    }

    /// Returns once a promise is broken.
    async fn broken(&self) {
        while self.witness.judge().violations().is_empty() {
            sleep(LOOK).await;
        }
    }

    /// Lets no attempt begin, and waits until none is in progress.
    async fn quiet(&self, services: &Services) -> Result<()> {
        wait::until("the scheduler to pause", QUIET_DEADLINE, async || {
            services.ctl_ok(&["pause", "--reason", "the soak ends"]).await
        })
        .await?;
        let bus = Bus::connect(&self.world.nats).await?;
        let ended = wait::until("all attempts to end", QUIET_DEADLINE, async || {
            for host in self.world.hosts() {
                if let Some(attempt) = bus.attempt(host.name()).await? {
                    let (node, phase) = (host.name(), attempt.phase);
                    ensure!(phase.is_ended(), "the attempt on {node} is {}", phase.as_str());
                }
            }
            // The watch of nodes may be a moment late.
            let marked = self.witness.judge().marked();
            ensure!(
                marked.is_empty(),
                "nodes carry the mark of an attempt: {}",
                marked.join(", ")
            );
            Ok(())
        });
        if let Err(error) = ended.await {
            self.witness.judge().violate(format!("{error:#}"));
        }
        Ok(())
    }
}
