//! Publishing, reading and watching messages in JetStream.
//!
//! Streams and buckets are read with their headers, which the client's key-value store would
//! drop; so records are handled here as what they are, the newest message of a subject.

use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::jetstream::context::{PublishError as NatsPublishError, PublishErrorKind};
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream::{DirectGetError, DirectGetErrorKind, LastRawMessageError, LastRawMessageErrorKind};
use async_nats::jetstream::{self, Context};
use bellwether_proto::readiness::{Part, ReadinessCode};
use bellwether_proto::{Encoded, MessageIds, header};
use prometheus_client::registry::Registry;
use tokio::sync::watch;

use crate::admin::Health;
use crate::lag::Lag;
use crate::propagate;
use crate::record::{OPERATION, PURGE, ROLLUP, Record};

/// How long a request to JetStream may take. A server that restarts answers nothing for
/// seconds; whoever asked decides whether to ask again.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// How long `/readyz` shows that a write was not stored, unless a later one is. A service with more to write tries
/// again within half a minute.
const NOT_STORED_FOR: Duration = Duration::from_secs(60);

/// The server's code for a message that is longer than its stream takes.
const MESSAGE_TOO_LONG: u64 = 10054;

/// The connection to NATS. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Bus {
    pub(crate) client: async_nats::Client,
    pub(crate) jetstream: Context,
    connections: watch::Receiver<u64>,
    health: Health,
    message_ids: MessageIds,
    pub(crate) lag: Lag,
}

/// What must be true of the stream for a message to be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// Nothing.
    Anything,
    /// The stream's last message has this sequence: no other writer has written to it since.
    LastSequence(u64),
    /// The last message of the subject has this sequence; 0: there is none.
    LastOfSubject(u64),
}

/// Why a message was not stored, or may not have been.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// Another writer has written since.
    #[error("another writer has written {subject} meanwhile")]
    Conflict {
        /// Where.
        subject: String,
    },
    /// There is no stream for it, or the stream has no leader: NATS answers both alike.
    #[error(
        "no stream stores {subject}: it is missing (is a service that sets up JetStream running?), or it has no leader (are most NATS servers up?)"
    )]
    NoStream {
        /// Where.
        subject: String,
    },
    /// No server will ever store it.
    #[error("{subject} is too long for NATS")]
    TooLong {
        /// Where.
        subject: String,
        /// The limit.
        source: NatsPublishError,
    },
    /// The server did not answer or refused; the message may have been stored all the same.
    #[error("{subject} could not be written")]
    Unavailable {
        /// Where.
        subject: String,
        /// Why.
        source: NatsPublishError,
    },
}

/// A record could not be read; whether it exists is unknown.
#[derive(Debug, thiserror::Error)]
#[error("{subject} could not be read")]
pub struct ReadError {
    subject: String,
    source: Box<dyn std::error::Error + Send + Sync>,
}

impl Bus {
    pub(crate) fn new(client: async_nats::Client, connections: watch::Receiver<u64>, health: Health) -> Self {
        let mut jetstream = jetstream::new(client.clone());
        jetstream.set_timeout(REQUEST_TIMEOUT);
        Self {
            client,
            jetstream,
            connections,
            health,
            message_ids: MessageIds::random(),
            lag: Lag::default(),
        }
    }

    pub(crate) fn register(&self, registry: &mut Registry) {
        self.lag.register(registry);
    }

    /// The message ids of this process.
    #[must_use]
    pub fn message_ids(&self) -> &MessageIds {
        &self.message_ids
    }

    /// Stores a message and waits until the server has it. Its sequence is returned.
    ///
    /// `id` makes a repetition within the stream's duplicate window harmless.
    ///
    /// # Errors
    /// See [`PublishError`].
    pub async fn publish(
        &self,
        subject: String,
        message: Encoded,
        id: Option<String>,
        expect: Expect,
    ) -> Result<u64, PublishError> {
        let stored = self.store(subject, message, id, expect).await;
        self.report(&stored);
        stored
    }

