//! The life of one attempt: from what is observed and reported to its next phase.
//!
//! It owns the rules of every phase, and nothing else: which node starts is decided in `admission`.

mod clamp;
mod events;
mod gone;
mod orphan;
mod phases;
mod retry;
mod service;
mod start;
mod terms;
mod transition;

pub(crate) use clamp::clamp;
pub(crate) use events::{Consequence, apply_event};
pub(crate) use gone::gone_host_may_be_down;
pub(crate) use orphan::orphan_of;
pub(crate) use phases::{LastLook, Looks, next_transition};
pub(crate) use retry::same_obstacle;
pub(crate) use service::{Service, demanded, service, units};
pub(crate) use start::{is_for_reboot, start};
pub(crate) use terms::{drain_terms, reboot_kind};
pub(crate) use transition::{Transition, apply, has_noted_reboot, is_held, note_reboot, time_limit, wants_uncordon};
