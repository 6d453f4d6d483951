//! The core against a small world that behaves, misbehaves and crashes: stories that people
//! tell, and properties that must hold in every story.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that panics has failed, as it should"
)]

mod actors;
mod invariants;
mod referee;
mod stories;
mod world;
