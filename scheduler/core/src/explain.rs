//! The fleet for operators and metrics: the state of each node, the reason for it, and how many there are of each.

mod counts;
pub(crate) mod forecast;
mod outlook;
mod policy;
mod queues;
mod standing;

pub use counts::Counts;
pub use outlook::{Outlook, PolicyOutlook, Turn};
pub use policy::{PolicyNodes, PolicyStanding};
pub use queues::queues_differ;
pub(crate) use standing::{Basis, Stand};
pub use standing::{Blocker, Standing, State};
