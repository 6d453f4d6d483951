//! The Kubernetes cluster: watches of nodes and DaemonSets, and the Lease by which one replica leads.

pub(crate) mod client;
mod election;
pub(crate) mod health;
pub(crate) mod lease;
mod node;
mod object;
mod rival;
mod version;
pub(crate) mod watch;
