//! The rebooter: reboots its own host, once, when its attempt record orders it.
//!
//! One runs on every node: the only privileged part, and the smallest. It decides nothing but
//! refusal, speaks for no other node and holds no token of Kubernetes.

mod args;
mod error;
mod escalation;
mod host;
mod metrics;
mod preflight;
mod reboot;
mod record;
mod run;
mod systemd;
mod wire;

use std::process::ExitCode;

use bellwether_chassis::Service;
use clap::Parser as _;

const SERVICE: Service = Service {
    name: "rebooter",
    version: env!("CARGO_PKG_VERSION"),
};

fn main() -> ExitCode {
    // Before any thread or flag: this process may be the one that enters the host.
    if let Some(exit_code) = reboot::enter::run_if_asked() {
        return exit_code;
    }
    let args = args::Args::parse();
    bellwether_chassis::run_agent(SERVICE, &args.chassis.clone(), |chassis| run::run(chassis, args))
}