    /// Stores a message for which no reboot waits, as [`Self::publish`] does: `/readyz` does not show whether NATS takes it.
    ///
    /// # Errors
    /// See [`PublishError`].
    pub async fn publish_aside(&self, subject: String, message: Encoded, expect: Expect) -> Result<u64, PublishError> {
        self.store(subject, message, None, expect).await
    }

    /// Deletes a record with all its revisions, as key-value stores do: a mark is left.
    ///
    /// # Errors
    /// See [`PublishError`].
    pub async fn delete(&self, subject: String, expect: Expect) -> Result<u64, PublishError> {
        let mut headers = HeaderMap::new();
        headers.insert(OPERATION, PURGE);
        headers.insert(ROLLUP.0, ROLLUP.1);
        let stored = self.send(subject, headers, Vec::new(), None, expect).await;
        self.report(&stored);
        stored
    }

    async fn store(
        &self,
        subject: String,
        message: Encoded,
        id: Option<String>,
        expect: Expect,
    ) -> Result<u64, PublishError> {
        let mut headers = HeaderMap::new();
        for (name, value) in message.headers {
            headers.insert(name, value);
        }
        if let Some(trace) = propagate::current() {
            headers.insert(header::TRACEPARENT, trace.to_string());
        }
        self.send(subject, headers, message.payload, id, expect).await
    }

    async fn send(
        &self,
        subject: String,
        headers: HeaderMap,
        payload: Vec<u8>,
        id: Option<String>,
        expect: Expect,
    ) -> Result<u64, PublishError> {
        let mut message = PublishMessage::build().payload(payload.into()).headers(headers);
        if let Some(id) = id {
            message = message.message_id(id);
        }
        message = match expect {
            Expect::Anything => message,
            Expect::LastSequence(sequence) => message.expected_last_sequence(sequence),
            Expect::LastOfSubject(sequence) => message.expected_last_subject_sequence(sequence),
        };
        let sent = async {
            if !self.is_connected_soon().await {
                return Err(NatsPublishError::new(PublishErrorKind::TimedOut));
            }
            self.jetstream.send_publish(subject.clone(), message).await?.await
        };
        match sent.await {
            Ok(ack) => Ok(ack.sequence),
            Err(error) if is_too_long(&error) => Err(PublishError::TooLong { subject, source: error }),
            Err(error) => Err(match error.kind() {
                PublishErrorKind::WrongLastSequence => PublishError::Conflict { subject },
                PublishErrorKind::StreamNotFound => PublishError::NoStream { subject },
                PublishErrorKind::WrongLastMessageId
                | PublishErrorKind::TimedOut
                | PublishErrorKind::BrokenPipe
                | PublishErrorKind::MaxAckPending
                | PublishErrorKind::MaxPayloadExceeded
                | PublishErrorKind::Other => PublishError::Unavailable { subject, source: error },
            }),
        }
    }

    /// Waits for a connection as long as for an answer. What is published without one waits in the client, and is stored
    /// whenever a connection comes, long after its writer has called it off.
    async fn is_connected_soon(&self) -> bool {
        let mut connections = self.connections();
        let connected = async {
            // A closed channel: the client is gone, and no connection comes.
            while !self.is_connected() && connections.changed().await.is_ok() {}
        };
        tokio::time::timeout(REQUEST_TIMEOUT, connected).await.ok();
        self.is_connected()
    }

    /// Shows in `/readyz` whether NATS stores what this service writes.
    fn report(&self, stored: &Result<u64, PublishError>) {
        match stored {
            Ok(_) | Err(PublishError::Conflict { .. }) => self.health.ready(Part::Store),
            // Of this message alone.
            Err(PublishError::TooLong { .. }) => (),
            Err(error @ (PublishError::NoStream { .. } | PublishError::Unavailable { .. })) => {
                // Without a connection, that is the fault to be shown.
                if self.is_connected() {
                    let message = format!(
                        "{}: see the limits, the disk and the log of the NATS servers",
                        crate::chain(error)
                    );
                    let code = ReadinessCode::WritesNotStored;
                    self.health.not_ready_for(code, message, NOT_STORED_FOR);
                }
            }
        }
    }

