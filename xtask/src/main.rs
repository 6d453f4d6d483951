//! The repository's own commands: `cargo xtask <verb>`.
//!
//! The program stays small on purpose (few dependencies), so that the first `cargo xtask` on a fresh machine
//! starts to work within seconds. No product code belongs here.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a command line for developers, which prints to a terminal and waits for child processes"
)]

mod bench;
mod cache;
mod chart;
mod conformance;
mod crates;
mod crd;
mod demo;
mod fuzz;
mod git;
mod go;
mod images;
mod lint;
mod node;
mod progress;
mod prometheus;
mod reference;
mod rigged;
mod sim;
mod soak;
mod step;
mod test;
mod tidy;
mod tools;
mod wheels;

use std::process::ExitCode;

use anyhow::{Result, bail};

const HELP: &str = "\
The repository's own commands.

Usage: cargo xtask <verb> [arguments]

Verbs:
  demo    Start a real control plane, NATS and the services here, and show rolling reboots
  test    Check format, lints and docs, then run every test against real servers
  lint    Check spelling, dependencies, licences, the wire contract, crd, chart and what tidy checks
  tidy    Check the repository's own rules, such as the length of files, within a second
  bench   Measure what a change costs
  conformance  Try whether a program keeps the contract of a part, such as a drainer of your own
  sim     Simulate clusters by seed around the real cores, and judge each run
  soak    Kill and stop parts of a cluster of fifty nodes that reboot again and again, and judge what happens
  fuzz    Feed every decoder of foreign bytes with inputs that libFuzzer makes, and judge what becomes of them
  crd     Write the CustomResourceDefinition of RebootPolicy into deploy/base
  chart   Make the Helm chart from deploy/base
  images  Build the container images, without a container daemon
  tools   Build the real servers that demo and test need (once; both do it by themselves)
  help    Show this text

`cargo xtask <verb> --help` describes a verb and its arguments.
";

/// A verb's work, given the arguments after it.
type Run = fn(&[String]) -> Result<()>;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match dispatch(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nerror: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(args: &[String]) -> Result<()> {
    let Some((verb, rest)) = args.split_first() else {
        print!("{HELP}");
        return Ok(());
    };
    let wants_help = rest.iter().any(|arg| arg == "--help" || arg == "-h");
    let (help, run): (&str, Run) = match verb.as_str() {
        "demo" => (demo::HELP, demo::run),
        "test" => (test::HELP, test::run),
        "lint" => (lint::HELP, lint::run),
        "tidy" => (tidy::HELP, tidy::run),
        "bench" => (bench::HELP, bench::run),
        "conformance" => (conformance::HELP, conformance::run),
        "sim" => (sim::HELP, sim::run),
        "soak" => (soak::HELP, soak::run),
        "fuzz" => (fuzz::HELP, fuzz::run),
        "crd" => (crd::HELP, crd::run),
        "chart" => (chart::HELP, chart::run),
        "images" => (images::HELP, images::run),
        "tools" => (tools::HELP, tools::run),
        "help" | "--help" | "-h" => {
            print!("{HELP}");
            return Ok(());
        }
        other => bail!("there is no verb {other:?}; see `cargo xtask help`"),
    };
    if wants_help {
        print!("{help}");
        return Ok(());
    }
    run(rest)
}
