//! Refusals as gRPC statuses.

use bellwether_scheduler_core::CancelRefusal;
use tonic::Status;

use crate::error::Refusal;

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        let message = refusal.to_string();
        match refusal {
            // Another replica may lead, or this one again in a moment: the client tries on.
            Refusal::NotLeading | Refusal::Reloading | Refusal::Events(_) => Self::unavailable(message),
            Refusal::InvalidField { .. } => Self::invalid_argument(message),
            Refusal::Order(CancelRefusal::UnknownNode(_)) => Self::not_found(message),
            Refusal::Order(CancelRefusal::NoAttempt(_) | CancelRefusal::TooLate { .. }) => {
                Self::failed_precondition(message)
            }
        }
    }
}
