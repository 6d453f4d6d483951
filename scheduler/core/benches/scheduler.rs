//! What decisions cost: load and first decision, one change, and memory, by the size of the fleet.
//!
//! Run by `cargo xtask bench scheduler [NODES ...]`. Every size runs in a process of its own, so
//! that one does not find the memory of the one before, and in three of them: of each time the least
//! counts, since other work on the machine only adds to it, and of the memory the most. Half of the
//! nodes need a reboot, every node has both reports. Times are of this machine; the limits beside
//! them are the project's.
//!
//! How much of the growth is work and how much is memory that no cache holds, instructions tell:
//! `valgrind --tool=callgrind --collect-atstart=no --toggle-collect='*changes*' BENCH --measure NODES`.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_types,
    reason = "a measurement reads the clock, prints its table, and stops at the first surprise"
)]

use std::time::{Duration, Instant};

use bellwether_proto::{HostReport, NeedReport, NodeName, RebootNeed, RebooterReport};
use bellwether_scheduler_core::{Fleet, Input, NodeView, Policy, StoredReport};
use jiff::{SignedDuration, Timestamp};

/// The sizes that the project states figures for.
const SIZES: [usize; 4] = [1_000, 5_000, 20_000, 100_000];
/// Processes that measure each size.
const RUNS: usize = 3;
/// Changes that are timed for each kind.
const CHANGES: usize = 2_000;
/// One change may take so long at the largest size.
const CHANGE_MAX: Duration = Duration::from_millis(1);
/// One change at the largest size may take so many times what it takes at the smallest.
const CHANGE_GROWTH_MAX: f64 = 3.0;
/// A node may take so many bytes, reports and all.
const BYTES_PER_NODE_MAX: usize = 3 * 1024;

/// What was measured at one size. Times in nanoseconds.
struct Figures {
    nodes: usize,
    load: u64,
    first: u64,
    /// Median and 99th percentile of each kind of change.
    changes: Vec<(u64, u64)>,
    bytes_per_node: usize,
}

/// The kinds of change, in the order of [`Figures::changes`].
const KINDS: [&str; 4] = ["report renewed", "need appears", "node not Ready", "node Ready again"];

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    match args.split_first() {
        Some((flag, [nodes])) if flag == "--measure" => measure(nodes.parse().unwrap()),
        _ => compare(&args),
    }
}

fn compare(args: &[String]) {
    let sizes: Vec<usize> = match args {
        [] => SIZES.to_vec(),
        args => args
            .iter()
            .map(|arg| arg.parse().unwrap_or_else(|_| wrong(arg)))
            .collect(),
    };
    let figures: Vec<Figures> = sizes.into_iter().map(measured).collect();
    print!("{:>8} {:>10} {:>14}", "nodes", "load", "first decision");
    for kind in KINDS {
        print!(" {kind:>24}");
    }
    println!(" {:>14}", "bytes per node");
    for figures in &figures {
        print!(
            "{:>8} {:>10} {:>14}",
            figures.nodes,
            time(figures.load),
            time(figures.first)
        );
        for (median, p99) in &figures.changes {
            print!(" {:>24}", format!("{} (p99 {})", time(*median), time(*p99)));
        }
        println!(" {:>14}", figures.bytes_per_node);
    }
    let (first, last) = (&figures[0], &figures[figures.len() - 1]);
    println!("\nOne change is the median of {CHANGES}: input, decision and effects.");
    let worst = last.changes.iter().map(|(median, _)| *median).max().unwrap();
    let limit = u64::try_from(CHANGE_MAX.as_nanos()).unwrap();
    say("slowest kind of change", &time(worst), &time(limit), worst <= limit);
    let growth = |kind: usize| last.changes[kind].0 as f64 / first.changes[kind].0 as f64;
    let growth = (0..KINDS.len()).map(growth).fold(0.0, f64::max);
    let of = format!("growth of a change from {} to {} nodes", first.nodes, last.nodes);
    say(
        &of,
        &format!("{growth:.2} x"),
        &format!("{CHANGE_GROWTH_MAX} x"),
        growth <= CHANGE_GROWTH_MAX,
    );
    let bytes = figures.iter().map(|figures| figures.bytes_per_node).max().unwrap();
    say(
        "bytes per node",
        &bytes.to_string(),
        &BYTES_PER_NODE_MAX.to_string(),
        bytes <= BYTES_PER_NODE_MAX,
    );
}

