//! The scheduler: decides which node reboots when, and owns every attempt.
//!
//! Two replicas run and one leads. The leader reads nodes and reports, lets the pure core
//! (`bellwether-scheduler-core`) decide, stores every attempt before it acts on it, and commands
//! the drainers. The scheduler never touches a pod and never cordons.

mod api;
mod args;
mod bus;
mod cluster;
mod effect;
mod error;
mod lead;
mod message;
mod observe;
mod readings;
mod run;

use std::process::ExitCode;

use bellwether_chassis::Service;
use clap::Parser as _;

const SERVICE: Service = Service {
    name: "scheduler",
    version: env!("CARGO_PKG_VERSION"),
};

fn main() -> ExitCode {
    let args = args::Args::parse();
    let (chassis_args, traces) = (args.chassis.clone(), args.traces.clone());
    bellwether_chassis::run_service(SERVICE, &chassis_args, Some(&traces), |chassis| run::run(chassis, args))
}
