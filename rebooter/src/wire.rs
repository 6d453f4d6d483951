//! The rebooter's side of the contract: the record that orders it, its events, its report.
//!
//! The only file here that knows of subjects and streams. It speaks for no other node.

use bellwether_chassis::bus::ReadError;
use bellwether_chassis::{Bus, Expect, PublishError, Record};
use bellwether_proto::stream::ATTEMPTS_STREAM;
use bellwether_proto::{NodeEvent, NodeName, RebooterReport, encode, subject};

/// Where the record of this node's attempt is written.
pub(crate) fn record_subject(node: &NodeName) -> String {
    subject::attempt_record(&node.token())
}

/// The stored record of this node's attempt; none if there is none or it was deleted. Read from
/// the stream's leader: a replica that is behind might still show an order that was taken back.
pub(crate) async fn read_current_record(bus: &Bus, node: &NodeName) -> Result<Option<Record>, ReadError> {
    let record = bus.read_current(ATTEMPTS_STREAM.name, record_subject(node)).await?;
    Ok(record.filter(|record| !record.deleted))
}

/// The same from whichever replica answers, for looking whether there is an order at all.
pub(crate) async fn read_record(bus: &Bus, node: &NodeName) -> Result<Option<Record>, ReadError> {
    let record = bus.read(ATTEMPTS_STREAM.name, record_subject(node)).await?;
    Ok(record.filter(|record| !record.deleted))
}

/// Stores an event. A repetition carries the same id and is stored once.
pub(crate) async fn store_event(bus: &Bus, event: &NodeEvent) -> Result<u64, PublishError> {
    let subject = subject::event(&event.node.token(), &event.fact);
    let id = bus.message_ids().of(event);
    bus.publish(subject, encode(event), id, Expect::Anything).await
}

/// Stores the report in place of the one before. This record has no other writer, so the write has no condition.
pub(crate) async fn store_report(bus: &Bus, report: &RebooterReport) -> Result<u64, PublishError> {
    let subject = subject::rebooter_record(&report.node.token());
    bus.publish(subject, encode(report), None, Expect::Anything).await
}
