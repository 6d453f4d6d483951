//! Which pods of a node are evicted when, which are waited for, and what blocks the drain.
//!
//! [`book`] takes the decision by the state of each pod, its `entry`; `delay` is the wait after each answer
//! of the API server; `returns` knows the pods that come back; `turns` the budgets that let pods go one after the other;
//! `deadline` the pods that go at the end of the time whatever their budgets say, and `order` the orders of pods, if the policy demands that;
//! [`blockers`] is the text for operators, `tally` the same in numbers, and `ledger` counts what the drain meets, `passage` keeps it for the trace. A new rule
//! about order belongs into `order`; the waves of pods are in [`crate::pod::wave`].

pub mod blockers;
pub mod book;
pub(crate) mod deadline;
mod delay;
mod entry;
mod ledger;
mod order;
pub mod passage;
mod returns;
mod step;
mod tally;
mod turns;

pub(crate) use blockers::of_long_graces;
pub use book::Plan;
pub(crate) use delay::{QUIET_MAX, quiet};
pub(crate) use ledger::seconds;
pub use step::{Step, Suspension};

#[cfg(test)]
mod by_policy_tests;
#[cfg(test)]
mod order_tests;
#[cfg(test)]
mod places_tests;
#[cfg(test)]
mod tally_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod turns_tests;
