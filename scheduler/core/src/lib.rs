//! The deciding core of the scheduler: who reboots when, and what every attempt does next.
//!
//! It is pure: no clock, no NATS, no Kubernetes, no randomness. The driver tells it what is
//! ([`Fleet::handle_node`] and its siblings), asks it to decide ([`Fleet::advance`]), carries
//! out what it wants in that order ([`Fleet::poll_effect`]) and wakes it again in time
//! ([`Fleet::poll_timeout`]). Whatever goes wrong on the way, the driver drops the core and
//! makes a new one from what is stored: there is one way to recover, and it is the way to start.
//!
//! What must always hold is in [`invariant::Invariant`], by name.

pub mod admission;
mod attempt;
pub mod effect;
pub mod explain;
pub mod fleet;
pub mod invariant;
pub mod observed;
pub mod policy;
pub mod rival;

pub use admission::reason::Reason;
pub use effect::{Command, Effect};
pub use explain::standing::{Standing, State};
pub use fleet::{Fleet, OrderError};
pub use observed::node::{Heard, NodeView};
pub use policy::Policy;
pub use rival::{Rival, RivalKind};
