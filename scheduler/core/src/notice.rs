//! Notices: what operators should know of an attempt without `kubectl reboots`; the driver shows each one as a Kubernetes
//! Event on the Node.
//!
//! A notice follows from the stored record and its name from the attempt, so a leader that starts again gives the same
//! ones under the same names: the API server has each of them once. Nothing is decided by a notice.

mod blocked;
mod course;
mod given;
mod kind;

pub use given::Notices;
pub use kind::{Notice, NoticeAction, NoticeReason};

#[cfg(test)]
mod tests;
