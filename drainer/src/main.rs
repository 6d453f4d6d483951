//! The drainer: cordons, drains and uncordons nodes when the scheduler commands it.
//!
//! Any number of replicas share one work queue. Each command is carried out only while the record of
//! its attempt authorises it, from the first read of the node to the last event:
//!
//! ```text
//! run.rs       starts the parts, receives commands
//! job.rs       one command from its message to its verdict
//! wire.rs      parses messages into commands, encodes events
//! core/        decides: a state machine for each kind of command (a crate of its own)
//! drive.rs     carries out the actions of one state machine, returns the results as facts
//! check.rs     answers whether a node can be drained, and changes nothing
//! taint.rs     carries out the commands that belong to no attempt
//! given_back.rs  when a drain without a place comes again
//! record.rs    reads the attempt's record
//! events.rs    publishes events
//! spans.rs     writes the parts of a drain to its trace
//! kube/        all requests to the Kubernetes API server
//! places.rs    the places of evictions that await their answer, shared by all drains
//! turns.rs     the turns of StatefulSets, shared by all drains
//! throttle.rs  the quiet that the API server asked for, shared by all drains
//! ```
//!
//! The drainer never decides when a node is rebooted, never removes a cordon that is not the attempt's,
//! never deletes a pod past its disruption budget, and keeps no state that the next replica could not
//! read from the record and the cluster.

mod args;
mod check;
mod drive;
mod error;
mod events;
mod given_back;
mod job;
mod kube;
mod meter;
mod metrics;
mod places;
mod record;
mod run;
mod spans;
mod taint;
mod throttle;
mod tools;
mod turns;
mod wire;

use std::process::ExitCode;

use bellwether_chassis::Service;
use clap::Parser as _;

const SERVICE: Service = Service {
    name: "drainer",
    version: env!("CARGO_PKG_VERSION"),
};

fn main() -> ExitCode {
    let args = args::Args::parse();
    bellwether_chassis::run_service(SERVICE, &args.chassis, Some(&args.traces), |chassis| {
        run::run(chassis, &args)
    })
}
