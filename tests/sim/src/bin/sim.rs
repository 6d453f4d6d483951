//! `cargo xtask sim`: runs seeds on all processors, and prints the story of the first one that fails.
#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a command line for developers, which measures its own speed"
)]

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use bellwether_sim::setup::Plot;
use bellwether_sim::{Check, Options, Outcome, Setup, run};
use clap::{Parser, ValueEnum};

/// Simulates clusters by seed, and judges each run.
#[derive(Debug, Parser)]
#[command(name = "sim", bin_name = "cargo xtask sim")]
struct Args {
    /// How many seeds to run.
    #[arg(long, default_value_t = 1_000)]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Run this seed only, and print its story.
    #[arg(long)]
    seed: Option<u64>,
    /// Number of nodes; without this flag each seed chooses.
    #[arg(long)]
    nodes: Option<usize>,
    /// The largest fleet that a seed may choose.
    #[arg(long)]
    nodes_max: Option<usize>,
    /// Number of slots; without this flag each seed chooses.
    #[arg(long)]
    slots: Option<u32>,
    /// Number of mishaps; without this flag each seed chooses.
    #[arg(long)]
    steps: Option<usize>,
    /// A fixed course instead of random mishaps.
    #[arg(long)]
    plot: Option<PlotName>,
    /// Count what breaks the rule of this name, and go past; may be given several times.
    #[arg(long)]
    ignore: Vec<String>,
    /// How many of the last lines of a story are printed; 0: all.
    #[arg(long, default_value_t = 200)]
    lines: usize,
    /// Only lines of the story that contain this text.
    #[arg(long)]
    grep: Option<String>,
    /// How many runs at once; without this flag one per processor.
    #[arg(long)]
    threads: Option<usize>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum PlotName {
    Blocked,
    Flapping,
}

impl Args {
    fn options(&self) -> Options {
        Options {
            nodes: self.nodes,
            slots: self.slots,
            steps: self.steps,
            nodes_max: self.nodes_max,
            ignored: self.ignore.clone(),
            plot: self.plot.map(|plot| match plot {
                PlotName::Blocked => Plot::Blocked,
                PlotName::Flapping => Plot::Flapping,
            }),
        }
    }
}

/// What many runs add up to.
#[derive(Debug, Default)]
struct Sum {
    runs: u64,
    hours: f64,
    happenings: u64,
    attempts: u64,
    reboots: u64,
    open: BTreeMap<Check, u64>,
    /// Seeds that failed, by the rule that they broke.
    failed: BTreeMap<Check, Vec<u64>>,
}

impl Sum {
    fn add(&mut self, seed: u64, outcome: &Outcome) {
        self.runs += 1;
        self.hours += outcome.time as f64 / 3_600_000.0;
        self.happenings += outcome.happenings;
        self.attempts += outcome.attempts;
        self.reboots += outcome.reboots;
        for (check, count) in &outcome.open {
            *self.open.entry(*check).or_default() += u64::from(*count);
        }
        if let Some(violation) = &outcome.violation {
            self.failed.entry(violation.check).or_default().push(seed);
        }
    }
}

fn main() -> ExitCode {
    let args = Args::parse();
    if let Some(seed) = args.seed {
        return one(&args, seed);
    }
    let (began, options) = (Instant::now(), args.options());
    let (next, sum) = (AtomicU64::new(args.from), Mutex::new(Sum::default()));
    let end = args.from.saturating_add(args.seeds);
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..args.threads.unwrap_or(processors).max(1) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end {
                        return;
                    }
                    let outcome = run(Setup::new(seed, &options), false);
                    if let Ok(mut sum) = sum.lock() {
                        sum.add(seed, &outcome);
                    }
                }
            });
        }
    });
    let seconds = began.elapsed().as_secs_f64();
    let sum = sum.into_inner().unwrap_or_default();
    let per_second = sum.runs as f64 / seconds;
    println!(
        "{} runs in {seconds:.1} s: {per_second:.0} runs per second; {:.0} hours of virtual time, {} steps, {} attempts, {} reboots",
        sum.runs, sum.hours, sum.happenings, sum.attempts, sum.reboots
    );
    for (check, count) in &sum.open {
        println!("known to be open: {}: {count} times", check.as_str());
    }
    let Some(first) = sum
        .failed
        .values()
        .filter_map(|seeds| seeds.iter().min())
        .min()
        .copied()
    else {
        return ExitCode::SUCCESS;
    };
    for (check, seeds) in &sum.failed {
        let mut seeds = seeds.clone();
        seeds.sort_unstable();
        let shown: Vec<String> = seeds.iter().take(8).map(u64::to_string).collect();
        println!(
            "FAILED {}: {} seeds, such as {}",
            check.as_str(),
            seeds.len(),
            shown.join(" ")
        );
    }
    one(&args, first)
}

/// Runs one seed with its story.
fn one(args: &Args, seed: u64) -> ExitCode {
    let options = args.options();
    let command = format!("cargo xtask sim --seed {seed}{}", options.flags());
    let setup = Setup::new(seed, &options);
    println!("\nseed {seed}: {setup:?}\n");
    let outcome = run(setup, true);
    let wanted = |line: &&String| args.grep.as_ref().is_none_or(|text| line.contains(text));
    let lines: Vec<&String> = outcome.story.iter().filter(wanted).collect();
    let skipped = if args.lines == 0 {
        0
    } else {
        lines.len().saturating_sub(args.lines)
    };
    if skipped > 0 {
        println!("... {skipped} lines before; all with --lines 0");
    }
    for line in lines.iter().skip(skipped) {
        println!("{line}");
    }
    println!("\nrepeat with: {command}");
    match outcome.violation {
        Some(violation) => {
            let at = bellwether_sim::moment::clock_face(violation.at);
            println!("FAILED at {at}: {}: {}", violation.check.as_str(), violation.message);
            ExitCode::FAILURE
        }
        None => {
            println!("seed {seed} holds");
            ExitCode::SUCCESS
        }
    }
}
