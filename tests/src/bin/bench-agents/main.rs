//! `cargo xtask bench agents`: what the two agents take of a node.
//!
//! Both run as built for their images, on a simulated host, as users of a real NATS server with accounts and TLS. First
//! nothing happens for a while, then the host needs a reboot and a record orders it. Beside the agents stand processes of
//! this machine, by their ids. docs/footprint.md explains each figure.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a benchmark reads the clock and prints its table"
)]

mod process;
mod scene;
mod table;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use clap::Parser;

use crate::process::{Memory, Work, binary_bytes, memory};
use crate::scene::Scene;
use crate::table::{Table, Unit};

/// Of both binaries, in bytes.
const BINARIES_MAX: f64 = 7e6;

/// Of the memory of both, in KiB.
const MEMORY_MAX: f64 = 8.0 * 1024.0;

/// Of the processor time of both, in seconds an hour.
const CPU_MAX: f64 = 1.0;

/// How often threads are looked at. A thread without work lives for ten seconds, so none is missed.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Measures the two agents of a node, beside other processes.
#[derive(Clone, Debug, Parser)]
#[command(name = "cargo xtask bench agents")]
struct Args {
    /// The sentinel's binary
    #[arg(long, value_name = "FILE")]
    sentinel: PathBuf,

    /// The rebooter's binary
    #[arg(long, value_name = "FILE")]
    rebooter: PathBuf,

    /// Seconds over which wake-ups, processor time and bytes on the wire are counted; each agent stores its report
    /// once in 300
    #[arg(long, default_value_t = 300, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..=86_400))]
    idle: u32,

    /// Show a process of this machine beside the agents; may be given more than once
    #[arg(long = "pid", value_name = "PID")]
    pids: Vec<u32>,
}

/// A process that is measured.
struct Subject {
    name: String,
    pid: u32,
}

/// What a process took.
struct Taken {
    binary: u64,
    idle: Memory,
    work: Work,
    busy: Memory,
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
    let others: Vec<Subject> = args.pids.iter().map(|pid| other(*pid)).collect::<Result<_>>()?;
    let scene = Scene::start(&args.sentinel, &args.rebooter).await?;
    let agents = scene.pids()?.into_iter();
    let agents = agents.map(|(name, pid)| Subject {
        name: name.to_owned(),
        pid,
    });
    let subjects: Vec<Subject> = agents.chain(others).collect();
    println!("Both agents are ready; for {} s nothing happens ...", args.idle);

    let sent = scene.bytes_on_the_wire();
    let begun = Instant::now();
    let works = watch(&subjects, begun, Duration::from_secs(args.idle.into())).await?;
    let seconds = begun.elapsed().as_secs_f64();
    let wire = scene.bytes_on_the_wire().into_iter().zip(sent);
    let wire: Vec<u64> = wire.map(|(now, before)| now - before).collect();
    let idle: Vec<Memory> = subjects.iter().map(|it| memory(it.pid)).collect::<Result<_>>()?;

    println!("The host needs a reboot, by {} ...", scene.method());
    scene.reboot().await?;
    let mut taken = Vec::new();
    for ((subject, work), idle) in subjects.iter().zip(works).zip(idle) {
        taken.push(Taken {
            binary: binary_bytes(subject.pid)?,
            idle,
            work,
            busy: memory(subject.pid)?,
        });
    }
    let others = subjects.iter().skip(2).map(|it| it.name.clone());
    let table = fill(Table::new(others.collect()), &taken, &wire, seconds);
    println!("\n{}", table.markdown());
    scene.finish()?;
    let missed = table.missed();
    ensure!(missed.is_empty(), "above the limit: {}", missed.join("; "));
    Ok(())
}

/// A process that is not ours, by the name that the kernel shows.
fn other(pid: u32) -> Result<Subject> {
    let path = format!("/proc/{pid}/comm");
    let name = std::fs::read_to_string(&path).with_context(|| format!("--pid {pid}: cannot read {path}"))?;
    let name = name.trim().to_owned();
    Ok(Subject { name, pid })
}

/// Looks at all threads again and again, for this time.
async fn watch(subjects: &[Subject], begun: Instant, time: Duration) -> Result<Vec<Work>> {
    let mut works: Vec<Work> = subjects.iter().map(|_| Work::default()).collect();
    loop {
        for (subject, work) in subjects.iter().zip(&mut works) {
            let looked = work.look(subject.pid);
            looked.with_context(|| format!("{} has ended", subject.name))?;
        }
        let left = time.saturating_sub(begun.elapsed());
        if left.is_zero() {
            return Ok(works);
        }
        tokio::time::sleep(LOOK_INTERVAL.min(left)).await;
    }
}

fn fill(mut table: Table, taken: &[Taken], wire: &[u64], seconds: f64) -> Table {
    let all = |value: &dyn Fn(&Taken) -> f64| taken.iter().map(|it| Some(value(it))).collect::<Vec<_>>();
    let hours = seconds / 3600.0;
    let (memory, cpu) = (Some(MEMORY_MAX), Some(CPU_MAX));
    table.add(
        "binary",
        Unit::Megabytes,
        Some(BINARIES_MAX),
        &all(&|it| number(it.binary)),
    );
    table.add("RSS, idle", Unit::Mebibytes, memory, &all(&|it| number(it.idle.rss)));
    table.add("PSS, idle", Unit::Mebibytes, None, &all(&|it| number(it.idle.pss)));
    let dirty = all(&|it| number(it.idle.dirty));
    table.add("private and written, idle", Unit::Mebibytes, None, &dirty);
    let rss = all(&|it| number(it.busy.rss));
    table.add("RSS after a call for a reboot", Unit::Mebibytes, memory, &rss);
    let peak = all(&|it| number(it.busy.peak));
    table.add("RSS at most, start and call included", Unit::Mebibytes, memory, &peak);
    let wakes = all(&|it| number(it.work.wakes()) * 60.0 / seconds);
    table.add("wake-ups in a minute, idle", Unit::Count, None, &wakes);
    let processor = all(&|it| it.work.cpu_seconds() / hours);
    table.add("processor time in an hour, idle", Unit::Seconds, cpu, &processor);
    let known = wire.iter().map(|bytes| Some(number(*bytes) / hours));
    let wire: Vec<Option<f64>> = known.chain(std::iter::repeat(None)).take(taken.len()).collect();
    table.add(
        "bytes to and from NATS in an hour, idle, with TLS",
        Unit::Kilobytes,
        None,
        &wire,
    );
    table
}

/// Figures of a process are far below the 2^52 above which this would round.
#[expect(clippy::cast_precision_loss, reason = "see above")]
fn number(value: u64) -> f64 {
    value as f64
}