    /// Reads the newest message of a subject. With a replicated stream any replica may answer, also
    /// one that is a moment behind: for what cannot be taken back use [`Self::read_current`].
    ///
    /// # Errors
    /// The server did not answer or refused: nothing is known.
    pub async fn read(&self, stream: &'static str, subject: String) -> Result<Option<Record>, ReadError> {
        let answer = match self.jetstream.get_stream_no_info(stream).await {
            Ok(stream) => stream.direct_get_last_for_subject(subject.clone()).await,
            Err(error) => Err(DirectGetError::with_source(DirectGetErrorKind::Other, error)),
        };
        match answer {
            Ok(message) => Ok(Some(Record::from_stored(message))),
            Err(error) if error.kind() == DirectGetErrorKind::NotFound => Ok(None),
            Err(source) => Err(ReadError {
                subject,
                source: source.into(),
            }),
        }
    }

    /// Reads the newest message of a subject from the stream's leader, who knows what is newest.
    ///
    /// # Errors
    /// The leader did not answer or refused: nothing is known.
    pub async fn read_current(&self, stream: &'static str, subject: String) -> Result<Option<Record>, ReadError> {
        let answer = match self.jetstream.get_stream_no_info(stream).await {
            Ok(stream) => stream.get_last_raw_message_by_subject(&subject).await,
            Err(error) => Err(LastRawMessageError::with_source(LastRawMessageErrorKind::Other, error)),
        };
        match answer {
            Ok(message) => Ok(Some(Record::from_stored(message))),
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(None),
            Err(source) => Err(ReadError {
                subject,
                source: source.into(),
            }),
        }
    }

    /// Hears of every write to a subject, also of writes that the stream then rejects: a hint
    /// to read, nothing more. It takes no consumer, so thousands of agents may do it.
    ///
    /// # Errors
    /// The subject is not valid.
    pub async fn hints(&self, subject: String) -> anyhow::Result<async_nats::Subscriber> {
        Ok(self.client.subscribe(subject).await?)
    }

    /// Changes with each new connection: messages of the time between reached no subscriber.
    #[must_use]
    pub fn connections(&self) -> watch::Receiver<u64> {
        let mut connections = self.connections.clone();
        connections.mark_unchanged();
        connections
    }

    /// Version of the NATS server that we are, or were last, connected to.
    #[must_use]
    pub fn server_version(&self) -> String {
        self.client.server_info().version
    }

    /// True while the connection stands.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.client.connection_state() == async_nats::connection::State::Connected
    }
}

/// The message is longer than the server or the stream takes, so no repetition helps.
fn is_too_long(error: &NatsPublishError) -> bool {
    let refused = std::error::Error::source(error).and_then(|source| source.downcast_ref::<jetstream::Error>());
    error.kind() == PublishErrorKind::MaxPayloadExceeded
        || refused.is_some_and(|refused| refused.error_code().0 == MESSAGE_TOO_LONG)
}

