//! The two namespaces of an installation.

/// The namespaces in which an installation of Bellwether lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Namespaces {
    /// The control namespace: scheduler and drainer.
    pub control: String,
    /// The agents' namespace: sentinel and rebooter.
    pub agents: String,
}

impl Namespaces {
    /// Whether the namespace is one of this installation.
    pub(crate) fn contains(&self, namespace: &str) -> bool {
        namespace == self.control || namespace == self.agents
    }
}
