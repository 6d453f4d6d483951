//! `cargo xtask bench`: what a change costs, measured.

use anyhow::{Result, bail};

use crate::step::Steps;

pub(crate) const HELP: &str = "\
Measure what a change costs.

Usage: cargo xtask bench NAME [arguments of the benchmark]

Benchmarks:
  scheduler  The deciding core with up to 100,000 nodes: load, one change, memory

Builds with the profile `bench` (optimised for speed, without link-time optimisation) and prints the
benchmark's table.
";

/// A benchmark: a target without harness that prints its own table.
struct Bench {
    name: &'static str,
    package: &'static str,
}

const BENCHES: [Bench; 1] = [Bench {
    name: "scheduler",
    package: "bellwether-scheduler-core",
}];

pub(crate) fn run(args: &[String]) -> Result<()> {
    let (bench, args) = choose(args)?;
    let cargo = ["cargo", "bench", "--locked", "--package", bench.package];
    let mut line = [&cargo[..], &["--bench", bench.name, "--"]].concat();
    line.extend(args.iter().map(String::as_str));
    let mut steps = Steps::new();
    steps.command(bench.name, &[], &line)?;
    steps.finish("bench");
    Ok(())
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
        let args = ["scheduler", "--nodes", "1000"].map(str::to_owned);
        let (bench, rest) = choose(&args).unwrap();
        assert_eq!((bench.package, rest), ("bellwether-scheduler-core", &args[1..]));
    }

    #[test]
    fn an_unknown_name_or_none_lists_the_known_ones() {
        for args in [&[][..], &["no-such".to_owned()]] {
            let error = choose(args).err().unwrap().to_string();
            assert!(error.contains("scheduler"), "{error}");
        }
    }
}
