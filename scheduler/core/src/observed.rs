//! The facts that the driver has handed over, as the core keeps them.

mod annotated;
mod claim;
mod memory;
mod need_annotation;
mod node;
mod observation;
mod policy;
mod report;

pub use annotated::{AnnotatedKind, AnnotatedOrder, AnnotatedUntil, NodeOrders};
pub use claim::{Claim, Claimant};
pub use memory::Memory;
pub(crate) use need_annotation::{Asking, Served};
pub use node::{NodeCondition, NodeView, OurCondition, Taint};
pub(crate) use observation::Observation;
pub use policy::PolicyView;
pub use report::{Renewed, StoredReport};
