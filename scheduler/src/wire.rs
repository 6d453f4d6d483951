//! Between the bus, the core and people: parsing what comes in, encoding what goes out.

use bellwether_chassis::Record;
use bellwether_proto::subject::{self, Topic};
use bellwether_proto::{Encoded, HostReport, NodeEvent, NodeToken, RebooterReport, encode, to_timestamp, wire};
use bellwether_proto::{Message as _, WireError};
use bellwether_scheduler_core::fleet::DrainProgress;
use bellwether_scheduler_core::{Command, Fleet, Heard, NodeView, Standing, State};

/// A record of a host that was understood.
#[derive(Debug)]
pub(crate) enum HostRecord {
    Sentinel(Heard<HostReport>),
    Rebooter(Heard<RebooterReport>),
}

/// Why a message is not acted on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Rejection {
    #[error("the subject is none of ours")]
    Subject,
    #[error("it speaks of node {said}, but was written as {token}: who writes in another node's name?")]
    OtherNode { said: String, token: NodeToken },
    #[error(transparent)]
    Wire(#[from] WireError),
}

/// What an agent reported.
pub(crate) fn host_record(record: &Record) -> Result<HostRecord, Rejection> {
    let stored_at = record.stored_at;
    match Topic::parse(&record.subject) {
        Some(Topic::Sentinel(token)) => {
            let report: HostReport = record.decode()?;
            same_node(&token, &report.node)?;
            Ok(HostRecord::Sentinel(Heard { report, stored_at }))
        }
        Some(Topic::Rebooter(token)) => {
            let report: RebooterReport = record.decode()?;
            same_node(&token, &report.node)?;
            Ok(HostRecord::Rebooter(Heard { report, stored_at }))
        }
        Some(Topic::Drain(_) | Topic::Uncordon(_) | Topic::Event(_) | Topic::Attempt(_) | Topic::Control) | None => {
            Err(Rejection::Subject)
        }
    }
}

/// What happened in an attempt.
pub(crate) fn event(record: &Record) -> Result<NodeEvent, Rejection> {
    let Some(Topic::Event(token)) = Topic::parse(&record.subject) else {
        return Err(Rejection::Subject);
    };
    let event: NodeEvent = record.decode()?;
    same_node(&token, &event.node)?;
    Ok(event)
}

/// An agent may speak for its own node only; the subject is what its rights are cut by.
pub(crate) fn same_node(token: &NodeToken, said: &bellwether_proto::NodeName) -> Result<(), Rejection> {
    if said.token() == *token {
        return Ok(());
    }
    Err(Rejection::OtherNode {
        said: said.to_string(),
        token: token.clone(),
    })
}

/// Where a command goes, and what it is.
pub(crate) fn command(command: &Command) -> (String, Encoded) {
    match command {
        Command::Drain(drain) => (subject::drain_command(&drain.node.token()), encode(drain)),
        Command::Uncordon(uncordon) => (subject::uncordon_command(&uncordon.node.token()), encode(uncordon)),
    }
}

/// Every node, for people.
pub(crate) fn list(fleet: &Fleet, notice: String) -> wire::ListNodesResponse {
    let (slots_total, holders) = fleet.slots();
    wire::ListNodesResponse {
        nodes: fleet
            .standings()
            .map(|(node, standing)| status(fleet, node, standing))
            .collect(),
        control: fleet.control().map(bellwether_proto::FleetControl::to_wire),
        slots_total,
        slots_taken: u32::try_from(holders.len()).unwrap_or(u32::MAX),
        notice,
    }
}

/// One node, for people.
pub(crate) fn status(fleet: &Fleet, node: &NodeView, standing: &Standing) -> wire::NodeStatus {
    let sentinel = fleet.sentinel(&node.name).map(|heard| &heard.report);
    let need = sentinel.and_then(|report| report.need.as_ref().ok()?.as_ref());
    let state = match standing.state {
        State::Idle => wire::NodeState::Idle,
        State::Waiting => wire::NodeState::Waiting,
        State::InProgress(_) => wire::NodeState::InProgress,
        State::Failed => wire::NodeState::Failed,
        State::Unknown => wire::NodeState::Unknown,
    };
    wire::NodeStatus {
        node: node.name.to_string(),
        state: state.into(),
        reason: standing.reason.as_ref().map(|reason| wire::Reason {
            code: reason.code().to_owned(),
            message: reason.message(),
            since: Some(to_timestamp(standing.since)),
        }),
        ready: node.ready,
        unschedulable: node.unschedulable,
        reboot_required: need.is_some(),
        required_since: need.map(|need| to_timestamp(need.since)),
        required_by: need.map(|need| need.reasons.clone()).unwrap_or_default(),
        boot_id: node.boot_id.as_ref().map(ToString::to_string).unwrap_or_default(),
        kernel_running: node.kernel.clone(),
        kernel_installed: sentinel
            .and_then(|report| report.kernel_installed.clone())
            .unwrap_or_default(),
        os: node.os.clone(),
        attempt: fleet.attempt(&node.name).map(bellwether_proto::Attempt::to_wire),
        drain: fleet.drain(&node.name).map(drain),
    }
}

fn drain(progress: &DrainProgress) -> wire::DrainProgressed {
    wire::DrainProgressed {
        pods_left: progress.pods_left,
        pods_gone: progress.pods_gone,
        held_up_by: progress.held_up_by.clone(),
    }
}
