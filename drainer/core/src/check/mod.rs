//! Whether a node can be drained, read from its pods and from all disruption budgets before anything is touched (D4).
//!
//! The arithmetic is that of the API server's eviction handler, for all pods of the node together and beside the nodes
//! that are drained now (D20): which pods need a disruption of which budget, and whether the budget has as many.
//!
//! ```text
//! needs     which budget has to give how many disruptions, for which pods
//! forecast  the findings, the verdict and the time that follow
//! ```

mod forecast;
mod needs;

pub use forecast::{Known, NodePods, forecast};

#[cfg(test)]
mod tests;
