//! The checks, one a file. Each reads facts and returns findings; none knows another, but for `agents`,
//! whose good news includes the clocks.

pub(crate) mod agents;
pub(crate) mod clocks;
pub(crate) mod cordons;
pub(crate) mod keys;
pub(crate) mod kubernetes;
pub(crate) mod leader;
pub(crate) mod narrow;
pub(crate) mod nats;
pub(crate) mod pods;
pub(crate) mod reading;
pub(crate) mod rights;
pub(crate) mod rivals;
pub(crate) mod settings;
pub(crate) mod shutdowns;
pub(crate) mod trust;
pub(crate) mod units;
pub(crate) mod versions;
pub(crate) mod workloads;
