//! The deciding core of the scheduler: which node reboots when, and the next step of every attempt.
//!
//! It is pure: no clock, no NATS, no Kubernetes, no randomness. The driver hands over inputs
//! ([`Fleet::handle_input`]), asks for decisions ([`Fleet::advance`]), carries out the effects in
//! their order ([`Fleet::poll_effect`]) and comes back in time ([`Fleet::poll_timeout`]). After any
//! error the driver drops the core and makes a new one from the stored records: there is one way
//! to recover, and it is the way to start.
//!
//! What must always hold is in [`invariant::Invariant`], by name.

pub mod admission;
mod attempt;
pub mod condition;
pub mod effect;
mod encoding;
pub mod explain;
pub mod fleet;
pub mod input;
pub mod invariant;
pub mod notice;
pub mod observed;
mod orders;
pub mod policy;
pub mod reading;
pub mod record_keys;
pub mod recording;
pub mod rival;
mod timers;
mod traces_ratio;
pub mod trail;
pub mod wait;

pub use admission::{Reason, Scope, Skip};
pub use condition::{ConditionChange, ConditionDiff, ConditionStatus, Conditions, SetCondition, WantedCondition};
pub use effect::{Command, Effect};
pub use explain::{Blocker, Outlook, PolicyNodes, PolicyOutlook, PolicyStanding, Standing, State, Turn, queues_differ};
pub use fleet::Fleet;
pub use input::{CancelEffect, CancelRefusal, Handled, Input, OrderRefusal};
pub use notice::{Notice, NoticeAction, NoticeReason, Notices};
pub use observed::{
    AnnotatedKind, AnnotatedOrder, AnnotatedUntil, Claim, Claimant, Memory, NodeCondition, NodeOrders, NodeView,
    OurCondition, PolicyView, StoredReport, Taint,
};
pub use policy::Policy;
pub use rival::{LockHolder, Rival, RivalKind, WorkloadMeta};
pub use traces_ratio::TracesRatio;
pub use wait::Wait;
