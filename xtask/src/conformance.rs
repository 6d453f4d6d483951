//! `cargo xtask conformance`: tries whether a program keeps the contract of one of Bellwether's parts. The trial itself is a
//! binary of the `tests` crate, on top of the rig.

use anyhow::Result;

use crate::rigged;

pub(crate) const HELP: &str = "\
Try whether a program keeps the contract of a part of Bellwether (proto/README.md, and its own page beside it).

Usage: cargo xtask conformance PART [--list] [--fast] [--only ID...] [-- COMMAND...]

Runs COMMAND as the part, with the environment and the rights of its pod, against private servers and a scripted rest of
Bellwether, and breaks what can break: NATS, and for a drainer the API server. An agent runs on a simulated host.
Without COMMAND: Bellwether's own program. Each check is a sentence of the contract; it prints pass or fail, what was
expected, and what was observed. The exit code is 0 only if all checks of the level `must` passed.

Parts: drainer, sentinel, rebooter

Options:
  --list        Print the checks, and run nothing
  --fast        Leave out the checks that wait for more than 20 s
  --only ID...  Only these checks, separated by commas or blanks
";

pub(crate) fn run(args: &[String]) -> Result<()> {
    rigged::run("conformance", args)
}
