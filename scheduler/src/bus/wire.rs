//! Parses the messages that come from NATS: beyond this file a wrong value cannot exist.

use bellwether_chassis::Record;
use bellwether_proto::subject::{self, Topic};
use bellwether_proto::{HostReport, NodeEvent, ProblemCode, RebooterReport, WireError};
use bellwether_scheduler_core::StoredReport;

/// The newest report of one of a node's two agents.
#[derive(Debug)]
pub(crate) enum HostRecord {
    Sentinel(StoredReport<HostReport>),
    Rebooter(StoredReport<RebooterReport>),
}

impl HostRecord {
    /// True if the report has a problem whose code is of a newer version. It is acted on as any problem.
    pub(crate) fn has_unknown_code(&self) -> bool {
        let problem = match self {
            Self::Sentinel(stored) => stored.report.need.problem(),
            Self::Rebooter(stored) => stored.report.problem.as_ref(),
        };
        problem.is_some_and(|problem| matches!(problem.code, ProblemCode::Unknown(_)))
    }
}

/// Why a message is rejected.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Rejection {
    #[error("the subject is not part of the contract here")]
    Subject,
    #[error("an agent writes in another node's name")]
    OtherNode(#[from] subject::OtherNode),
    #[error("the event is on a subject of other events")]
    Misplaced(#[from] subject::Misplaced),
    #[error(transparent)]
    Wire(#[from] WireError),
}

/// Parses a report.
pub(crate) fn host_record(record: &Record) -> Result<HostRecord, Rejection> {
    let stored_at = record.stored_at;
    match Topic::parse(&record.subject) {
        Some(Topic::Sentinel(token)) => {
            let report: HostReport = record.decode()?;
            subject::same_node(&token, &report.node)?;
            Ok(HostRecord::Sentinel(StoredReport { report, stored_at }))
        }
        Some(Topic::Rebooter(token)) => {
            let report: RebooterReport = record.decode()?;
            subject::same_node(&token, &report.node)?;
            Ok(HostRecord::Rebooter(StoredReport { report, stored_at }))
        }
        Some(
            Topic::Drain(_)
            | Topic::Uncordon(_)
            | Topic::Taint(_)
            | Topic::DrainQuestion(_)
            | Topic::DrainAnswer(_)
            | Topic::Event(..)
            | Topic::FleetEvent(_)
            | Topic::OrderChanged
            | Topic::Attempt(_)
            | Topic::Control,
        )
        | None => Err(Rejection::Subject),
    }
}

/// Parses an event.
pub(crate) fn event(record: &Record) -> Result<NodeEvent, Rejection> {
    let Some(Topic::Event(token, kind)) = Topic::parse(&record.subject) else {
        return Err(Rejection::Subject);
    };
    let event: NodeEvent = record.decode()?;
    subject::same_event(&token, &kind, &event)?;
    Ok(event)
}

#[cfg(test)]
mod tests {
    use bellwether_proto::Problem;
    use jiff::{SignedDuration, Timestamp};

    use super::*;

    #[test]
    fn a_report_with_a_problem_code_of_a_newer_version_is_taken_and_counted() {
        let record = |code| {
            HostRecord::Rebooter(StoredReport {
                report: RebooterReport {
                    node: "n1".parse().unwrap(),
                    boot_id: "b".parse().unwrap(),
                    reported_at: Timestamp::UNIX_EPOCH,
                    refresh_interval: SignedDuration::from_mins(5),
                    method: "logind".into(),
                    problem: Some(Problem::new(code, "access denied")),
                    agent_version: "9.0.0".into(),
                    record_keys: None,
                    boot: None,
                    kinds: Vec::new(),
                    soft_reboots: None,
                },
                stored_at: Timestamp::UNIX_EPOCH,
            })
        };
        assert!(record(ProblemCode::Unknown(77)).has_unknown_code());
        assert!(!record(ProblemCode::BusUnreachable).has_unknown_code());
        assert!(!record(ProblemCode::Unclassified).has_unknown_code());
    }
}
