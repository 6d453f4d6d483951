//! The Kubernetes cluster: watches of nodes and DaemonSets, and the Lease by which one replica leads.

pub(crate) mod lease;
pub(crate) mod node;
pub(crate) mod rival;
pub(crate) mod watch;
