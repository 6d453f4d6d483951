//! The fleet for operators and metrics.

pub mod standing;
