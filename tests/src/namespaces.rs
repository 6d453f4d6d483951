//! The namespaces of Bellwether: those of the deploy folder.

/// The namespace of the control services.
pub const NAMESPACE: &str = "bellwether";

/// The namespace of the two agents.
pub const AGENTS: &str = "bellwether-agents";
