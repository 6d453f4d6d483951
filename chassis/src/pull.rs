//! Requests for messages of a durable consumer, one at a time, on one subscription.
//!
//! The subscription outlives each request, so a message that arrives late is taken and not lost. A new connection
//! to NATS begins a new request: the server has forgotten the one before. At the end the messages that are on their
//! way are given back, so that another replica takes them at once and not after their ack wait.

use std::time::Duration;

use anyhow::{Context as _, bail};
use async_nats::jetstream::{self, AckKind};
use async_nats::{StatusCode, Subscriber};
use bellwether_proto::stream::ConsumerDefinition;
use futures_util::StreamExt as _;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::bus::Bus;

/// How long one request for messages stays open. Short, so that a stop is quick and a
/// consumer that was deleted is noticed.
pub(crate) const PULL_EXPIRY: Duration = Duration::from_secs(10);

/// How long the server may take beyond [`PULL_EXPIRY`] to end a request; after that the request is lost.
const EXPIRY_MARGIN: Duration = Duration::from_secs(2);

/// How long the messages on their way may take to arrive at the end: one answer of the server, and the service has to
/// stop. What arrives later comes again after its ack wait.
const GIVE_BACK_TIMEOUT: Duration = Duration::from_secs(1);

/// The requests of one consumer.
pub(crate) struct Pulls<'a> {
    bus: &'a Bus,
    subject: String,
    body: bytes::Bytes,
    messages: Subscriber,
    connections: watch::Receiver<u64>,
    newest: Newest,
    /// When the request under way ends at the latest. None: no request is under way.
    ends_at: Option<Instant>,
}

/// The inbox of the newest request, each with a number. The end of an older one, which the server has kept over a new
/// connection, begins no further request: else two would be open for ever.
#[derive(Debug)]
struct Newest {
    inbox: String,
    number: u64,
}

impl Newest {
    /// Numbers below this inbox; none is in use yet.
    fn under(inbox: String) -> Self {
        Self { inbox, number: 0 }
    }

    /// The inbox of the next request, which is the newest from now on.
    fn next(&mut self) -> String {
        self.number = self.number.wrapping_add(1);
        self.subject()
    }

    /// True for the inbox of the newest request.
    fn is_at(&self, subject: &str) -> bool {
        subject == self.subject()
    }

    fn subject(&self) -> String {
        format!("{}.{}", self.inbox, self.number)
    }
}

impl<'a> Pulls<'a> {
    /// Subscribes; requests nothing yet.
    ///
    /// # Errors
    /// The consumer does not exist, or NATS does not answer.
    pub(crate) async fn open(bus: &'a Bus, definition: &ConsumerDefinition) -> anyhow::Result<Self> {
        // Before the subscription: a connection from now on is a new one.
        let connections = bus.connections();
        // A request for a consumer that is missing has no answer that says so.
        let _: jetstream::consumer::PullConsumer = bus
            .jetstream
            .get_consumer_from_stream(definition.name, definition.stream)
            .await?;
        let inbox = bus.client.new_inbox();
        let messages = bus.client.subscribe(format!("{inbox}.*")).await?;
        let expires = u64::try_from(PULL_EXPIRY.as_nanos()).unwrap_or(u64::MAX);
        Ok(Self {
            bus,
            subject: format!("$JS.API.CONSUMER.MSG.NEXT.{}.{}", definition.stream, definition.name),
            body: serde_json::json!({ "batch": 1, "expires": expires }).to_string().into(),
            messages,
            connections,
            newest: Newest::under(inbox),
            ends_at: None,
        })
    }

    /// The next message. Dropped at any await, nothing is lost: the next call continues.
    ///
    /// # Errors
    /// The server refuses the request, or the connection has ended for good.
    pub(crate) async fn next(&mut self) -> anyhow::Result<jetstream::Message> {
        loop {
            let ends_at = match self.ends_at {
                Some(ends_at) => ends_at,
                None => self.request().await?,
            };
            tokio::select! {
                message = self.messages.next() => {
                    let message = message.context("the subscription has ended")?;
                    // A message comes under its own subject, the end of a request under the inbox of the request.
                    let is_of_older = message.status.is_some() && !self.newest.is_at(&message.subject);
                    match message.status {
                        Some(_) if is_of_older => (),
                        None | Some(StatusCode::OK) => {
                            self.ends_at = None;
                            let context = self.bus.jetstream.clone();
                            return Ok(jetstream::Message { message, context });
                        }
                        Some(StatusCode::IDLE_HEARTBEAT) => (),
                        // The request is over.
                        Some(StatusCode::NOT_FOUND | StatusCode::TIMEOUT) => self.ends_at = None,
                        Some(status) => {
                            self.ends_at = None;
                            let why = message.description.as_deref().unwrap_or("no reason is given");
                            bail!("NATS refuses a request for messages: {status} {why}");
                        }
                    }
                }
                changed = self.connections.changed() => {
                    changed.context("the connection to NATS has ended")?;
                    self.ends_at = None;
                }
                () = tokio::time::sleep_until(ends_at) => self.ends_at = None,
            }
        }
    }

    async fn request(&mut self) -> anyhow::Result<Instant> {
        // A request without a connection would wait in the client, and join those that follow.
        while !self.bus.is_connected() {
            self.connections
                .changed()
                .await
                .context("the connection to NATS has ended")?;
        }
        // Noted first: dropped in between, at most this request's time passes without a message.
        let ends_at = Instant::now() + PULL_EXPIRY + EXPIRY_MARGIN;
        self.ends_at = Some(ends_at);
        let (subject, inbox, body) = (self.subject.clone(), self.newest.next(), self.body.clone());
        self.bus.client.publish_with_reply(subject, inbox, body).await?;
        Ok(ends_at)
    }

    /// Ends the requests, and gives back the messages that are on their way.
    pub(crate) async fn end(mut self) {
        let given_back = async {
            // The server confirms the end of the subscription after all that was on its way.
            self.messages.drain().await?;
            while let Some(message) = self.messages.next().await {
                if matches!(message.status, None | Some(StatusCode::OK)) {
                    let context = self.bus.jetstream.clone();
                    let message = jetstream::Message { message, context };
                    let settled = message.ack_with(AckKind::Nak(Some(Duration::ZERO))).await;
                    settled.map_err(|error| anyhow::anyhow!(error))?;
                }
            }
            anyhow::Ok(())
        };
        match tokio::time::timeout(GIVE_BACK_TIMEOUT, given_back).await {
            Ok(Ok(())) => (),
            Ok(Err(error)) => tracing::debug!(error = format!("{error:#}"), "Messages may not be given back"),
            Err(_) => tracing::debug!("NATS does not confirm the end of the requests"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_request_has_an_inbox_of_its_own_and_only_the_newest_one_counts() {
        let mut newest = Newest::under("_INBOX.a".to_owned());
        let first = newest.next();
        assert!(newest.is_at(&first));
        let second = newest.next();
        assert_ne!(first, second);
        assert!(
            !newest.is_at(&first),
            "the end of the first request ends not the second"
        );
        assert!(newest.is_at(&second));
        assert!(!newest.is_at("_INBOX.a") && !newest.is_at("$JS.API.x"));
        // The subscription of all of them.
        assert!(
            [first, second]
                .iter()
                .all(|inbox| inbox.strip_prefix("_INBOX.a.").is_some_and(|it| !it.contains('.')))
        );
    }
}
