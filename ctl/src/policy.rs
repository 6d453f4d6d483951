//! RebootPolicies from files and from the cluster, read as the scheduler reads them.

pub(crate) mod cluster;
pub(crate) mod document;
pub(crate) mod report;
mod turns;
