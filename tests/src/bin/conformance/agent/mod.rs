//! What the trials of both agents share: a NATS server that knows each agent as a user with the rights of its role, a
//! simulated host for each trial, and what a trial reads off the ledger.
//!
//! Each trial has a process of its own, so nearly all of them run side by side.

pub(crate) mod case;
pub(crate) mod observe;
mod rights;
pub(crate) mod stage;
pub(crate) mod trials;
