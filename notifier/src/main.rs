//! The notifier: sends messages about reboots to chat services and webhooks.
//!
//! ```text
//! run.rs      starts the parts
//! wire.rs     parses events
//! inbox.rs    one event from its message to its verdict
//! deliver.rs  the messages of one target, one after the other
//! post.rs     the events that wait for the messages of a target
//! newest.rs   the newest event of the fleet, which waits for the next one
//! http.rs     one request to a target
//! smtp.rs     one e-mail
//! secret.rs   files with secrets
//! trial.rs    one test message to each target
//! state.rs    the file that is kept over a restart
//! core/       decides: which message goes where, when, and in which form (a crate of its own)
//! ```
//!
//! It reads the stream of events and writes nothing to NATS or Kubernetes: no reboot waits for it or follows from it. It
//! puts no secret into a log, a metric or a message.

mod args;
mod deliver;
mod error;
mod http;
mod inbox;
mod metrics;
mod newest;
mod post;
mod run;
mod secret;
mod smtp;
mod state;
mod trial;
mod wire;

use std::process::ExitCode;

use bellwether_chassis::Service;
use clap::Parser as _;

const SERVICE: Service = Service {
    name: "notifier",
    version: env!("CARGO_PKG_VERSION"),
};

fn main() -> ExitCode {
    let args = args::Args::parse();
    if let Some(args::Mode::Test { target }) = &args.mode {
        return trial::run(&args.config, target.as_deref());
    }
    bellwether_chassis::run_service(SERVICE, &args.chassis, None, |chassis| run::run(chassis, &args))
}
