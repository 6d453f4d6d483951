//! Messages of NATS's core: questions and answers, which no stream stores.
//!
//! Such a message reaches the subscribers that are connected now, or none. Nothing may depend on one but a question
//! that is asked again. No reply subject is used: a server does not check whether the sender of a request may publish
//! on the reply subject that the request names.

use async_nats::HeaderMap;
use bellwether_proto::{Encoded, Message, WireError};
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;

use crate::bus::Bus;

/// One message that no stream stores.
#[derive(Debug, Clone)]
pub struct CoreMessage {
    /// Its subject.
    pub subject: String,
    headers: HeaderMap,
    payload: Bytes,
}

impl CoreMessage {
    /// The message of the contract.
    ///
    /// # Errors
    /// Names the header or field that is missing or wrong.
    pub fn decode<M: Message>(&self) -> Result<M, WireError> {
        bellwether_proto::decode(|name| self.headers.get(name).map(|value| value.as_str()), &self.payload)
    }
}

impl Bus {
    /// Hands a message that no stream stores to the connection.
    ///
    /// # Errors
    /// The connection takes no message any more.
    pub async fn publish_unstored(&self, subject: String, message: Encoded) -> anyhow::Result<()> {
        let mut headers = HeaderMap::new();
        for (name, value) in message.headers {
            headers.insert(name, value);
        }
        self.client
            .publish_with_headers(subject, headers, message.payload.into())
            .await?;
        Ok(())
    }

    /// The messages on a subject from now on. With a group, each message reaches one subscriber of that group.
    ///
    /// # Errors
    /// The subject is not valid, or the connection is closed.
    pub async fn subscribe(
        &self,
        subject: String,
        group: Option<&str>,
    ) -> anyhow::Result<BoxStream<'static, CoreMessage>> {
        let messages = match group {
            Some(group) => self.client.queue_subscribe(subject, group.to_owned()).await?,
            None => self.client.subscribe(subject).await?,
        };
        let messages = messages.map(|message| CoreMessage {
            subject: message.subject.to_string(),
            headers: message.headers.unwrap_or_default(),
            payload: message.payload,
        });
        Ok(messages.boxed())
    }
}
