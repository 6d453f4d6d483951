//! `cargo xtask fuzz`: feeds the decoders of `tests/fuzz` with inputs that libFuzzer makes after the paths that they take.
//!
//! On the stable toolchain: the compiler passes that libFuzzer needs are reached by stable flags, and the crate
//! `libfuzzer-sys` brings libFuzzer's source, for which the build needs a C++ compiler.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};

use crate::cache;
use crate::step::Steps;

pub(crate) const HELP: &str = "\
Feed every decoder of foreign bytes with inputs that libFuzzer makes, and judge what becomes of them.

Usage: cargo xtask fuzz [TARGET]... [--minutes N]

Without a target: all of them, one after the other. Prints for each how many inputs it tried. An input that breaks a promise
is kept in <target>/fuzz/findings, and the exit code is 1: copy it into tests/fuzz/corpus/TARGET under a name that says what
it broke (in hex as NAME.hex, if it is no text), so that the test `replay` tries it from then on. What the runs find out
about inputs stays in <target>/fuzz/corpus. Needs a C++ compiler.

Options:
  --minutes N  Minutes for each target, such as 0.5 [default: 1]
";

/// What an input may cost: its time in seconds, its memory in MB. The largest is longer than any node's object.
const LIMITS: [&str; 3] = ["-timeout=10", "-rss_limit_mb=2048", "-max_len=16384"];

/// Marks places and comparisons in the code, as libFuzzer reads them.
const RUSTFLAGS: [&str; 5] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
];

struct Plan {
    targets: Vec<String>,
    time: Duration,
}

pub(crate) fn run(args: &[String]) -> Result<()> {
    let plan = parse(args, &known()?)?;
    let mut steps = Steps::new();
    let program = build(&mut steps)?;
    let (mut results, mut broken) = (Vec::new(), Vec::new());
    for target in &plan.targets {
        let found = steps.work(target, || fuzz(&program, target, plan.time))?;
        println!("{found}");
        if found.is_broken {
            broken.push(target.as_str());
        }
        results.push((target, found));
    }
    println!();
    for (target, found) in &results {
        println!("{target:12} {found}");
    }
    if !broken.is_empty() {
        bail!(
            "inputs that break a promise of {} are in {}",
            broken.join(", "),
            folder("findings").display()
        );
    }
    steps.finish("fuzz");
    Ok(())
}

/// The targets, each of which has a folder of inputs.
fn known() -> Result<Vec<String>> {
    let corpus = cache::workspace().join("tests/fuzz/corpus");
    let entries = fs::read_dir(&corpus).with_context(|| format!("cannot read {}", corpus.display()))?;
    let mut names = Vec::new();
    for entry in entries {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

fn parse(args: &[String], known: &[String]) -> Result<Plan> {
    let mut plan = Plan {
        targets: Vec::new(),
        time: Duration::from_secs(60),
    };
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        if arg == "--minutes" {
            let minutes = args.next().context("--minutes needs a number")?;
            let number = minutes.parse::<f64>().ok().filter(|it| (0.01..=10_000.0).contains(it));
            let number = number.with_context(|| format!("--minutes {minutes}: write a number above 0"))?;
            plan.time = Duration::from_secs_f64(number * 60.0);
        } else if known.contains(arg) {
            plan.targets.push(arg.clone());
        } else {
            bail!("there is no target {arg:?}, but {}", known.join(", "));
        }
    }
    if plan.targets.is_empty() {
        plan.targets = known.to_vec();
    }
    Ok(plan)
}

fn folder(name: &str) -> PathBuf {
    cache::target_dir().join("fuzz").join(name)
}

/// Builds with marks; returns the program. With `--target`, so that programs of the build itself have none.
fn build(steps: &mut Steps) -> Result<PathBuf> {
    let host = host()?;
    let flags = RUSTFLAGS.join(" ");
    let build = [
        "cargo",
        "build",
        "--locked",
        "--package",
        "bellwether-fuzz",
        "--features",
        "engine",
        "--bin",
        "fuzz",
        "--profile",
        "fuzz",
        "--target",
        &host,
    ];
    steps.command("build", &[("RUSTFLAGS", &flags), ("CARGO_INCREMENTAL", "0")], &build)?;
    Ok(cache::target_dir().join(host).join("fuzz").join("fuzz"))
}

fn host() -> Result<String> {
    let output = Command::new("rustc")
        .arg("-vV")
        .output()
        .context("cannot start rustc")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).context("`rustc -vV` names no host")
}

/// What came of one target.
struct Found {
    inputs: u64,
    per_second: u64,
    kept: usize,
    is_broken: bool,
}

impl std::fmt::Display for Found {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            inputs,
            per_second,
            kept,
            is_broken,
        } = self;
        let end = if *is_broken { "BROKEN" } else { "ok" };
        write!(
            f,
            "{inputs:>10} inputs, {per_second:>6} a second, {kept:>5} kept  {end}"
        )
    }
}

fn fuzz(program: &Path, target: &str, time: Duration) -> Result<Found> {
    let (corpus, findings) = (folder("corpus").join(target), folder("findings"));
    for folder in [&corpus, &findings] {
        fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    }
    let log = folder(&format!("{target}.log"));
    let output = File::create(&log).with_context(|| format!("cannot create {}", log.display()))?;
    let status = Command::new(program)
        .arg(&corpus)
        .args(LIMITS)
        .arg(format!("-max_total_time={}", time.as_secs().max(1)))
        .arg(format!("-artifact_prefix={}/{target}-", findings.display()))
        .arg("-print_final_stats=1")
        .env("BELLWETHER_FUZZ_TARGET", target)
        .env("BELLWETHER_FUZZ_CORPUS", &corpus)
        .stdout(output.try_clone()?)
        .stderr(output)
        .status()
        .map_err(|error| anyhow!("cannot start {}: {error}", program.display()))?;
    let output = fs::read(&log).with_context(|| format!("cannot read {}", log.display()))?;
    let output = String::from_utf8_lossy(&output);
    let is_broken = !status.success();
    if is_broken {
        println!("{}\nthe whole of it: {}", tail(&output), log.display());
    }
    let stat = |name: &str| {
        let line = output
            .lines()
            .rev()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.and_then(|number| number.trim().parse().ok()).unwrap_or_default()
    };
    Ok(Found {
        inputs: stat("stat::number_of_executed_units"),
        per_second: stat("stat::average_exec_per_sec"),
        kept: fs::read_dir(&corpus)?.count(),
        is_broken,
    })
}

/// The last lines, in which the broken promise is.
fn tail(output: &str) -> String {
    const LINES: usize = 40;
    let lines: Vec<&str> = output.lines().collect();
    lines
        .get(lines.len().saturating_sub(LINES)..)
        .unwrap_or_default()
        .join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(args: &[&str]) -> Result<Plan> {
        let args: Vec<String> = args.iter().map(|&arg| arg.to_owned()).collect();
        parse(&args, &["bus".to_owned(), "node".to_owned()])
    }

    #[test]
    fn all_targets_run_for_a_minute_unless_others_are_named() {
        let all = plan(&[]).unwrap();
        assert_eq!((all.targets.len(), all.time.as_secs()), (2, 60));
        let one = plan(&["node", "--minutes", "0.5"]).unwrap();
        assert_eq!((one.targets, one.time.as_secs()), (vec!["node".to_owned()], 30));
        for wrong in [
            ["--minutes"].as_slice(),
            &["--minutes", "-1"],
            &["--minutes", "NaN"],
            &["nodes"],
        ] {
            assert!(plan(wrong).is_err(), "{wrong:?}");
        }
    }
}
