//! Listens on the bus to all that is published: events, answers, replies to commands, reads of records.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};
use async_nats::{Client, Message};
use bellwether_proto::stream::{ATTEMPTS_STREAM, COMMANDS_STREAM, DRAINERS};
use futures_util::StreamExt as _;
use rig::nats::Nats;
use rig::wait;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::ledger::{Ledger, Published, What};

/// A server on loopback answers within milliseconds; more on busy cores, and while it is paused.
const CATCH_UP_MAX: Duration = Duration::from_secs(2);

/// Inboxes carry what servers and streams answer.
const INBOXES: &str = "_INBOX.";

/// The subject of a read of an attempt from the leader of the stream.
pub(crate) fn leader_reads() -> String {
    format!("$JS.API.STREAM.MSG.GET.{}", ATTEMPTS_STREAM.name)
}

/// The tokens of a reply to a command, beside its numbers.
pub(crate) fn replies() -> String {
    format!("{}.{DRAINERS}.", COMMANDS_STREAM.name)
}

/// The listener.
#[derive(Clone, Debug)]
pub(crate) struct Tap {
    client: Client,
    /// The subject of its own probes, by which it knows how far it is.
    own: String,
    next: Arc<AtomicU64>,
    newest: watch::Receiver<u64>,
}

impl Tap {
    /// Listens from now on, in a task of the caller.
    pub(crate) async fn start(nats: &Nats, ledger: Ledger, tasks: &mut JoinSet<()>) -> Result<Self> {
        let client = nats.client().await?;
        let own = client.new_inbox();
        // One subscription, since only the messages of one come in their order.
        let mut messages = client.subscribe(">").await?;
        client.flush().await?;
        let (sender, newest) = watch::channel(0);
        let probes = own.clone();
        tasks.spawn(async move {
            while let Some(message) = messages.next().await {
                if message.subject.as_str() == probes {
                    let number = std::str::from_utf8(&message.payload)
                        .ok()
                        .and_then(|it| it.parse().ok());
                    sender.send_modify(|newest| *newest = number.unwrap_or(*newest));
                } else if !message.subject.starts_with(INBOXES) {
                    ledger.add(What::Published(published(&message)));
                }
            }
        });
        Ok(Self {
            client,
            own,
            next: Arc::default(),
            newest,
        })
    }

    /// Returns once all that the server took before is noted.
    pub(crate) async fn catch_up(&self) -> Result<()> {
        let number = self.next.fetch_add(1, Ordering::SeqCst) + 1;
        self.client.publish(self.own.clone(), number.to_string().into()).await?;
        let mut newest = self.newest.clone();
        let back = wait::within("the bus to answer the tap", CATCH_UP_MAX, async {
            let reached = newest.wait_for(|newest| *newest >= number).await;
            reached.context("the tap has ended").map(drop)
        });
        // The server may be down for the trial: then nothing was published either.
        back.await.or(Ok(()))
    }
}

fn published(message: &Message) -> Published {
    let mut headers = Vec::new();
    for (key, values) in message.headers.iter().flat_map(|headers| headers.iter()) {
        headers.extend(values.iter().map(|value| (key.to_string(), value.to_string())));
    }
    Published {
        subject: message.subject.to_string(),
        headers,
        payload: message.payload.to_vec(),
    }
}
