//! Which node may start: its need, the gates, the order and the budget.
//!
//! It owns no attempt: once an attempt runs, `attempt` decides.

pub mod budget;
mod canaries;
mod control_plane;
mod drain_check;
mod failures;
mod foreseen;
mod gate;
mod message;
mod need;
mod order;
mod policies;
mod policy_budget;
mod queue;
mod readings;
mod reason;

pub(crate) use budget::Budget;
pub use canaries::Canary;
pub(crate) use drain_check::DrainCheck;
pub(crate) use failures::Failure;
pub use failures::{Cohort, Stop};
pub(crate) use foreseen::Foreseen;
pub(crate) use gate::{
    Blockers, Look, OwnReadings, clock_off, lacks_key, longest_drain, margin, overrides_budgets, unfit_for_order,
    units_unknown,
};
pub(crate) use need::{Verdict, verdict};
pub(crate) use order::{Place, place};
pub(crate) use policy_budget::{Full, Group, Limits, PolicyBudgets, TopologyLimits};
pub use policy_budget::{PolicyUsage, Scope};
pub(crate) use queue::{Position, Queue};
pub use reason::{Reason, Skip};
