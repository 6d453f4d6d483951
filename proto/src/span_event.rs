//! Names of the events of spans.
//!
//! What each shows is in docs/tracing.md, and a test compares that table with this list.

names! {
    /// A gate keeps the node from its attempt from now on.
    GATE_SHUT = "gate shut";
    /// The gate does so no longer.
    GATE_OPEN = "gate open";
}
