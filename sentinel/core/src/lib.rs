//! The deciding core of the sentinel: what it reports of its host, and when.
//!
//! Pure: no clock, no file, no NATS. The driver (`sentinel/src/run.rs`) looks at the host, hands over the
//! [`Look`], and stores the report that comes out.

pub mod host;
mod look;
mod report;

pub use bellwether_chassis_core::due::Why;
pub use look::{Look, Need};
pub use report::{Identity, Reporter};
