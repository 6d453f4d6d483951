//! Refusals as gRPC statuses.

use bellwether_proto::RefusalCode;
use bellwether_scheduler_core::{CancelRefusal, OrderRefusal};
use tonic::Status;

use crate::error::Refusal;

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        let code = match &refusal {
            Refusal::NotLeading | Refusal::CannotLead(_) => RefusalCode::NotLeader,
            Refusal::Reloading | Refusal::NotStored(_) => RefusalCode::LeaderReloading,
            Refusal::Events(_) => RefusalCode::EventsUnavailable,
            Refusal::InvalidField { .. } => RefusalCode::InvalidField,
            Refusal::Order(OrderRefusal::UnknownNode(_)) => RefusalCode::UnknownNode,
            Refusal::Order(OrderRefusal::UnknownPolicy(_)) => RefusalCode::UnknownPolicy,
            Refusal::Order(OrderRefusal::NoNeed(_)) => RefusalCode::NoNeed,
            Refusal::Order(OrderRefusal::NeedInFuture(..)) => RefusalCode::NeedInFuture,
            Refusal::Order(OrderRefusal::ByAnnotation(..)) => RefusalCode::OrderByAnnotation,
            Refusal::Order(OrderRefusal::NoOrder) => RefusalCode::NoOrder,
            Refusal::Order(OrderRefusal::TooMany) => RefusalCode::TooManyOrders,
            Refusal::UnknownNode(_) | Refusal::Cancel(CancelRefusal::UnknownNode(_)) => RefusalCode::UnknownNode,
            Refusal::Cancel(CancelRefusal::NoAttempt(_)) => RefusalCode::NoAttempt,
            Refusal::Cancel(CancelRefusal::TooLate { .. }) => RefusalCode::TooLate,
            Refusal::Cancel(CancelRefusal::RollingBack(_)) => RefusalCode::RollingBack,
            Refusal::Cancel(CancelRefusal::StillCordoned(_)) => RefusalCode::StillCordoned,
        };
        code.status(refusal.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_standby_is_recognised_by_its_code_and_by_older_clients_by_its_text() {
        for refusal in [Refusal::NotLeading, Refusal::CannotLead("no NATS".to_owned())] {
            let status = Status::from(refusal);
            assert_eq!(RefusalCode::of(&status), Some(RefusalCode::NotLeader));
            assert!(status.message().starts_with("not the leader"), "{status:?}");
        }
    }

    #[test]
    fn a_refused_cancel_keeps_the_cores_reason() {
        let refusal = CancelRefusal::UnknownNode("n1".parse().unwrap());
        let status = Status::from(Refusal::Cancel(refusal.clone()));
        assert_eq!(RefusalCode::of(&status), Some(RefusalCode::UnknownNode));
        assert_eq!(status.message(), refusal.to_string());
    }
}
