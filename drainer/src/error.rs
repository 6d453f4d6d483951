//! Why a message can never be carried out.

use bellwether_proto::{WireError, subject};

/// Why a command can never be carried out.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CommandError {
    /// The subject is not one of a command.
    #[error("{subject:?} is no command that this version knows")]
    Unknown {
        /// The subject.
        subject: String,
    },
    /// The body does not have the form that the subject names.
    #[error("command is malformed")]
    Malformed(#[from] WireError),
    /// Subject and body name different nodes.
    #[error(transparent)]
    OtherNode(#[from] subject::OtherNode),
}
