//! Between the bus and the core: parsing what comes in, encoding what goes out.

use bellwether_chassis::Record;
use bellwether_proto::subject::{self, Topic};
use bellwether_proto::{Encoded, HostReport, NodeEvent, NodeToken, RebooterReport, WireError, encode};
use bellwether_scheduler_core::{Command, Heard};

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
