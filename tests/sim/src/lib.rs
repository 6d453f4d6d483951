//! The simulator: a whole cluster by seed, in virtual time, around the real deciding cores.
//!
//! Real are `scheduler/core`, `drainer/core`, `rebooter/core` and `sentinel/core`. Modelled are their drivers, the
//! buckets and streams of NATS, the API server, kubelets, hosts and operators, each with its delays and mishaps.
//! The [`referee`] judges by the state of the modelled world alone and shares no code with the cores; the
//! only other input of its rules is which messages a core has been given, since no core can act on more.
//!
//! A run is a function of its [`Setup`], so the seed of a failure repeats the failure. No run reads a clock or
//! depends on the order of a hash map.
//!
//! ```text
//! setup     the parameters of a run, drawn from its seed
//! agenda    the queue of what happens next
//! bus       the buckets, the queue of commands and the stream of events
//! cluster   Node and Pod objects
//! host      machines with their agents
//! leader    one leading scheduler; job: one command of a drainer
//! world     all of these together; act/ has what each of them does
//! referee   the rules, and the first one that was broken
//! run       from a seed to a verdict
//! ```
#![allow(
    clippy::indexing_slicing,
    clippy::expect_used,
    reason = "nodes are indices into lists of one length, and a fault of the simulator itself has to stop the run"
)]
#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "a part of the model looks at the few messages or mishaps that are its own"
)]

mod act;
mod agenda;
mod bus;
mod cluster;
mod happening;
mod host;
mod job;
mod knowledge;
mod leader;
pub mod moment;
mod random;
pub mod referee;
mod run;
pub mod setup;
mod world;

pub use referee::{Check, Violation};
pub use run::{Outcome, run};
pub use setup::{Options, Setup};
