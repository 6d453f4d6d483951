//! What becomes of a message after it was handled.

use std::time::Duration;

/// What becomes of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is settled.
    Ack,
    /// It could not be handled now: deliver it again after this time.
    RetryAfter(Duration),
    /// It can never be handled: do not deliver it again.
    Terminate,
}
