//! The resource `RebootPolicy`: who may reboot when.
//!
//! [`RebootPolicySpec`] has the fields as users write them, [`RebootPolicy`] their meaning. The crate is pure: time
//! and labels are arguments, and no client of Kubernetes is needed. The scheduler's core decides by the meaning,
//! `kubectl reboots` explains it, and `cargo xtask crd` writes the schema (feature `schema`).

mod brakes;
mod budget;
pub mod calendar;
mod canaries;
#[cfg(feature = "schema")]
pub mod crd;
mod drain;
mod duration;
mod fault;
mod gates;
mod governing;
mod labels;
mod needs;
mod policy;
#[cfg(feature = "schema")]
mod rules;
mod selector;
mod service;
mod spec;
mod status;

use jiff::{SignedDuration, Timestamp};

pub use brakes::{Brakes, CohortBrake};
pub use budget::{Amount, Budget, Topology};
pub use canaries::Canaries;
pub use drain::{Drain, DrainSpec, MemberOrder, OnTimeout, VolumeOrder};
pub use fault::Fault;
pub use gates::{
    AlertFilter, AlertsSpec, BasicAuthSpec, ConditionGate, ConditionSpec, Credentials, Gates, GatesSpec, OnError,
    PodGate, PodsSpec, PrometheusGate, PrometheusSpec, Question, TaintGate, TaintSpec,
};
pub use governing::{Governing, Policies};
pub use labels::{LabelExpression, LabelSelector};
pub use needs::{AnnotationSpec, NeedAnnotation, NeedsSpec, VALUE_BYTES_MAX};
pub use policy::{RebootPolicy, Terms};
pub use selector::Selector;
pub use service::{BackInService, BackInServiceSpec};
pub use spec::{
    Approval, BlackoutSpec, BrakesSpec, BudgetSpec, CanariesSpec, CohortSpec, ControlPlaneTurn, IntOrString,
    KERNEL_VERSION, RampUp, RebootMode, RebootPolicySpec, TopologySpec, WaitingTaint, WindowSpec,
};
pub use status::{BudgetUsage, Condition, ConditionReason, LeftOver, NodeNumbers, RebootPolicyStatus, WindowState};

/// The group of the resource.
pub const GROUP: &str = "bellwether.dev";
/// The version of the resource.
pub const VERSION: &str = "v1alpha1";
/// The kind of the resource.
pub const KIND: &str = "RebootPolicy";
/// The resource in URLs and in the rights of roles.
pub const PLURAL: &str = "rebootpolicies";

/// The instant so much later; the end of time if there is none.
pub(crate) fn later(at: Timestamp, by: SignedDuration) -> Timestamp {
    at.checked_add(by).unwrap_or(Timestamp::MAX)
}
