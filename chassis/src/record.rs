//! Records: the newest message of a subject, with what the server knows of it.

use async_nats::HeaderMap;
use async_nats::jetstream::consumer::{self, DeliverPolicy};
use async_nats::jetstream::message::StreamMessage;
use bellwether_proto::{Message, WireError};
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use jiff::Timestamp;

use crate::bus::Bus;

/// Header that marks a deleted record, as key-value stores write it.
pub(crate) const OPERATION: &str = "KV-Operation";

/// Value of [`OPERATION`] for a record that is deleted with all its revisions.
pub(crate) const PURGE: &str = "PURGE";

/// Header and value by which the server drops the older messages of the subject.
pub(crate) const ROLLUP: (&str, &str) = ("Nats-Rollup", "sub");

/// One stored message.
#[derive(Debug, Clone)]
pub struct Record {
    /// Its subject.
    pub subject: String,
    /// Its place in the stream.
    pub sequence: u64,
    /// When the server stored it, by the server's clock.
    pub stored_at: Timestamp,
    /// True: the message marks the record as deleted.
    pub deleted: bool,
    headers: HeaderMap,
    payload: Bytes,
}

/// What a watcher hears.
#[derive(Debug, Clone)]
pub enum Watched {
    /// A record, stored before or just now.
    Record(Record),
    /// Every record that was stored before the watch began has been handed out.
    CaughtUp,
}

impl Record {
    pub(crate) fn from_stored(message: StreamMessage) -> Self {
        Self {
            subject: message.subject.to_string(),
            sequence: message.sequence,
            stored_at: timestamp(message.time),
            deleted: is_deletion(&message.headers),
            headers: message.headers,
            payload: message.payload,
        }
    }

    pub(crate) fn from_delivered(message: &async_nats::jetstream::Message) -> Option<(Self, u64)> {
        let info = message.info().ok()?;
        let headers = message.headers.clone().unwrap_or_default();
        let record = Self {
            subject: message.subject.to_string(),
            sequence: info.stream_sequence,
            stored_at: timestamp(info.published),
            deleted: is_deletion(&headers),
            headers,
            payload: message.payload.clone(),
        };
        Some((record, info.pending))
    }

    /// The message that is stored.
    ///
    /// # Errors
    /// Names the header or field that is missing or wrong.
    pub fn decode<M: Message>(&self) -> Result<M, WireError> {
        bellwether_proto::decode(|name| self.headers.get(name).map(|value| value.as_str()), &self.payload)
    }
}

impl Bus {
    /// Hands out the newest record of every subject that fits, then each change.
    ///
    /// The stream ends with an error when the server loses the watch for good; start it again then.
    ///
    /// # Errors
    /// The stream is not there, or the server did not answer.
    pub async fn watch(
        &self,
        stream: &'static str,
        filter: String,
    ) -> anyhow::Result<BoxStream<'static, anyhow::Result<Watched>>> {
        self.follow(stream, filter, DeliverPolicy::LastPerSubject).await
    }

    /// Hands out every message that fits and is stored from now on.
    ///
    /// # Errors
    /// As [`Self::watch`].
    pub async fn follow_new(
        &self,
        stream: &'static str,
        filter: String,
    ) -> anyhow::Result<BoxStream<'static, anyhow::Result<Watched>>> {
        self.follow(stream, filter, DeliverPolicy::New).await
    }

    /// Hands out every message that fits and is stored, oldest first, then each new one.
    ///
    /// # Errors
    /// As [`Self::watch`].
    pub async fn follow_all(
        &self,
        stream: &'static str,
        filter: String,
    ) -> anyhow::Result<BoxStream<'static, anyhow::Result<Watched>>> {
        self.follow(stream, filter, DeliverPolicy::All).await
    }

    async fn follow(
        &self,
        stream: &'static str,
        filter: String,
        deliver_policy: DeliverPolicy,
    ) -> anyhow::Result<BoxStream<'static, anyhow::Result<Watched>>> {
        let stream = self.jetstream.get_stream(stream).await?;
        let config = consumer::pull::OrderedConfig {
            filter_subject: filter,
            deliver_policy,
            ..Default::default()
        };
        let consumer = stream.create_consumer(config).await?;
        let nothing_stored = consumer.cached_info().num_pending == 0;
        let messages = consumer.messages().await?;
        let first = futures_util::stream::iter(nothing_stored.then_some(Ok(Watched::CaughtUp)));
        let mut caught_up = nothing_stored;
        let rest = messages.flat_map(move |message| {
            let mut heard = Vec::with_capacity(2);
            match message {
                Ok(message) => {
                    if let Some((record, pending)) = Record::from_delivered(&message) {
                        heard.push(Ok(Watched::Record(record)));
                        if pending == 0 && !caught_up {
                            caught_up = true;
                            heard.push(Ok(Watched::CaughtUp));
                        }
                    }
                }
                Err(error) => heard.push(Err(anyhow::Error::new(error))),
            }
            futures_util::stream::iter(heard)
        });
        Ok(first.chain(rest).boxed())
    }

    /// The sequence of the stream's last message.
    ///
    /// # Errors
    /// The stream is not there, or the server did not answer.
    pub async fn last_sequence(&self, stream: &'static str) -> anyhow::Result<u64> {
        let stream = self.jetstream.get_stream(stream).await?;
        Ok(stream.cached_info().state.last_sequence)
    }
}

fn is_deletion(headers: &HeaderMap) -> bool {
    // DEL or PURGE: whatever a key-value tool writes to take a record away.
    headers
        .get(OPERATION)
        .is_some_and(|operation| operation.as_str() != "PUT")
}

fn timestamp(time: impl Into<std::time::SystemTime>) -> Timestamp {
    Timestamp::try_from(time.into()).unwrap_or(Timestamp::UNIX_EPOCH)
}
