//! The sentinel: sees that its host needs a reboot and reports it.
//!
//! One runs on every node. It reports what is true now, decides nothing, writes nothing to its
//! host and holds no token of Kubernetes.

mod args;
mod error;
mod host;
mod job;
mod metrics;
mod probe;
mod run;
mod watch;
mod wire;

use std::process::ExitCode;

use bellwether_chassis::Service;
use clap::Parser as _;

const SERVICE: Service = Service {
    name: "sentinel",
    version: env!("CARGO_PKG_VERSION"),
};

fn main() -> ExitCode {
    let args = args::Args::parse();
    bellwether_chassis::run_agent(SERVICE, &args.chassis.clone(), |chassis| run::run(chassis, args))
}
