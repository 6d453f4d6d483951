//! `cargo xtask sim`: runs the simulator of `tests/sim` over many seeds.

use anyhow::Result;

use crate::step::Steps;

pub(crate) const HELP: &str = "\
Simulate clusters by seed, and judge each run.

Usage: cargo xtask sim [--seeds N] [--from SEED] [--nodes N] [--slots N] [--steps N] [--threads N]
       cargo xtask sim --seed SEED [--grep TEXT] [--lines N]

Builds for speed, runs the seeds on all processors and prints the runs per second. For the first seed that
breaks a rule it prints the rule, the story, and the command that repeats the seed.

Options:
  --seeds N      How many seeds (1000)
  --from SEED    The first one (0)
  --seed SEED    This seed only, with its story
  --nodes N      Nodes of each run; --slots N and --steps N (mishaps) likewise; else each seed chooses
  --plot NAME    A fixed course instead of random mishaps: blocked or flapping
  --ignore RULE  Count what breaks this rule, and go past; may be given several times
  --lines N      Lines of the story from its end (200); 0: all
  --grep TEXT    Only lines of the story with this text
  --threads N    Runs at once (one per processor)
";

pub(crate) fn run(args: &[String]) -> Result<()> {
    let cargo = [
        "cargo",
        "run",
        "--quiet",
        "--locked",
        "--profile",
        "bench",
        "--package",
        "bellwether-sim",
        "--bin",
        "sim",
        "--",
    ];
    let mut line = cargo.to_vec();
    line.extend(args.iter().map(String::as_str));
    let mut steps = Steps::new();
    steps.command("sim", &[], &line)?;
    steps.finish("sim");
    Ok(())
}
