//! The targets, one file each.

pub(crate) mod bus;
pub(crate) mod check;
pub(crate) mod credentials;
pub(crate) mod drain;
pub(crate) mod eviction;
pub(crate) mod host;
pub(crate) mod http;
pub(crate) mod ids;
pub(crate) mod keys;
pub(crate) mod migrate;
pub(crate) mod node;
pub(crate) mod notify;
pub(crate) mod policy;
pub(crate) mod prometheus;
pub(crate) mod question;
pub(crate) mod recording;
pub(crate) mod review;
pub(crate) mod seed;
pub(crate) mod signature;
pub(crate) mod token;
