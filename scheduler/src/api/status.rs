//! Refusals as gRPC statuses.

use bellwether_proto::RefusalCode;
use bellwether_scheduler_core::CancelRefusal;
use tonic::Status;

use crate::error::Refusal;

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        let code = match &refusal {
            Refusal::NotLeading => RefusalCode::NotLeader,
            Refusal::Reloading => RefusalCode::LeaderReloading,
            Refusal::Events(_) => RefusalCode::EventsUnavailable,
            Refusal::InvalidField { .. } => RefusalCode::InvalidField,
            Refusal::Order(CancelRefusal::UnknownNode(_)) => RefusalCode::UnknownNode,
            Refusal::Order(CancelRefusal::NoAttempt(_)) => RefusalCode::NoAttempt,
            Refusal::Order(CancelRefusal::TooLate { .. }) => RefusalCode::TooLate,
        };
        code.status(refusal.to_string())
    }
}
