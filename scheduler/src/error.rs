//! Why the leading replica has to load anew.

use bellwether_chassis::PublishError;

/// Something that was to be stored or told was not, or may not have been.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EffectError {
    /// Another replica has written since: it leads.
    #[error("another replica leads")]
    Outrun(#[source] PublishError),
    /// NATS did not take it.
    #[error("NATS did not take it")]
    Bus(#[source] PublishError),
    /// NATS could not be asked what is queued.
    #[error("the queue could not be read")]
    Queue(#[source] anyhow::Error),
}

impl From<PublishError> for EffectError {
    fn from(error: PublishError) -> Self {
        match error {
            PublishError::Conflict { .. } => Self::Outrun(error),
            PublishError::NoStream { .. } | PublishError::Unavailable { .. } => Self::Bus(error),
        }
    }
}