#[cfg(test)]
mod tests {
    use bellwether_proto::Encoded;
    use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn what_was_published_without_a_connection_and_called_off_is_never_sent() {
        let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let (connected, connections) = watch::channel(0);
        let options = async_nats::ConnectOptions::new()
            .retry_on_initial_connect()
            .reconnect_delay_callback(|_| Duration::from_millis(10))
            .event_callback(move |event| {
                if matches!(event, async_nats::Event::Connected) {
                    connected.send_modify(|count| *count += 1);
                }
                async {}
            });
        let client = options.connect(address.to_string()).await.unwrap();
        let bus = Bus::new(client, connections, Health::default());

        let called_off = tokio::time::timeout(Duration::from_millis(50), publish(&bus, "called-off"));
        assert!(called_off.await.is_err());
        assert!(matches!(
            publish(&bus, "too-late").await,
            Err(PublishError::Unavailable { .. })
        ));

        let server = TcpListener::bind(address).await.unwrap();
        let (connection, _) = server.accept().await.unwrap();
        let (read, mut write) = connection.into_split();
        let info = r#"INFO {"server_id":"x","server_name":"x","version":"2.11.0","host":"x","port":1,"max_payload":1048576,"headers":true,"proto":1,"client_id":1,"go":"x"}"#;
        write.write_all(format!("{info}\r\n").as_bytes()).await.unwrap();
        let mut lines = BufReader::new(read).lines();
        let received = async {
            let mut subjects = Vec::new();
            while let Ok(Some(line)) = lines.next_line().await {
                if line.starts_with("PING") {
                    write.write_all(b"PONG\r\n").await.unwrap();
                }
                if line.starts_with("HPUB") || line.starts_with("PUB") {
                    subjects.extend(line.split(' ').nth(1).map(str::to_owned));
                    break;
                }
            }
            subjects
        };
        let (subjects, _) = tokio::join!(received, async {
            tokio::time::timeout(REQUEST_TIMEOUT / 4, publish(&bus, "now"))
                .await
                .ok()
        });
        assert_eq!(subjects, ["now"]);
    }

    #[tokio::test]
    async fn only_a_write_for_which_a_reboot_waits_shows_in_readyz_that_it_was_not_stored() {
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = server.local_addr().unwrap();
        // Stores nothing, and answers so.
        let refusing = async {
            let (connection, _) = server.accept().await.unwrap();
            let (read, mut write) = connection.into_split();
            let info = r#"INFO {"server_id":"x","server_name":"x","version":"2.11.0","host":"x","port":1,"max_payload":1048576,"headers":true,"proto":1,"client_id":1,"go":"x"}"#;
            write.write_all(format!("{info}\r\n").as_bytes()).await.unwrap();
            let mut lines = BufReader::new(read).lines();
            let mut inbox = String::new();
            while let Ok(Some(line)) = lines.next_line().await {
                let words: Vec<_> = line.split_whitespace().collect();
                match words[..] {
                    ["PING"] => write.write_all(b"PONG\r\n").await.unwrap(),
                    ["SUB", _, id] => inbox = id.to_owned(),
                    ["PUB" | "HPUB", _, reply, ..] => {
                        let refusal =
                            r#"{"error":{"code":503,"err_code":10023,"description":"insufficient resources"}}"#;
                        let answer = format!("MSG {reply} {inbox} {}\r\n{refusal}\r\n", refusal.len());
                        write.write_all(answer.as_bytes()).await.unwrap();
                    }
                    _ => {}
                }
            }
        };
        let publishing = async {
            let client = async_nats::connect(address.to_string()).await.unwrap();
            let health = Health::default();
            let bus = Bus::new(client, watch::channel(1).1, health.clone());
            let event = bus.publish_aside("event".to_owned(), message(), Expect::Anything).await;
            assert!(matches!(event, Err(PublishError::Unavailable { .. })), "{event:?}");
            assert!(health.present().is_empty(), "{:?}", health.present());
            let record = publish(&bus, "record").await;
            assert!(matches!(record, Err(PublishError::Unavailable { .. })), "{record:?}");
            assert!(health.present().contains_key(&Part::Store));
        };
        tokio::select! {
            () = refusing => panic!("the connection ended"),
            () = publishing => {}
        }
    }

    fn message() -> Encoded {
        Encoded {
            headers: Vec::new(),
            payload: b"x".to_vec(),
        }
    }

    async fn publish(bus: &Bus, subject: &str) -> Result<u64, PublishError> {
        bus.publish(subject.to_owned(), message(), None, Expect::Anything).await
    }
}
