//! Why the scheduler refuses a call: the code that each gRPC error of its API carries.
//!
//! The list is in `fleet.proto`. A client decides by the code; where it does not know the code, by
//! the gRPC code, which older schedulers send alone.

use tonic::{Code, Status};

use crate::wire;

/// The metadata key under which a gRPC error carries its code.
const KEY: &str = "bellwether-code";

/// Why the scheduler refuses a call. See [`wire::RefusalCode`] for the meaning of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the words are the contract's, explained in fleet.proto")]
pub enum RefusalCode {
    NotLeader,
    LeaderReloading,
    EventsUnavailable,
    InvalidField,
    UnknownNode,
    NoAttempt,
    TooLate,
    RollingBack,
    StillCordoned,
    UnknownPolicy,
    NoNeed,
    NoOrder,
    TooManyOrders,
    OrderByAnnotation,
    NeedInFuture,
}

impl RefusalCode {
    /// Every code.
    pub const ALL: [Self; 15] = [
        Self::NotLeader,
        Self::LeaderReloading,
        Self::EventsUnavailable,
        Self::InvalidField,
        Self::UnknownNode,
        Self::NoAttempt,
        Self::TooLate,
        Self::RollingBack,
        Self::StillCordoned,
        Self::UnknownPolicy,
        Self::NoNeed,
        Self::NoOrder,
        Self::TooManyOrders,
        Self::OrderByAnnotation,
        Self::NeedInFuture,
    ];

    /// The word in the metadata.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotLeader => "NotLeader",
            Self::LeaderReloading => "LeaderReloading",
            Self::EventsUnavailable => "EventsUnavailable",
            Self::InvalidField => "InvalidField",
            Self::UnknownNode => "UnknownNode",
            Self::NoAttempt => "NoAttempt",
            Self::TooLate => "TooLate",
            Self::RollingBack => "RollingBack",
            Self::StillCordoned => "StillCordoned",
            Self::UnknownPolicy => "UnknownPolicy",
            Self::NoNeed => "NoNeed",
            Self::NoOrder => "NoOrder",
            Self::TooManyOrders => "TooManyOrders",
            Self::OrderByAnnotation => "OrderByAnnotation",
            Self::NeedInFuture => "NeedInFuture",
        }
    }

    /// The value in `fleet.proto`, where other languages find the list.
    #[must_use]
    pub fn to_wire(self) -> wire::RefusalCode {
        match self {
            Self::NotLeader => wire::RefusalCode::NotLeader,
            Self::LeaderReloading => wire::RefusalCode::LeaderReloading,
            Self::EventsUnavailable => wire::RefusalCode::EventsUnavailable,
            Self::InvalidField => wire::RefusalCode::InvalidField,
            Self::UnknownNode => wire::RefusalCode::UnknownNode,
            Self::NoAttempt => wire::RefusalCode::NoAttempt,
            Self::TooLate => wire::RefusalCode::TooLate,
            Self::RollingBack => wire::RefusalCode::RollingBack,
            Self::StillCordoned => wire::RefusalCode::StillCordoned,
            Self::UnknownPolicy => wire::RefusalCode::UnknownPolicy,
            Self::NoNeed => wire::RefusalCode::NoNeed,
            Self::NoOrder => wire::RefusalCode::NoOrder,
            Self::TooManyOrders => wire::RefusalCode::TooManyOrders,
            Self::OrderByAnnotation => wire::RefusalCode::OrderByAnnotation,
            Self::NeedInFuture => wire::RefusalCode::NeedInFuture,
        }
    }

    /// The gRPC code that goes with this code.
    #[must_use]
    pub fn grpc(self) -> Code {
        match self {
            Self::NotLeader | Self::LeaderReloading | Self::EventsUnavailable => Code::Unavailable,
            Self::InvalidField => Code::InvalidArgument,
            Self::UnknownNode | Self::UnknownPolicy | Self::NoOrder => Code::NotFound,
            Self::NoAttempt
            | Self::TooLate
            | Self::RollingBack
            | Self::StillCordoned
            | Self::NoNeed
            | Self::OrderByAnnotation
            | Self::NeedInFuture => Code::FailedPrecondition,
            Self::TooManyOrders => Code::ResourceExhausted,
        }
    }

    /// The gRPC error of a refusal, with a message for operators.
    pub fn status(self, message: impl Into<String>) -> Status {
        let mut status = Status::new(self.grpc(), message);
        let word = tonic::metadata::MetadataValue::from_static(self.as_str());
        status.metadata_mut().insert(KEY, word);
        status
    }

    /// The code of a gRPC error. None: the error is not of a scheduler, or of an older or newer one.
    #[must_use]
    pub fn of(status: &Status) -> Option<Self> {
        let word = status.metadata().get(KEY)?.to_str().ok()?;
        Self::ALL.into_iter().find(|code| code.as_str() == word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_carries_its_code_and_the_grpc_code_that_goes_with_it() {
        for code in RefusalCode::ALL {
            let status = code.status("no");
            assert_eq!(RefusalCode::of(&status), Some(code));
            assert_eq!((status.code(), status.message()), (code.grpc(), "no"));
        }
    }

    #[test]
    fn an_error_without_a_code_or_with_a_newer_one_has_none() {
        assert_eq!(RefusalCode::of(&Status::unavailable("not the leader")), None);
        let mut newer = RefusalCode::NotLeader.status("no");
        newer.metadata_mut().insert(KEY, "OfTomorrow".parse().unwrap());
        assert_eq!(RefusalCode::of(&newer), None);
    }
}
