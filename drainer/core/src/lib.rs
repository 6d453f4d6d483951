//! The deciding core of the drainer: which pod goes when, and what an answer of the API server means.
//!
//! It is pure: no clock, no NATS, no Kubernetes client, no randomness.

pub mod answer;
pub mod plan;
pub mod pod;
