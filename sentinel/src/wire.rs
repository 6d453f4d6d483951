//! The sentinel's side of the contract: where its report goes, and how it is read back.
//!
//! The only file here that knows of subjects and streams.

use bellwether_chassis::{Bus, Expect, PublishError, Record};
use bellwether_proto::stream::HOSTS_STREAM;
use bellwether_proto::{HostReport, NodeName, encode, subject};

/// Stores the report in place of the one before. This record has no other writer, so the write has no condition.
pub(crate) async fn store(bus: &Bus, report: &HostReport) -> Result<u64, PublishError> {
    let subject = subject::sentinel_record(&report.node.token());
    bus.publish(subject, encode(report), None, Expect::Anything).await
}

/// The report that is stored for this node; none also if it cannot be understood.
pub(crate) async fn read_previous(
    bus: &Bus,
    node: &NodeName,
) -> Result<Option<HostReport>, bellwether_chassis::bus::ReadError> {
    let record = bus
        .read(HOSTS_STREAM.name, subject::sentinel_record(&node.token()))
        .await?;
    Ok(record
        .filter(|record| !record.deleted)
        .and_then(|record| parse(&record)))
}

fn parse(record: &Record) -> Option<HostReport> {
    match record.decode() {
        Ok(report) => Some(report),
        Err(error) => {
            // It is about to be replaced by one that is well-formed.
            tracing::warn!(sequence = record.sequence, %error, "Own report of before is malformed");
            None
        }
    }
}
