//! Which events are worth a message.

use bellwether_proto::{DrainFailure, Fact, NodeEvent, Phase};

use crate::notification::Kind;

/// A message about one node, before it is addressed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct News {
    pub(crate) kind: Kind,
    pub(crate) summary: String,
    pub(crate) detail: String,
}

/// The message about an event; none: the event is a step that only Bellwether cares about.
pub(crate) fn of(event: &NodeEvent) -> Option<News> {
    let node = &event.node;
    let (kind, summary, detail) = match &event.fact {
        Fact::PhaseChanged { to, message, .. } => {
            let (kind, summary) = of_phase(node.as_str(), *to)?;
            (kind, summary, message.as_str())
        }
        Fact::DrainFailed { failure, message, .. } => {
            let summary = format!("{node}: the drain failed ({})", word(*failure));
            (Kind::DrainFailed, summary, message.as_str())
        }
        Fact::UncordonFailed { message } => {
            let summary = format!("{node}: the cordon could not be removed; Bellwether tries again");
            (Kind::UncordonFailed, summary, message.as_str())
        }
        Fact::RebootStarted { method, .. } => {
            let summary = format!("{node} reboots now");
            (Kind::RebootStarted, summary, method.as_str())
        }
        Fact::RebootRefused { message, .. } => {
            let summary = format!("{node}: the rebooter refuses the reboot");
            (Kind::RebootRefused, summary, message.as_str())
        }
        Fact::RebootFailed { message } => {
            let summary = format!("{node}: the call for the reboot returned an error");
            (Kind::RebootFailed, summary, message.as_str())
        }
        Fact::Cordoned | Fact::DrainProgressed(_) | Fact::Drained { .. } | Fact::Uncordoned { .. } => return None,
    };
    let detail = detail.to_owned();
    Some(News { kind, summary, detail })
}

fn of_phase(node: &str, to: Phase) -> Option<(Kind, String)> {
    Some(match to {
        Phase::Draining => (Kind::DrainStarted, format!("{node} is drained for its reboot")),
        Phase::RollingBack => (
            Kind::RolledBack,
            format!("{node}: the attempt is rolled back, without a reboot that counts"),
        ),
        Phase::Done => (Kind::Rebooted, format!("{node} has rebooted and is back in service")),
        Phase::Failed => (Kind::AttemptFailed, format!("{node}: the reboot failed")),
        Phase::Cancelled => (Kind::AttemptCancelled, format!("{node}: the attempt was cancelled")),
        Phase::Rebooting | Phase::Verifying | Phase::Uncordoning | Phase::Soaking => return None,
    })
}

fn word(failure: DrainFailure) -> &'static str {
    match failure {
        DrainFailure::Timeout => "its time is over",
        DrainFailure::ForeignCordon => "another tool has cordoned the node",
        DrainFailure::NodeGone => "the node is gone",
        DrainFailure::Forbidden => "the API server refuses the drainer",
    }
}
