//! `kubectl reboots`: the command line for operators.
//!
//! It asks the leading scheduler over gRPC and shows the response. It holds no state, decides
//! nothing, and never talks to NATS or changes anything in Kubernetes; through `kubectl` it
//! finds the leader, opens a way to it, and gathers the facts of a check (`bellwether_check`).

mod args;
mod boot;
mod cmd;
mod connect;
mod drain;
mod drain_check;
mod forward;
mod gather;
mod history;
mod input;
mod json;
mod kubectl;
mod kured;
mod out;
mod policy;
mod probe;
mod queue;
mod render;
mod report;
mod time;
mod vocabulary;

use std::process::ExitCode;

use clap::Parser as _;

use crate::args::Args;

/// The exit code of shells for a program that Ctrl-C ended.
const EXIT_INTERRUPTED: u8 = 130;

fn main() -> ExitCode {
    match run(Args::parse()) {
        Ok(code) => code,
        Err(error) if out::is_closed(&error) => ExitCode::SUCCESS,
        Err(error) => {
            out::note(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(args: Args) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        tokio::select! {
            done = cmd::run(args) => done,
            // Returning drops everything, so that a port-forward ends with us.
            stop = interrupted() => stop.map(|()| ExitCode::from(EXIT_INTERRUPTED)).map_err(Into::into),
        }
    })
}

#[cfg(unix)]
async fn interrupted() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        interrupt = tokio::signal::ctrl_c() => interrupt,
        _ = terminate.recv() => Ok(()),
    }
}

#[cfg(not(unix))]
async fn interrupted() -> std::io::Result<()> {
    tokio::signal::ctrl_c().await
}
