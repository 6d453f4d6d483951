//! The state machines against a small world, over time: facts in, actions out.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that panics has failed, as it should"
)]

mod endings;
mod faults;
mod force;
mod invariants;
mod load_balancers;
mod returns;
mod samples;
mod stories;
mod volumes;
mod world;
