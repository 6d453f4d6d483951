//! The pods of the node under drain: which must go, which are going, which stay.
//!
//! [`view`] reads the fields that matter from a Pod object. Each class of pod has a file of its own
//! (`mirror`, `finished`, `daemon_set`, `annotated`, `terminating`, `evictable`) with one function
//! that recognises it; `rules` is the list of these functions, in their order. A new rule about
//! pods is a new file and a new line in that list. [`facts`] are what budgets rest on. [`kinds`] has the kinds of controllers that count as
//! DaemonSets, and [`wave`] those that go later. [`inventory`] keeps the pods known of one node.

mod annotated;
pub mod class;
pub mod controller;
mod daemon_set;
mod evictable;
pub mod facts;
mod finished;
pub mod inventory;
pub mod kinds;
mod mirror;
pub mod node_pod;
mod rules;
mod terminating;
pub mod view;
pub mod wave;

pub use class::{Class, Risk, StayReason};
pub use facts::PodFacts;
pub use inventory::Inventory;
pub use kinds::{DaemonSetKinds, OwnerKind};
pub use node_pod::NodePod;
pub use view::PodView;
pub use wave::Wave;

#[cfg(test)]
mod tests;
