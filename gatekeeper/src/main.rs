//! The gatekeeper: answers NATS whether a client may connect, and as what.
//!
//! One runs beside each NATS server, in its pod:
//!
//! ```text
//! run.rs          starts the parts
//! secret.rs       the seed of all keys, from a Secret
//! certificate.rs  the certificates of the authority and of the server
//! folder.rs       the files of the server
//! renewal.rs      a new certificate in time, and the server's reload
//! authority.rs    the authority's certificate, for the clients
//! serve.rs        a question from its message to its answer
//! review.rs       the API server's review of a token
//! wire.rs         connections to the server
//! core/           decides: keys, identities, rights and answers (a crate of its own)
//! ```
//!
//! It never writes a token or a private key into its log, never changes a key that is in use, and lets no client in that
//! the API server has not identified.

mod args;
mod authority;
mod certificate;
mod error;
mod folder;
mod metrics;
mod renewal;
mod review;
mod run;
mod secret;
mod serve;
mod wire;

use std::process::ExitCode;

use bellwether_chassis::Service;
use clap::Parser as _;

const SERVICE: Service = Service {
    name: "gatekeeper",
    version: env!("CARGO_PKG_VERSION"),
};

fn main() -> ExitCode {
    let args = args::Args::parse();
    bellwether_chassis::run_service(SERVICE, &args.chassis.clone(), None, |chassis| run::run(chassis, args))
}
