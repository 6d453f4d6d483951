//! The drainer: cordons, empties and uncordons nodes, when the scheduler asks for it.
//!
//! Any number of replicas share one work queue. Each command is carried out only while the
//! record of its attempt agrees with it, from the first look at the node to the last fact:
//!
//! ```text
//! run.rs      takes a command, answers with facts
//! wire.rs     bytes to orders, facts to bytes
//! permit.rs   the attempt's record: may this order be carried out, still?
//! cordon.rs   our mark on the node: decided by pure functions, written under optimistic lock
//! drain.rs    the acting loop: watches the node's pods, evicts what the plan says, proves the end
//! plan.rs     decides which pod goes when, and what holds it up; pure, over pod.rs
//! evict.rs    asks for one eviction; answer.rs reads what the API server says to it
//! rights.rs   its own rights in Kubernetes: without them nothing is touched
//! ```
//!
//! It never decides when a node goes, never takes away a cordon that is not the attempt's,
//! never deletes a pod past its disruption budget, and keeps nothing that the next replica
//! could not read from the record and the cluster.

mod api;
mod args;
mod cordon;
mod drain;
mod error;
mod evict;
mod metrics;
mod permit;
mod progress;
mod report;
mod rights;
mod run;
mod tools;
mod watch;
mod wire;

use std::process::ExitCode;

use bellwether_chassis::{Service, Threads};
use clap::Parser as _;

const SERVICE: Service = Service {
    name: "drainer",
    version: env!("CARGO_PKG_VERSION"),
};

fn main() -> ExitCode {
    let args = args::Args::parse();
    bellwether_chassis::run(SERVICE, &args.chassis, Threads::Many, |chassis| {
        run::run(chassis, &args)
    })
}
