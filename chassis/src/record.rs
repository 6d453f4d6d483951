//! Records: the newest message of a subject, with what the server knows of it.

use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::jetstream::consumer::{self, DeliverPolicy};
use async_nats::jetstream::message::StreamMessage;
use async_nats::jetstream::stream;
use bellwether_proto::{
    Encoded, KeyId, Message, PublicKeys, SignatureFault, Signed, SigningKey, Unsigned, WireError, header, signature,
};
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

/// How long a watch may hear nothing while messages are stored that it has not handed out. A server hands out what
/// it has at once, and a replica that lags longer is better replaced by another try.
const CATCH_UP_TIMEOUT: Duration = Duration::from_secs(5);

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

/// Why a stored record gives nothing to act on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// The record does not verify.
    #[error("the record is not trusted, {code}: {0}", code = .0.code())]
    Untrusted(SignatureFault),
    /// The scheduler wrote it, and this version does not understand it.
    #[error(transparent)]
    Malformed(#[from] WireError),
}

/// What a record says that may not verify. Any client may have written it: to be compared and reported, not acted on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim<M>(M);

impl<M> Claim<M> {
    /// The content.
    #[must_use]
    pub fn unverified(self) -> M {
        self.0
    }
}

/// The state of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamState {
    /// When it was created, by the server's clock: a stream that was deleted and created again has another time.
    pub created: Timestamp,
    /// The sequence of its last message, also of one that is deleted.
    pub last_sequence: u64,
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

    pub(crate) fn from_delivered(message: &async_nats::jetstream::Message) -> Option<Self> {
        let info = message.info().ok()?;
        let headers = message.headers.clone().unwrap_or_default();
        Some(Self {
            subject: message.subject.to_string(),
            sequence: info.stream_sequence,
            stored_at: timestamp(info.published),
            deleted: is_deletion(&headers),
            headers,
            payload: message.payload.clone(),
        })
    }

    /// The body as it is stored.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.payload
    }

    /// The message that is stored, of a type that carries no signature.
    ///
    /// # Errors
    /// Names the header or field that is missing or wrong.
    pub fn decode<M: Unsigned>(&self) -> Result<M, WireError> {
        self.decode_any()
    }

    /// The message of a record that one of these keys has signed.
    ///
    /// # Errors
    /// The record does not verify, or this version does not understand it.
    pub fn verified<M: Signed>(&self, keys: &PublicKeys) -> Result<M, Unusable> {
        self.verify(keys).map_err(Unusable::Untrusted)?;
        Ok(self.decode_any()?)
    }

    /// What the record says, whether it verifies or not.
    ///
    /// # Errors
    /// Not even that can be understood.
    pub fn claim<M: Signed>(&self) -> Result<Claim<M>, WireError> {
        self.decode_any().map(Claim)
    }

    /// Whether one of these keys has signed the record.
    ///
    /// # Errors
    /// None has.
    pub fn verify(&self, keys: &PublicKeys) -> Result<(), SignatureFault> {
        let mut values = self.headers.get_all(header::SIGNATURE);
        let signature = values.next().map(async_nats::HeaderValue::as_str);
        if values.next().is_some() {
            return Err(SignatureFault::Malformed);
        }
        keys.verify(&self.subject, self.sequence, signature, &self.payload)
            .map(drop)
    }

    /// The key that the signature names, if there is one. Proves nothing.
    #[must_use]
    pub fn named_key(&self) -> Option<KeyId> {
        signature::named_key(self.headers.get(header::SIGNATURE)?.as_str())
    }

    /// The same message, signed by this key for another place in the stream.
    #[must_use]
    pub fn signed_again(&self, key: &SigningKey, sequence: u64) -> Encoded {
        let kept = [header::TYPE, header::SCHEMA, header::CONTENT_TYPE];
        let kept = kept.into_iter().filter_map(|name| {
            let value = self.headers.get(name)?.as_str().to_owned();
            Some((name, value))
        });
        let mut headers: Vec<_> = kept.collect();
        headers.push((header::SIGNATURE, key.sign(&self.subject, sequence, &self.payload)));
        Encoded {
            headers,
            payload: self.payload.to_vec(),
        }
    }

    fn decode_any<M: Message>(&self) -> Result<M, WireError> {
        bellwether_proto::decode(|name| self.headers.get(name).map(|value| value.as_str()), &self.payload)
    }
}

