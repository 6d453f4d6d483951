//! The measurements, in the order in which they are made.

pub(crate) mod cordon;
pub(crate) mod drains;
pub(crate) mod idle;
pub(crate) mod rollout;
pub(crate) mod start;
pub(crate) mod takeover;
