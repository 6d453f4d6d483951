//! Events: reading everybody's, for the leader and the API.

use std::collections::VecDeque;

use bellwether_chassis::{Bus, Watched};
use bellwether_proto::stream::EVENTS_STREAM;
use bellwether_proto::{Attempt, DrainProgress, Fact, NodeEvent, NodeName, Phase, subject};
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;

use crate::bus::wire;

/// How many events of a node's past are read: the last ones, more than three attempts have.
const EVENTS_MAX: usize = 100;

/// What the drainers reported last on the drains that are under way. A drain that is blocked reports nothing new for
/// as long as nothing changes, so the leader would not know its blockers otherwise.
pub(crate) async fn last_progress(bus: &Bus, attempts: &[Attempt]) -> Vec<NodeEvent> {
    let mut found = Vec::new();
    // At most as many as there are slots.
    for attempt in attempts.iter().filter(|attempt| attempt.phase == Phase::Draining) {
        let progress = Fact::DrainProgressed(DrainProgress::default());
        let subject = subject::event(&attempt.node.token(), &progress);
        match bus.read_current(EVENTS_STREAM.name, subject).await {
            Ok(record) => {
                let event = record.and_then(|record| wire::event(&record).ok());
                found.extend(event.filter(|event| event.attempt == attempt.id));
            }
            // Only shown to operators, so no reason not to lead.
            Err(error) => {
                let error = bellwether_chassis::chain(&error);
                tracing::warn!(node = %attempt.node, error, "Progress of a drain is not known");
            }
        }
    }
    found
}

/// A node's last events, oldest first. Events that cannot be parsed are left out.
pub(crate) async fn past(bus: &Bus, node: &NodeName) -> anyhow::Result<VecDeque<NodeEvent>> {
    let mut stored = bus
        .follow_all(EVENTS_STREAM.name, subject::events_of(&node.token()))
        .await?;
    let mut events = VecDeque::new();
    while let Some(watched) = stored.next().await {
        let Watched::Record(record) = watched? else { break };
        if let Ok(event) = wire::event(&record) {
            if events.len() == EVENTS_MAX {
                events.pop_front();
            }
            events.push_back(event);
        }
    }
    Ok(events)
}

/// Every event from now on, of one node or of all. Events that cannot be parsed are left out.
pub(crate) async fn follow(
    bus: &Bus,
    node: Option<&NodeName>,
) -> anyhow::Result<BoxStream<'static, anyhow::Result<NodeEvent>>> {
    let filter = match node {
        Some(node) => subject::events_of(&node.token()),
        None => subject::ALL_EVENTS.to_owned(),
    };
    let watched = bus.follow_new(EVENTS_STREAM.name, filter).await?;
    let events = watched.filter_map(|watched| {
        std::future::ready(match watched {
            Ok(Watched::Record(record)) => wire::event(&record).ok().map(Ok),
            Ok(Watched::CaughtUp) => None,
            Err(error) => Some(Err(error)),
        })
    });
    Ok(events.boxed())
}
