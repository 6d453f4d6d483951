//! `watch [NODE]`: follows events until Ctrl-C.

use std::time::Duration;

use bellwether_proto::NodeName;
use bellwether_proto::wire::{WatchEventsRequest, WatchEventsResponse};
use tonic::Streaming;

use super::about;
use crate::args::ConnectArgs;
use crate::connect::{CallError, Client, Fleet, chain};
use crate::{out, render};

/// How soon `watch` looks for a lost scheduler again; a new leader takes longer to be chosen.
const RETRY_INTERVAL: Duration = Duration::from_secs(2);

pub(super) async fn run(mut fleet: Fleet, connect: &ConnectArgs, node: Option<&NodeName>) -> anyhow::Result<()> {
    let node = node.map(NodeName::to_string).unwrap_or_default();
    let mut events = match watch(&mut fleet, &node).await {
        Ok(events) => events,
        Err(error) => return Err(about(&mut fleet, &node, error).await),
    };
    out::note(&format!("Watching events from {}; Ctrl-C ends it.", fleet.leader()));
    loop {
        let why = follow(&mut events).await?;
        out::note(&format!("Lost the scheduler, trying again: {why}"));
        (fleet, events) = again(connect, &node).await;
        out::note(&format!(
            "Watching events from {} again; `kubectl reboots explain NODE` shows the events in between.",
            fleet.leader()
        ));
    }
}

async fn watch(fleet: &mut Fleet, node: &str) -> Result<Streaming<WatchEventsResponse>, CallError> {
    let ask = async |mut client: Client| client.watch_events(WatchEventsRequest { node: node.to_owned() }).await;
    fleet.call(ask).await
}

/// Shows events until the stream ends; returns why it ended.
async fn follow(events: &mut Streaming<WatchEventsResponse>) -> std::io::Result<String> {
    loop {
        match events.message().await {
            Ok(Some(WatchEventsResponse { event: Some(event) })) => out::show(&render::event(&event))?,
            Ok(Some(WatchEventsResponse { event: None })) => {}
            Ok(None) => return Ok("it ended the stream".to_owned()),
            Err(status) if status.message().is_empty() => return Ok(chain(&status)),
            Err(status) => return Ok(status.message().to_owned()),
        }
    }
}

async fn again(connect: &ConnectArgs, node: &str) -> (Fleet, Streaming<WatchEventsResponse>) {
    loop {
        tokio::time::sleep(RETRY_INTERVAL).await;
        let Ok(mut fleet) = Fleet::open(connect).await else {
            continue;
        };
        if let Ok(events) = watch(&mut fleet, node).await {
            return (fleet, events);
        }
    }
}
