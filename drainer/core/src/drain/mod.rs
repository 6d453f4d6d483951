//! The state machine of a drain: cordons the node, evicts its pods, proves that none is left.
//!
//! ```text
//! Cordoning ──▶ Announcing ──▶ Emptying ──▶ proof ──▶ drained
//!     ▲                            │
//!     └──── the cordon is lost ────┘
//! ```
//!
//! The drain ends without success when its time is over, when the node is gone or cordoned by another
//! owner, when the drainer lacks a right for too long, or when the record no longer authorises it.
//!
//! `state` has the facts and takes them in; `decide` reads from them the next action; `proof` decides
//! whether the node may be called drained, `detach` how long the drain waits for volumes; `progress` decides when an event
//! about the progress is due.

mod decide;
mod detach;
mod load_balancers;
mod progress;
mod proof;
mod state;

pub use state::{Drain, DrainOrder, DrainSettings};