impl Bus {
    /// Hands out the newest record of every subject that fits, then each change.
    ///
    /// The stream gives an error when the server loses the watch for good, or when messages that are stored do not
    /// arrive: start it again then.
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

    /// As [`Self::follow_all`], from behind this sequence on; 0: from the begin.
    ///
    /// # Errors
    /// As [`Self::watch`].
    pub async fn follow_after(
        &self,
        stream: &'static str,
        filter: String,
        after: u64,
    ) -> anyhow::Result<BoxStream<'static, anyhow::Result<Watched>>> {
        let start_sequence = after.saturating_add(1);
        self.follow(stream, filter, DeliverPolicy::ByStartSequence { start_sequence })
            .await
    }

    async fn follow(
        &self,
        stream: &'static str,
        filter: String,
        deliver_policy: DeliverPolicy,
    ) -> anyhow::Result<BoxStream<'static, anyhow::Result<Watched>>> {
        // An ordered consumer has one replica, which may be behind the stream's leader: only the leader knows
        // which message is the newest.
        let newest = match deliver_policy {
            // Nothing that was stored before is handed out.
            DeliverPolicy::New => None,
            DeliverPolicy::ByStartSequence { start_sequence } => {
                let newest = self.newest(stream, filter.clone()).await?;
                newest.filter(|newest| *newest >= start_sequence)
            }
            DeliverPolicy::All
            | DeliverPolicy::Last
            | DeliverPolicy::ByStartTime { .. }
            | DeliverPolicy::LastPerSubject => self.newest(stream, filter.clone()).await?,
        };
        let config = consumer::pull::OrderedConfig {
            filter_subject: filter,
            deliver_policy,
            ..Default::default()
        };
        let consumer = self
            .jetstream
            .get_stream_no_info(stream)
            .await?
            .create_consumer(config)
            .await?;
        let following = Following {
            stream,
            messages: consumer.messages().await?,
            progress: CatchUp::to(newest),
        };
        let watched = futures_util::stream::unfold(following, async |mut following| {
            let watched = following.next().await?;
            Some((watched, following))
        });
        Ok(watched.boxed())
    }

    /// The sequence of the newest message that fits, as the stream's leader knows. None: there is none.
    ///
    /// # Errors
    /// The leader did not answer or refused.
    pub async fn newest(&self, stream: &'static str, filter: String) -> anyhow::Result<Option<u64>> {
        let newest = self.read_current(stream, filter).await?;
        Ok(newest.map(|record| record.sequence))
    }

    /// The state of a stream, as its leader knows.
    ///
    /// # Errors
    /// The stream is not there, or the server did not answer.
    pub async fn state(&self, stream: &'static str) -> anyhow::Result<StreamState> {
        let stream = self.jetstream.get_stream(stream).await?;
        let info = stream.cached_info();
        Ok(StreamState {
            created: timestamp(info.created),
            last_sequence: info.state.last_sequence,
        })
    }

    /// From when on a stream has each message that was stored in it, by the server's clock: older ones may have left it.
    /// None: no message has.
    ///
    /// # Errors
    /// The stream is not there, or the server did not answer.
    pub async fn kept_since(&self, stream: &'static str) -> anyhow::Result<Option<Timestamp>> {
        let stream = self.jetstream.get_stream(stream).await?;
        Ok(kept_since(&stream.cached_info().state))
    }

    /// For how long a stream keeps its messages. None: without a limit of time.
    ///
    /// # Errors
    /// The stream is not there, or the server did not answer.
    pub async fn max_age(&self, stream: &'static str) -> anyhow::Result<Option<Duration>> {
        let stream = self.jetstream.get_stream(stream).await?;
        let age = stream.cached_info().config.max_age;
        Ok((!age.is_zero()).then_some(age))
    }
}

