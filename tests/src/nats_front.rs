//! A front of the NATS server: all messages of one service pass here, and the rules of a test hold single ones, or the
//! answers to them, while all others pass. It takes both halves of the TLS connection: towards the service as the server, with
//! the server's own certificate, and towards the server as a client.
//!
//! It understands the lines of the protocol by which clients publish and servers deliver, and no more.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context as _, Result, ensure};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader, split};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use crate::listener::Listener;
use crate::nats::Nats;
use crate::tls;

/// Larger than any message of the contract.
const PAYLOAD_MAX: usize = 1 << 20;

/// What a client publishes.
#[derive(Clone, Debug)]
pub struct Published {
    /// Its subject.
    pub subject: String,
    /// Headers and body, as text where they are.
    pub text: String,
    /// The subject of the stored message that it settles, if it replies to one.
    pub settles: Option<String>,
}

/// Which part of an exchange never arrives, or late. The value turns true once it has been held.
#[derive(Clone, Debug)]
pub enum Held {
    /// The message never reaches the server.
    Message(watch::Sender<bool>),
    /// The server takes the message, and its answer never comes.
    Answer(watch::Sender<bool>),
    /// The message, and all that its client sends after it, reach the server once the second value is true: so a client that
    /// was stopped sends what it had decided on before.
    Until(watch::Sender<bool>, watch::Receiver<bool>),
}

type Rule = dyn Fn(&Published) -> Option<Held> + Send + Sync;

/// The server, and what its clients know it by.
#[derive(Clone)]
struct Server {
    port: u16,
    authority: PathBuf,
    acceptor: TlsAcceptor,
}

#[derive(Clone, Default)]
struct Shared {
    rule: Arc<Mutex<Option<Arc<Rule>>>>,
    /// Delivered messages by the subjects of their replies.
    delivered: Arc<Mutex<BTreeMap<String, String>>>,
    /// Subjects of answers that never come.
    muted: Arc<Mutex<BTreeMap<String, watch::Sender<bool>>>>,
}

/// The front. Dropped, all its connections are closed.
pub struct NatsFront {
    listener: Listener,
    shared: Shared,
}

impl NatsFront {
    /// Listens on a port of its own before this server.
    pub fn start(nats: &Nats) -> Result<Self> {
        let access = nats.access()?;
        let (acceptor, _) = tls::acceptor(&access.certificate())?;
        let server = Server {
            port: nats.port(),
            authority: access.authorities(),
            acceptor,
        };
        let shared = Shared::default();
        let of_each = shared.clone();
        Ok(Self {
            listener: Listener::start(move |client| connect(client, server.clone(), of_each.clone()))?,
            shared,
        })
    }

    /// Its port on loopback.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.listener.port()
    }

    /// Decides about each message from now on, in place of the rule before.
    pub fn hold(&self, rule: impl Fn(&Published) -> Option<Held> + Send + Sync + 'static) {
        *locked(&self.shared.rule) = Some(Arc::new(rule));
    }

    /// Holds no further message. What is held stays so.
    pub fn release(&self) {
        *locked(&self.shared.rule) = None;
    }
}

async fn connect(mut client: TcpStream, server: Server, shared: Shared) -> Result<()> {
    let (greeting, to) = tls::connect_nats(server.port, &server.authority).await?;
    client.write_all(greeting.as_bytes()).await?;
    let client = server.acceptor.accept(client).await?;
    let ((from_client, to_client), (from_server, to_server)) = (split(client), split(to));
    // The end of one way is the end of the connection.
    tokio::select! {
        ended = from_clients(from_client, to_server, &shared) => ended,
        ended = from_servers(from_server, to_client, &shared) => ended,
    }
}

async fn from_clients(from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, shared: &Shared) -> Result<()> {
    let mut from = BufReader::new(from);
    while let Some(frame) = Frame::read(&mut from, &["PUB", "HPUB"]).await? {
        if let Some(published) = frame.published(shared) {
            let rule = locked(&shared.rule).clone();
            match rule.and_then(|rule| rule(&published)) {
                None => {}
                Some(Held::Message(held)) => {
                    held.send_replace(true);
                    continue;
                }
                Some(Held::Until(held, mut released)) => {
                    held.send_replace(true);
                    released.wait_for(|released| *released).await?;
                }
                Some(Held::Answer(held)) => {
                    if let Some(reply) = frame.reply() {
                        locked(&shared.muted).insert(reply.to_owned(), held);
                    }
                }
            }
        }
        to.write_all(&frame.bytes).await?;
        to.flush().await?;
    }
    Ok(())
}

async fn from_servers(from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, shared: &Shared) -> Result<()> {
    let mut from = BufReader::new(from);
    while let Some(frame) = Frame::read(&mut from, &["MSG", "HMSG"]).await? {
        if let Some(subject) = frame.subject() {
            if let Some(held) = locked(&shared.muted).get(subject) {
                held.send_replace(true);
                continue;
            }
            if let Some(reply) = frame.reply() {
                locked(&shared.delivered).insert(reply.to_owned(), subject.to_owned());
            }
        }
        to.write_all(&frame.bytes).await?;
        to.flush().await?;
    }
    Ok(())
}

/// One line of the protocol, with its payload.
struct Frame {
    /// The words of the line, if it carries a message.
    words: Vec<String>,
    bytes: Vec<u8>,
    /// Where the payload begins.
    body: usize,
}

impl Frame {
    /// Reads one line, and the payload of one with a message by these verbs; none at the end.
    async fn read(from: &mut BufReader<impl AsyncRead + Unpin>, verbs: &[&str]) -> Result<Option<Self>> {
        let mut bytes = Vec::new();
        if from.read_until(b'\n', &mut bytes).await? == 0 {
            return Ok(None);
        }
        let line = String::from_utf8_lossy(&bytes);
        let mut words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let is_message = words.first().is_some_and(|verb| verbs.contains(&verb.as_str()));
        let body = bytes.len();
        if is_message {
            let size: usize = words.last().context("a message without a size")?.parse()?;
            ensure!(size <= PAYLOAD_MAX, "a message of {size} bytes");
            // The end of the line after it too.
            bytes.resize(body + size + 2, 0);
            let (_, payload) = bytes.split_at_mut(body);
            from.read_exact(payload).await?;
        } else {
            words.clear();
        }
        Ok(Some(Self { words, bytes, body }))
    }

    fn subject(&self) -> Option<&str> {
        self.words.get(1).map(String::as_str)
    }

    /// `PUB subject [reply] size`, `HPUB subject [reply] head size`, `MSG subject id [reply] size`, and so on.
    fn reply(&self) -> Option<&str> {
        let (before, after) = match self.words.first()?.as_str() {
            "PUB" => (2, 1),
            "HPUB" => (2, 2),
            "MSG" => (3, 1),
            "HMSG" => (3, 2),
            _ => return None,
        };
        (self.words.len() > before + after).then(|| self.words.get(before).map(String::as_str))?
    }

    fn published(&self, shared: &Shared) -> Option<Published> {
        let subject = self.subject()?.to_owned();
        let settles = locked(&shared.delivered).get(&subject).cloned();
        let payload = self.bytes.get(self.body..).unwrap_or_default();
        Some(Published {
            subject,
            text: String::from_utf8_lossy(payload).into_owned(),
            settles,
        })
    }
}

/// A test that failed must not hide the failure of another.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
