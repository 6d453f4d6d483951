//! The wire contract of Bellwether: messages, subjects, streams, ids and headers.
//!
//! Everything that two services have to agree on is here, and only here: no other crate
//! holds the text of a subject, the name of a bucket or of a header, or reads a protobuf.
//! [`wire`] is what the `.proto` files say; the types beside it are the same messages with
//! every field checked, so that inside a service a wrong value cannot exist.
//! It owns no connection and does no input or output.

#[macro_use]
mod names;

pub mod account;
pub mod attempt;
mod attempt_ref;
pub mod attribute;
mod boot;
pub mod chain;
mod check;
pub mod command;
mod daemon_pod;
mod drain_progress;
mod drain_report;
mod drain_terms;
pub mod event;
mod event_chain;
mod event_detail;
mod event_link;
mod failed_reboot;
mod field;
pub mod fleet;
mod fleet_event;
mod gate_held;
pub mod header;
pub mod host;
pub mod ids;
mod last_reboot;
pub mod limit;
pub mod mark;
pub mod message;
pub mod message_id;
mod namespace_owner;
pub mod node;
mod node_label;
mod obstacle;
mod order_event;
pub mod permission;
mod phase;
mod probe;
pub mod problem;
pub mod readiness;
mod reboot_kind;
#[cfg(feature = "grpc")]
pub mod refusal;
mod served_annotation;
pub mod setting;
pub mod signature;
mod signed;
pub mod span;
pub mod span_event;
pub mod stream;
pub mod subject;

/// The messages as generated from `bellwether/v1/*.proto`, unchecked.
#[allow(
    missing_docs,
    unreachable_pub,
    unused_qualifications,
    clippy::all,
    clippy::pedantic,
    clippy::nursery,
    clippy::restriction,
    reason = "generated code"
)]
pub mod wire {
    include!(concat!(env!("OUT_DIR"), "/bellwether.v1.rs"));
}

pub use attempt::{Attempt, Ending, PhaseEntered};
pub use attempt_ref::AttemptRef;
pub use boot::{BootReport, BootTimes, ShutdownDelay, UnitsBefore};
pub use check::{CheckDrain, DrainFinding, DrainFindingKind, DrainForecast, DrainVerdict};
pub use command::{DrainNode, TaintNode, UncordonNode};
pub use daemon_pod::DaemonPod;
pub use drain_progress::{Blocker, BlockerKind, BudgetNumbers, DrainProgress};
pub use drain_report::{BlockedBudget, DrainReport, ReturnedPods, StayingPods};
pub use drain_terms::{AfterTimeout, DrainTerms};
pub use event::{DrainFailure, Fact, NodeEvent, PhaseDetail};
pub use event_chain::{EventChain, Lacking};
pub use event_detail::{AttemptEnd, AttemptStart, StartOrder};
pub use event_link::{EventHash, EventLink, Linked};
pub use failed_reboot::FailedReboot;
pub use field::{from_duration, to_duration, to_timestamp};
pub use fleet::{FleetControl, FleetOrder, OrderKind, OrderScope};
pub use fleet_event::{FleetEvent, FleetFact, PolicyQueue, Queues, UndrainableNodes};
pub use gate_held::GateHeld;
pub use host::{HostReport, NeedReport, RebootNeed, RebooterReport};
pub use ids::{AttemptId, BootId, Generation, IdError, NodeName, NodeToken, NodeUid, TraceParent};
pub use last_reboot::LastReboot;
pub use message::{Encoded, Message, WireError, decode, decode_body, encode, encode_body};
pub use message_id::MessageIds;
pub use namespace_owner::{OWNER, OWNER_BYTES_MAX, OWNERS_MAX, owner_of};
pub use node_label::{NodeLabel, NodeLabelError};
pub use obstacle::{Obstacle, ObstacleKind, ObstacleRun};
pub use order_event::{OrderChange, OrderChanged};
pub use phase::{Cause, Phase};
pub use probe::{KernelChange, ProbeNeed, ProbeOutcome, ProbeReport};
pub use problem::{Problem, ProblemCode};
pub use reboot_kind::{KindPreflight, RebootKind};
#[cfg(feature = "grpc")]
pub use refusal::RefusalCode;
pub use served_annotation::ServedAnnotation;
pub use signature::{KeyId, PublicKeys, SignatureFault, SigningKey};
pub use signed::{Signed, Unsigned};
