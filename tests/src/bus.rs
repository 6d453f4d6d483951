//! Listens in on the bus, and speaks out of turn, through the wire contract.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use async_nats::HeaderMap;
use async_nats::jetstream::Context;
use async_nats::jetstream::message::StreamMessage;
use async_nats::jetstream::stream::LastRawMessageErrorKind;
use bellwether_proto::event::NodeEvent;
use bellwether_proto::stream::{ATTEMPTS_STREAM, EVENTS_STREAM, HOSTS_STREAM, StreamDefinition};
use bellwether_proto::subject::{self, Topic};
use bellwether_proto::{Attempt, HostReport, Message, NodeName, Phase, RebooterReport, decode, encode};

use crate::accounts::User;
use crate::nats::Nats;
use crate::wait;

/// A client of the bus.
#[derive(Clone, Debug)]
pub struct Bus {
    jetstream: Context,
}

impl Bus {
    /// Connects one that may do everything.
    pub async fn connect(nats: &Nats) -> Result<Self> {
        Ok(Self {
            jetstream: async_nats::jetstream::new(nats.client().await?),
        })
    }

    /// Connects one with the rights of this user.
    pub async fn connect_as(nats: &Nats, user: &User<'_>) -> Result<Self> {
        Ok(Self {
            jetstream: async_nats::jetstream::new(nats.client_of(user).await?),
        })
    }

    /// For what this type has no method for.
    #[must_use]
    pub fn jetstream(&self) -> &Context {
        &self.jetstream
    }

    /// The stored attempt of a node.
    pub async fn attempt(&self, node: &str) -> Result<Option<Attempt>> {
        let subject = subject::attempt_record(&name(node)?.token());
        self.last(&ATTEMPTS_STREAM, &subject).await
    }

    /// The last report of a node's sentinel.
    pub async fn host_report(&self, node: &str) -> Result<Option<HostReport>> {
        let subject = subject::sentinel_record(&name(node)?.token());
        self.last(&HOSTS_STREAM, &subject).await
    }

    /// The last report of a node's rebooter.
    pub async fn rebooter_report(&self, node: &str) -> Result<Option<RebooterReport>> {
        let subject = subject::rebooter_record(&name(node)?.token());
        self.last(&HOSTS_STREAM, &subject).await
    }

    /// Waits until a node's attempt is in this phase, or has been in it and is beyond.
    pub async fn wait_phase(&self, node: &str, phase: Phase, deadline: Duration) -> Result<Attempt> {
        wait::until(&format!("{node} to be {}", phase.as_str()), deadline, async || {
            let attempt = self.attempt(node).await?.context("it has no attempt")?;
            let been = attempt.history.iter().any(|entered| entered.phase == phase);
            ensure!(been, "it is {}", attempt.phase.as_str());
            Ok(attempt)
        })
        .await
    }

    /// All events of a node that are stored, oldest first.
    pub async fn events(&self, node: &str) -> Result<Vec<NodeEvent>> {
        let node = name(node)?;
        let mut events = self.all_events().await?;
        events.retain(|event| event.node == node);
        Ok(events)
    }

    /// All events of nodes that are stored, oldest first.
    pub async fn all_events(&self) -> Result<Vec<NodeEvent>> {
        let mut stream = self.jetstream.get_stream(EVENTS_STREAM.name).await?;
        let state = stream.info().await?.state.clone();
        let mut events = Vec::new();
        for sequence in state.first_sequence.max(1)..=state.last_sequence {
            let message = stream.get_raw_message(sequence).await?;
            if !matches!(Topic::parse(&message.subject), Some(Topic::Event(..))) {
                continue;
            }
            let event: NodeEvent = read(&message)?;
            let own = subject::event(&event.node.token(), &event.fact);
            ensure!(*message.subject == *own, "{} carries {event:?}", message.subject);
            events.push(event);
        }
        Ok(events)
    }

    /// Publishes a message as it is, to any subject: an old command, a record that no scheduler wrote.
    pub async fn publish<M: Message>(&self, subject: String, message: &M) -> Result<()> {
        let encoded = encode(message);
        let mut headers = HeaderMap::new();
        for (key, value) in encoded.headers {
            headers.insert(key, value);
        }
        let ack = self
            .jetstream
            .publish_with_headers(subject, headers, encoded.payload.into());
        ack.await?.await?;
        Ok(())
    }

    async fn last<M: Message>(&self, stream: &StreamDefinition, subject: &str) -> Result<Option<M>> {
        let stream = self.jetstream.get_stream_no_info(stream.name).await?;
        match stream.get_last_raw_message_by_subject(subject).await {
            Ok(message) if message.payload.is_empty() => Ok(None),
            Ok(message) => read(&message).map(Some),
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

fn read<M: Message>(message: &StreamMessage) -> Result<M> {
    let header = |key: &'static str| message.headers.get(key).map(async_nats::HeaderValue::as_str);
    let decoded = decode(header, &message.payload);
    decoded.with_context(|| format!("the message on {} breaks the contract", message.subject))
}

fn name(node: &str) -> Result<NodeName> {
    node.parse().with_context(|| format!("{node} is no node name"))
}
