//! The command that a state machine carries out.
//!
//! A command is a hint to read the attempt's record; the record is the authority.

use bellwether_proto::AttemptRef;
use jiff::Timestamp;

/// A checked command of the scheduler.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Command {
    /// The attempt that the command belongs to.
    pub attempt: AttemptRef,
    /// The task that the scheduler asks for.
    pub task: Task,
}

/// The task of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Task {
    /// Cordon the node, then evict its pods.
    Drain {
        /// When the drain must have ended.
        not_after: Timestamp,
    },
    /// Remove the attempt's cordon.
    Uncordon,
}
