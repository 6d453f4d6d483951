//! The core against a small world that behaves, misbehaves and crashes: stories that people
//! tell, and properties that must hold in every story.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that panics has failed, as it should"
)]

mod actors;
mod agents;
mod annotated;
mod answers;
mod brakes;
mod budgets;
mod canaries;
mod cancels;
mod claims;
mod clocks;
mod conditions;
mod control_plane;
mod cordons;
mod drain_checks;
mod drained_again;
mod facts;
mod gates;
mod gone;
mod inhibitors;
mod invariants;
mod judge;
mod kinds;
mod leftovers;
mod loop_guard;
mod need_annotations;
mod notes;
mod obstacles;
mod ordered;
mod orders;
mod outlook;
mod pods;
mod policies;
mod prometheus;
mod readings;
mod record_keys;
mod records;
mod referee;
mod renewal;
mod retries;
mod rollouts;
mod served;
mod service;
mod skips;
mod soft;
mod stories;
mod taints;
mod timeouts;
mod world;