fn say(of: &str, figure: &str, limit: &str, kept: bool) {
    let verdict = if kept { "kept" } else { "NOT KEPT" };
    println!("{of}: {figure}, limit {limit}: {verdict}");
}

fn wrong(arg: &str) -> usize {
    println!("{arg:?} is no number of nodes: write whole numbers, such as 1000 5000");
    std::process::exit(2);
}

fn time(nanoseconds: u64) -> String {
    match nanoseconds {
        0..10_000 => format!("{nanoseconds} ns"),
        10_000..10_000_000 => format!("{} us", nanoseconds / 1_000),
        _ => format!("{} ms", nanoseconds / 1_000_000),
    }
}

/// The least of each time, and the most of the memory, of some runs.
fn measured(nodes: usize) -> Figures {
    let mut best = in_own_process(nodes);
    for _ in 1..RUNS {
        let other = in_own_process(nodes);
        best.load = best.load.min(other.load);
        best.first = best.first.min(other.first);
        for (best, other) in best.changes.iter_mut().zip(other.changes) {
            *best = (best.0.min(other.0), best.1.min(other.1));
        }
        best.bytes_per_node = best.bytes_per_node.max(other.bytes_per_node);
    }
    best
}

fn in_own_process(nodes: usize) -> Figures {
    let program = std::env::current_exe().unwrap();
    let output = std::process::Command::new(program)
        .args(["--measure", &nodes.to_string()])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let mut numbers = text.split_whitespace().map(|number| number.parse::<u64>().unwrap());
    let mut next = || numbers.next().unwrap();
    let (load, first, bytes_per_node) = (next(), next(), usize::try_from(next()).unwrap());
    Figures {
        nodes,
        load,
        first,
        changes: KINDS.iter().map(|_| (next(), next())).collect(),
        bytes_per_node,
    }
}

/// Measures one size and prints the numbers for [`in_own_process`].
fn measure(nodes: usize) {
    let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    // No drainer answers here: a node starts without.
    let policy = Policy {
        check_drains: false,
        ..Policy::default()
    };
    let mut bench = Bench {
        fleet: Fleet::new(policy, "bench".into()),
        now,
        nodes,
    };
    let before = resident_bytes();
    let start = Instant::now();
    for index in 0..nodes {
        for input in [
            bench.node(index, true),
            bench.sentinel(index, index % 2 == 0),
            bench.rebooter(index),
        ] {
            bench.fleet.handle_input(input, now);
        }
    }
    let load = nanoseconds(start);
    let start = Instant::now();
    bench.fleet.advance(now);
    while bench.fleet.poll_effect().is_some() {}
    let first = nanoseconds(start);
    let bytes = resident_bytes().saturating_sub(before) / nodes;
    // Without a first decision there would be nothing to measure.
    assert_eq!(bench.fleet.slots_taken(), 1, "one node has started");
    print!("{load} {first} {bytes}");
    for make in [
        (|bench: &Bench, index| bench.sentinel(index, index % 2 == 0)) as fn(&Bench, usize) -> Input,
        |bench, index| bench.sentinel(index | 1, true),
        |bench, index| bench.node(index, false),
        |bench, index| bench.node(index, true),
    ] {
        let (median, p99) = bench.changes(make);
        print!(" {median} {p99}");
    }
}

struct Bench {
    fleet: Fleet,
    now: Timestamp,
    nodes: usize,
}

