//! `cargo xtask bench`: what a change costs, measured.

use anyhow::{Result, bail};

use crate::step::Steps;
use crate::{images, rigged};

pub(crate) const HELP: &str = "\
Measure what a change costs. docs/performance.md explains the figures.

Usage: cargo xtask bench NAME [arguments of the benchmark]

Benchmarks:
  scheduler  The deciding core with up to 100,000 nodes: load, one change, memory
  fleet      Services, NATS and API server with 5,000 simulated nodes: idle cost, start, need to
             cordon, a rollout, take-over; fails if a figure is above its limit
  pods       How often a rollout moves a pod, with the real kube-scheduler: about three minutes
  drains     One drainer with 50 drains in flight, 5,000 nodes and 100,000 pods: memory, connections, requests;
             fails if a figure is above its limit
  drain      How fast one node and ten nodes are emptied, beside kubectl and the API server's floor: ten minutes;
             fails if a figure is above its limit
  reconnects How long a gatekeeper needs to let 1,000 agents in at once: two minutes; fails above its limits
  agents     What sentinel and rebooter take of a node: sizes, memory, wake-ups, processor time, bytes on the wire;
             six minutes; fails above its limits; `--pid PID` shows another process beside them

`scheduler` is built with the profile `bench` (optimised for speed, without link-time optimisation);
`fleet`, `drain`, `drains` and `reconnects` are built for release; the binaries of `agents` are those of their images. Each prints its table. `fleet --help` lists its
arguments; it takes about six minutes beside the build, and other programs on the machine show in
its figures.
";

/// A benchmark: a program that prints its own table.
struct Bench {
    name: &'static str,
    run: fn(&[String]) -> Result<()>,
}

const BENCHES: [Bench; 7] = [
    Bench {
        name: "scheduler",
        run: scheduler,
    },
    Bench {
        name: "fleet",
        run: fleet,
    },
    Bench {
        name: "pods",
        run: pods,
    },
    Bench {
        name: "drain",
        run: drain,
    },
    Bench {
        name: "drains",
        run: drains,
    },
    Bench {
        name: "reconnects",
        run: reconnects,
    },
    Bench {
        name: "agents",
        run: agents,
    },
];

/// The binaries that the fleet needs, which cargo builds into one folder.
const FLEET_BINARIES: [&str; 4] = ["bellwether-scheduler", "bellwether-drainer", "leash", "bench-fleet"];

/// The same for the drains.
const DRAIN_BINARIES: [&str; 7] = [
    "bellwether-scheduler",
    "bellwether-drainer",
    "bellwether-sentinel",
    "bellwether-rebooter",
    "kubectl-reboots",
    "leash",
    "bench-drain",
];

/// The same for a gatekeeper and its clients.
const GATE_BINARIES: [&str; 3] = ["bellwether-gatekeeper", "leash", "bench-reconnects"];

pub(crate) fn run(args: &[String]) -> Result<()> {
    let (bench, args) = choose(args)?;
    (bench.run)(args)
}

/// A target without harness of the deciding core.
fn scheduler(args: &[String]) -> Result<()> {
    let cargo = ["cargo", "bench", "--locked", "--package", "bellwether-scheduler-core"];
    let mut line = [&cargo[..], &["--bench", "scheduler", "--"]].concat();
    line.extend(args.iter().map(String::as_str));
    let mut steps = Steps::new();
    steps.command("scheduler", &[], &line)?;
    steps.finish("bench");
    Ok(())
}

fn fleet(args: &[String]) -> Result<()> {
    rigged::run_for_release("bench-fleet", &FLEET_BINARIES, args)
}

/// The same fleet with pods.
fn drains(args: &[String]) -> Result<()> {
    let drains = ["--drains".to_owned(), "50".to_owned()];
    let is_given = args.iter().any(|arg| arg.starts_with("--drains"));
    let own = if is_given { &[][..] } else { &drains[..] };
    fleet(&[own, args].concat())
}

fn drain(args: &[String]) -> Result<()> {
    rigged::run_for_release("bench-drain", &DRAIN_BINARIES, args)
}

fn reconnects(args: &[String]) -> Result<()> {
    rigged::run_for_release("bench-reconnects", &GATE_BINARIES, args)
}

/// The agents as their images have them, so that what is measured is what runs on a node.
fn agents(args: &[String]) -> Result<()> {
    let mut all = Vec::new();
    for name in ["sentinel", "rebooter"] {
        all.push(format!("--{name}={}", images::binary(name)?.display()));
    }
    all.extend_from_slice(args);
    rigged::run("bench-agents", &all)
}

fn pods(args: &[String]) -> Result<()> {
    rigged::run("bench-pods", args)
}

fn choose(args: &[String]) -> Result<(&'static Bench, &[String])> {
    let known = || BENCHES.iter().map(|bench| bench.name).collect::<Vec<_>>().join(", ");
    let Some((name, rest)) = args.split_first() else {
        bail!("name a benchmark: {}", known());
    };
    match BENCHES.iter().find(|bench| bench.name == name) {
        Some(bench) => Ok((bench, rest)),
        None => bail!("there is no benchmark {name:?}: choose among {}", known()),
    }
}

#[cfg(test)]
mod tests {
    use super::choose;

    #[test]
    fn a_benchmark_gets_the_arguments_after_its_name() {
        for name in ["scheduler", "fleet", "pods", "drain", "drains", "reconnects", "agents"] {
            let args = [name, "--nodes", "1000"].map(str::to_owned);
            let (bench, rest) = choose(&args).unwrap();
            assert_eq!((bench.name, rest), (name, &args[1..]));
        }
    }

    #[test]
    fn an_unknown_name_or_none_lists_the_known_ones() {
        for args in [&[][..], &["no-such".to_owned()]] {
            let error = choose(args).err().unwrap().to_string();
            assert!(
                error.contains("scheduler, fleet, pods, drain, drains, reconnects, agents"),
                "{error}"
            );
        }
    }
}
