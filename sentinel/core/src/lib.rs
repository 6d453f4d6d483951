//! The deciding core of the sentinel: what it reports of its host, and when.
//!
//! Pure: no clock, no file, no NATS. The driver (`sentinel/src/run.rs`) looks at the host, hands over the
//! [`Look`], and stores the report that comes out.

mod dates;
pub mod host;
pub mod kernel;
mod look;
mod merge;
pub mod preset;
mod report;
pub mod setting;
pub mod uptime;

pub use bellwether_chassis_core::due::Why;
pub use look::{Finding, Look, Probed, Shown, Sight};
pub use merge::{Need, merge};
pub use report::{Identity, Reporter};
