//! RebootPolicy objects, as the core is given them.

use serde::{Deserialize, Serialize};

/// A RebootPolicy object: its spec as the API server has it, so that a recording needs no more than that, and a spec
/// that cannot be read is the core's business.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyView {
    /// Its name.
    pub name: String,
    /// The generation of its spec.
    pub generation: i64,
    /// Its field `spec`.
    pub spec: serde_json::Value,
}
