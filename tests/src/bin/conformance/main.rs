//! `cargo xtask conformance`: tries whether a program keeps the contract of one of Bellwether's parts.
//!
//! The program runs with the environment and the rights of its pod, against real servers; scheduler, kubelet and faults
//! are scripted. All is observed from outside. A check is a sentence of the contract with its trial.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a command line that prints its report, and measures how fast a program acts"
)]

mod agent;
mod case;
mod check;
mod drainer;
mod ledger;
mod observe;
mod rebooter;
mod report;
mod sentinel;
mod stage;
mod tap;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, bail, ensure};
use bellwether_proto::permission::Role;
use clap::{Parser, ValueEnum};
use rig::tools;

use crate::check::Check;
use crate::stage::{Command, Stage};

/// How many checks of a drainer run at once. Each waits most of its time; more make each other late on two cores.
const DRAINS_AT_ONCE: usize = 8;

/// How many checks of an agent run at once: each has a process that does little.
const AGENTS_AT_ONCE: usize = 24;

/// Tries whether a program keeps the contract of one of Bellwether's parts.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask conformance")]
struct Args {
    /// The part that the program replaces
    #[arg(value_enum)]
    part: Part,

    /// Only these checks
    #[arg(long, value_name = "ID", num_args = 1.., value_delimiter = ',')]
    only: Vec<String>,

    /// Leave out the checks that wait for more than 20 s
    #[arg(long)]
    fast: bool,

    /// Print the checks and run nothing
    #[arg(long)]
    list: bool,

    /// The program with its arguments; without it Bellwether's own
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

/// A part of Bellwether.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Part {
    Drainer,
    Sentinel,
    Rebooter,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(&Args::parse()).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Returns whether all checks passed that a program must pass.
async fn run(args: &Args) -> Result<bool> {
    match args.part {
        Part::Drainer => {
            let Some(checks) = wanted(args, drainer::checks())? else {
                return Ok(true);
            };
            // Boxed, as the largest part of the future.
            let stage = Box::pin(Stage::start(&command(&args.command, "bellwether-drainer")?)).await?;
            let passed = report::run(&stage, &checks, DRAINS_AT_ONCE).await;
            kept(&stage.finish()?);
            Ok(passed)
        }
        Part::Sentinel => of_agent(args, Role::Sentinel, sentinel::checks(), "bellwether-sentinel").await,
        Part::Rebooter => of_agent(args, Role::Rebooter, rebooter::checks(), "bellwether-rebooter").await,
    }
}

/// The same for an agent.
async fn of_agent(args: &Args, role: Role, checks: Vec<Check<agent::stage::Stage>>, own: &str) -> Result<bool> {
    let Some(checks) = wanted(args, checks)? else {
        return Ok(true);
    };
    let stage = agent::stage::Stage::start(role, &command(&args.command, own)?).await?;
    let passed = report::run(&stage, &checks, AGENTS_AT_ONCE).await;
    kept(&stage.finish()?);
    Ok(passed)
}

fn kept(output: &Path) {
    println!("The program's output: {}", output.display());
}

/// The checks to run; none if they are only listed.
fn wanted<S>(args: &Args, checks: Vec<Check<S>>) -> Result<Option<Vec<Check<S>>>> {
    let mut checks = chosen(checks, &args.only)?;
    checks.retain(|check| !(args.fast && check.slow));
    if args.list {
        report::list(&checks);
        return Ok(None);
    }
    Ok(Some(checks))
}

/// The checks with these ids, or all.
fn chosen<S>(checks: Vec<Check<S>>, only: &[String]) -> Result<Vec<Check<S>>> {
    for id in only {
        ensure!(
            checks.iter().any(|check| check.id == id),
            "there is no check {id}: see --list"
        );
    }
    let is_chosen = |check: &Check<S>| only.is_empty() || only.iter().any(|id| check.id == id);
    Ok(checks.into_iter().filter(is_chosen).collect())
}

/// The command to try: a path is one from the folder in which the command line was called.
fn command(line: &[String], own: &str) -> Result<Command> {
    let Some((program, args)) = line.split_first() else {
        return Ok(Command {
            program: tools::binary(own)?,
            args: vec![],
        });
    };
    let path = PathBuf::from(program);
    let path = match path.canonicalize() {
        Ok(path) => path,
        // A program without a folder is one of the PATH.
        Err(_) if !program.contains('/') => tools::installed(program)?,
        Err(error) => bail!("there is no program {program}: {error}"),
    };
    let args = args.to_vec();
    Ok(Command { program: path, args })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rig::tools;

    use super::{drainer, rebooter, sentinel};

    /// The pages of the contract.
    const PAGES: [&str; 7] = [
        "proto/README.md",
        "proto/drainer.md",
        "proto/sentinel.md",
        "proto/rebooter.md",
        "proto/signatures.md",
        "proto/attempt.md",
        "docs/replace.md",
    ];

    fn one_line(text: &str) -> String {
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn each_sentence_that_a_check_quotes_stands_in_the_contract() {
        let pages = PAGES.map(|page| one_line(&std::fs::read_to_string(tools::repository().join(page)).unwrap()));
        let mut quotes: Vec<(&str, &str)> = Vec::new();
        quotes.extend(drainer::checks().iter().map(|check| (check.id, check.sentence)));
        quotes.extend(sentinel::checks().iter().map(|check| (check.id, check.sentence)));
        quotes.extend(rebooter::checks().iter().map(|check| (check.id, check.sentence)));
        let mut ids = BTreeSet::new();
        let mut gone = Vec::new();
        for (id, sentence) in quotes {
            assert!(ids.insert(id), "two checks have the id {id}");
            let sentence = one_line(sentence);
            let found = pages.iter().any(|page| page.contains(&sentence));
            if !found {
                gone.push(format!("{id}: {sentence}"));
            }
        }
        let remedy = "no page of the contract has these sentences any more; change the checks with the page";
        assert!(gone.is_empty(), "{remedy}: {gone:#?}");
    }
}
