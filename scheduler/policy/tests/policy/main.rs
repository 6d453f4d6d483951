//! The resource `RebootPolicy`: its calendar, its selectors, which policy governs a node, and every mistake.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that panics has failed, as it should"
)]

mod budgets;
mod calendar;
mod drain;
mod gates;
mod governing;
mod mistakes;
mod needs;
mod prometheus;
mod service;