/// From when on a stream has each message.
fn kept_since(state: &stream::State) -> Option<Timestamp> {
    if state.messages == 0 && state.last_sequence > 0 {
        return Some(Timestamp::MAX);
    }
    (state.first_sequence > 1).then(|| timestamp(state.first_timestamp))
}

/// A consumer, and how much of what was stored before has been handed out.
struct Following {
    stream: &'static str,
    messages: consumer::pull::Ordered,
    progress: CatchUp,
}

impl Following {
    async fn next(&mut self) -> Option<anyhow::Result<Watched>> {
        // Bounded by the messages without a place in a stream, which a consumer never delivers.
        loop {
            if self.progress.ends() {
                return Some(Ok(Watched::CaughtUp));
            }
            let next = self.messages.next();
            let message = if let Some(newest) = self.progress.awaits() {
                match tokio::time::timeout(CATCH_UP_TIMEOUT, next).await {
                    Ok(message) => message?,
                    Err(_) => {
                        let stream = self.stream;
                        let limit = CATCH_UP_TIMEOUT;
                        return Some(Err(anyhow::anyhow!(
                            "message {newest} of {stream} is stored, and no message arrived for {limit:?}"
                        )));
                    }
                }
            } else {
                next.await?
            };
            match message {
                Ok(message) => {
                    if let Some(record) = Record::from_delivered(&message) {
                        self.progress.heard(record.sequence);
                        return Some(Ok(Watched::Record(record)));
                    }
                }
                Err(error) => return Some(Err(error.into())),
            }
        }
    }
}

/// Whether everything that was stored before a watch has been handed out.
#[derive(Debug)]
enum CatchUp {
    /// The message of this sequence has not been handed out.
    Awaiting(u64),
    /// All has been handed out, which the watcher does not know yet.
    Complete,
    /// The watcher knows that it has everything.
    Known,
}

impl CatchUp {
    /// `newest` is the sequence of the newest message that is stored, if there is one.
    fn to(newest: Option<u64>) -> Self {
        newest.map_or(Self::Complete, Self::Awaiting)
    }

    /// Takes note of the sequence that is handed out. A newer one than the awaited counts too: the awaited message
    /// was replaced.
    fn heard(&mut self, sequence: u64) {
        if matches!(self, Self::Awaiting(newest) if sequence >= *newest) {
            *self = Self::Complete;
        }
    }

    /// True once, as soon as everything has been handed out.
    fn ends(&mut self) -> bool {
        let complete = matches!(self, Self::Complete);
        if complete {
            *self = Self::Known;
        }
        complete
    }

    fn awaits(&self) -> Option<u64> {
        match self {
            Self::Awaiting(newest) => Some(*newest),
            Self::Complete | Self::Known => None,
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watch_has_caught_up_once_it_has_heard_the_newest_message_of_the_leader_and_reports_that_once() {
        let mut lagging = CatchUp::to(Some(7));
        for sequence in [2, 5, 6] {
            lagging.heard(sequence);
            assert!(!lagging.ends(), "after {sequence}, though its replica has no more");
            assert_eq!(lagging.awaits(), Some(7));
        }
        lagging.heard(7);
        assert_eq!(lagging.awaits(), None);
        assert!(lagging.ends());
        lagging.heard(8);
        assert!(!lagging.ends());
    }

    #[test]
    fn a_watch_that_hears_what_replaced_the_newest_message_has_caught_up() {
        let mut watch = CatchUp::to(Some(7));
        watch.heard(9);
        assert!(watch.ends());
    }

    #[test]
    fn a_watch_of_an_empty_stream_has_caught_up_at_once() {
        assert!(CatchUp::to(None).ends());
    }
}
