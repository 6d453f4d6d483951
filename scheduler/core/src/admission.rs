//! Which node may start: the gates, the order and the budget.

pub mod budget;
pub(crate) mod order;
pub mod reason;