impl Bench {
    /// Median and 99th percentile of the time that one change takes, with its decision and its effects.
    // A function of its own, so that a profiler can tell it from the load.
    #[inline(never)]
    fn changes(&mut self, make: fn(&Self, usize) -> Input) -> (u64, u64) {
        let mut times = Vec::with_capacity(CHANGES);
        for change in 0..CHANGES {
            self.now = self.now.checked_add(SignedDuration::from_millis(1)).unwrap();
            // A prime step visits the fleet in no order; the last nodes stay as they are.
            let index = (change * 7_919) % (self.nodes - 2);
            let input = make(self, index);
            let start = Instant::now();
            self.fleet.handle_input(input, self.now);
            self.fleet.advance(self.now);
            while self.fleet.poll_effect().is_some() {}
            std::hint::black_box(self.fleet.poll_timeout());
            times.push(nanoseconds(start));
        }
        times.sort_unstable();
        (times[CHANGES / 2], times[CHANGES * 99 / 100])
    }

    fn name(index: usize) -> NodeName {
        format!("ip-10-{}-{}.eu-central-1.compute.internal", index / 256, index % 256)
            .parse()
            .unwrap()
    }

    fn boot(index: usize) -> String {
        format!("{index:08x}-5c1e-4a7e-9d0f-6b1d8f0e2a33")
    }

    /// No two agents report at the same instant: each has renewed its report within the last five minutes.
    fn stored_at(&self, index: usize) -> Timestamp {
        let age = (index * 7_919) % 300_000_000;
        self.now
            .checked_sub(SignedDuration::from_micros(i64::try_from(age).unwrap()))
            .unwrap()
    }

    fn node(&self, index: usize, ready: bool) -> Input {
        Input::Node(NodeView {
            name: Self::name(index),
            uid: format!("{index:08x}-1f0b-4c55-8f6e-0c0b8a1f6d21").parse().unwrap(),
            ready,
            ready_since: ready.then_some(self.now),
            unschedulable: false,
            cordoned_for: None,
            labels: Default::default(),
            taints: Vec::new(),
            conditions: Default::default(),
            our_conditions: Default::default(),
            orders: None,
            annotations: Default::default(),
            control_plane: index < 3,
            deleting: false,
            boot_id: Some(Self::boot(index).parse().unwrap()),
            kernel: "6.12.48+deb13-cloud-amd64".into(),
            os: "Debian GNU/Linux 13 (trixie)".into(),
        })
    }

    fn sentinel(&self, index: usize, need: bool) -> Input {
        let since = self.now.checked_sub(SignedDuration::from_hours(1)).unwrap();
        let need = need.then(|| RebootNeed {
            since,
            first_since: since,
            reasons: vec!["linux-image-6.12.49+deb13-cloud-amd64".into(), "libc6".into()],
            trace: None,
            undated: false,
        });
        Input::Sentinel(StoredReport {
            report: HostReport {
                node: Self::name(index),
                boot_id: Self::boot(index).parse().unwrap(),
                reported_at: self.now,
                booted_at: None,
                refresh_interval: SignedDuration::from_mins(5),
                need: need.map_or(NeedReport::NotRequired, NeedReport::Required),
                kernel_running: "6.12.48+deb13-cloud-amd64".into(),
                kernel_installed: Some("6.12.49+deb13-cloud-amd64".into()),
                os: "Debian GNU/Linux 13 (trixie)".into(),
                agent_version: "0.1.0".into(),
                probes: Vec::new(),
                services_to_restart: Vec::new(),
            },
            stored_at: self.stored_at(index),
        })
    }

    fn rebooter(&self, index: usize) -> Input {
        Input::Rebooter(StoredReport {
            report: RebooterReport {
                node: Self::name(index),
                boot_id: Self::boot(index).parse().unwrap(),
                reported_at: self.now,
                refresh_interval: SignedDuration::from_mins(5),
                method: "logind".into(),
                problem: None,
                agent_version: "0.1.0".into(),
                record_keys: None,
                boot: None,
                kinds: Vec::new(),
                soft_reboots: None,
            },
            stored_at: self.stored_at(index),
        })
    }
}

fn nanoseconds(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_nanos()).unwrap()
}

/// Resident memory of this process.
fn resident_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    let kibibytes: usize = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kibibytes * 1024
}
