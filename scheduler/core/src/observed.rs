//! The facts that the driver has handed over, as the core keeps them.

pub mod node;
