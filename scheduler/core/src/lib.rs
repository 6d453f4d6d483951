//! The deciding core of the scheduler: who reboots when, and what every attempt does next.
//!
//! It is pure: no clock, no NATS, no Kubernetes, no randomness. The driver tells it what is
//! ([`Fleet::handle_node`] and its siblings), asks it to decide ([`Fleet::advance`]), carries
//! out what it wants in that order ([`Fleet::poll_effect`]) and wakes it again in time
//! ([`Fleet::poll_timeout`]). Whatever goes wrong on the way, the driver drops the core and
//! makes a new one from what is stored: there is one way to recover, and it is the way to start.
//!
//! What must always hold is in [`invariant::Invariant`], by name.

mod decide;
pub mod effect;
pub mod fleet;
pub mod gate;
pub mod invariant;
mod machine;
pub mod policy;
mod rank;
pub mod rival;
pub mod slot;
pub mod standing;
pub mod view;

pub use effect::{Command, Effect};
pub use fleet::{Fleet, OrderError};
pub use gate::Reason;
pub use policy::Policy;
pub use rival::{Rival, RivalKind};
pub use standing::{Standing, State};
pub use view::{Heard, NodeView};
