//! The type of a check.

use crate::facts::Facts;
use crate::finding::Finding;

/// A check: a pure function from facts to findings.
#[derive(Debug, Clone, Copy)]
pub struct Check {
    /// Its name, for programs that choose among the checks.
    pub name: &'static str,
    /// Whether its facts come from Kubernetes. Without these it would report what is not known as missing.
    pub(crate) needs_kubernetes: bool,
    pub(crate) find: fn(&Facts) -> Vec<Finding>,
}

impl Check {
    /// Its findings; none if Kubernetes was not reached and the check depends on it.
    #[must_use]
    pub fn run(&self, facts: &Facts) -> Vec<Finding> {
        if self.needs_kubernetes && facts.kubernetes_version.is_err() {
            return vec![];
        }
        (self.find)(facts)
    }
}
