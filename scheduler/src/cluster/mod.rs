//! The Kubernetes cluster: watches of nodes, DaemonSets and policies, and the Lease by which one replica leads.

pub(crate) mod client;
mod election;
pub(crate) mod health;
pub(crate) mod lease;
mod list_watch;
mod node;
pub(crate) mod node_conditions;
pub(crate) mod node_events;
mod object;
mod order;
mod owner;
mod policy;
pub(crate) mod policy_status;
pub(crate) mod record_keys;
mod rival;
mod version;
pub(crate) mod watch;
