//! The deciding core of the rebooter: whether its host may reboot now, and when its preflight is due.
//!
//! Pure: no clock, no file, no NATS. The driver (`rebooter/src/run.rs`) reads the record and the clock, asks
//! [`guard::examine`] before each step that cannot be taken back, and calls.

pub mod boot;
pub mod guard;
#[cfg(test)]
mod guard_tests;
pub mod ladder;
#[cfg(test)]
mod ladder_tests;
pub mod schedule;
pub mod soft;
#[cfg(test)]
mod soft_tests;
