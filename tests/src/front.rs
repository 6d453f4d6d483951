//! A front of the API server: all requests of one service pass here, are shown to an observer, and meet the faults of a
//! test.
//!
//! Real servers decide everything else: a request without a fault is forwarded as it came. One connection carries one
//! exchange, so that no answer has to be understood before it is forwarded.

use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use anyhow::{Context as _, Result};
use futures_util::future::BoxFuture;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, copy};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::http::{Message, read_head, read_request};
use crate::listener::Listener;
use crate::tls;

/// A request to the API server.
#[derive(Clone, Debug)]
pub struct Request {
    /// Such as `GET`.
    pub method: String,
    /// Without the query.
    pub path: String,
    /// Without the question mark.
    pub query: String,
    /// Null if the request has none, or none that is JSON.
    pub body: Value,
    /// When the answer's first bytes were on their way back.
    pub answered: Option<Instant>,
    /// The status of the answer.
    pub code: Option<u16>,
    /// The service closed the connection before the answer.
    pub dropped: bool,
}

impl Request {
    /// Whether it is this one.
    #[must_use]
    pub fn is(&self, method: &str, path: &str) -> bool {
        self.method == method && self.path == path
    }

    /// Whether it asks for the eviction of a pod.
    #[must_use]
    pub fn is_eviction(&self) -> bool {
        self.method == "POST" && self.path.ends_with("/eviction")
    }

    /// Whether it begins a watch.
    #[must_use]
    pub fn is_watch(&self) -> bool {
        self.parameter("watch")
            .is_some_and(|value| value != "false" && value != "0")
    }

    /// A parameter of the query, decoded.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<String> {
        let mut pairs = self.query.split('&').filter_map(|pair| pair.split_once('='));
        let (_, value) = pairs.find(|(key, _)| *key == name)?;
        Some(value.replace("%3D", "=").replace("%2F", "/").replace("%3d", "="))
    }
}

/// Is shown all requests.
pub trait Observer: Send + Sync {
    /// A request has come, and no rule has decided about it yet.
    fn arrives(&self) -> BoxFuture<'_, Result<()>>;
    /// It begins; returns the number by which the observer knows it.
    fn begins(&self, request: Request) -> usize;
    /// It has an answer on its way back, with this status.
    fn answered(&self, number: usize, code: u16);
    /// The service closed the connection.
    fn closed(&self, number: usize);
}

/// What becomes of a request instead of the API server's answer.
#[derive(Clone, Debug)]
pub enum Fault {
    /// The front answers by itself.
    Answer(Answer),
    /// The request is forwarded once the value is true.
    Hold(watch::Receiver<bool>),
    /// No answer ever comes.
    Silence,
    /// The API server acts, and its answer is lost.
    LoseAnswer,
    /// The API server acts, and its answer never comes; true once it has acted.
    HoldAnswer(watch::Sender<bool>),
}

/// An answer with a `Status`.
#[derive(Clone, Debug)]
pub struct Answer {
    code: u16,
    retry_after: Option<u32>,
    body: Value,
}

impl Answer {
    /// A failure.
    #[must_use]
    pub fn new(code: u16, reason: &str, message: &str) -> Self {
        let body = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "code": code, "reason": reason, "message": message,
        });
        Self {
            code,
            retry_after: None,
            body,
        }
    }

    /// With `details`, such as causes.
    #[must_use]
    pub fn details(mut self, details: Value) -> Self {
        if let Some(body) = self.body.as_object_mut() {
            body.insert("details".to_owned(), details);
        }
        self
    }

    /// With the header `Retry-After`.
    #[must_use]
    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    fn to_bytes(&self) -> Vec<u8> {
        let body = self.body.to_string();
        let retry = self
            .retry_after
            .map_or_else(String::new, |it| format!("Retry-After: {it}\r\n"));
        let head = format!(
            "HTTP/1.1 {} Fault\r\nContent-Type: application/json\r\n{retry}Connection: close\r\nContent-Length: {}\r\n\r\n",
            self.code,
            body.len()
        );
        [head.into_bytes(), body.into_bytes()].concat()
    }
}

type Rule = dyn Fn(&Request) -> Option<Fault> + Send + Sync;

/// The rules in force, each with its number; the newest decides first.
type Rules = Arc<Mutex<Vec<(u64, Arc<Rule>)>>>;

#[derive(Clone)]
struct Shared {
    server: u16,
    connector: TlsConnector,
    observer: Arc<dyn Observer>,
    rules: Rules,
}

/// The front. Dropped, all its connections are closed.
pub struct Front {
    listener: Listener,
    shared: Shared,
    number: AtomicU64,
}

/// A fault in force; dropped, it is over.
pub struct Injection {
    number: u64,
    rules: Rules,
}

impl Drop for Injection {
    fn drop(&mut self) {
        locked(&self.rules).retain(|(number, _)| *number != self.number);
    }
}

impl Front {
    /// Listens on a port of its own before the API server on this port, and shows the API server's certificate.
    pub fn start(server: u16, certificate: &Path, observer: Arc<dyn Observer>) -> Result<Self> {
        let (acceptor, chain) = tls::acceptor(certificate)?;
        let mut roots = RootCertStore::empty();
        let (trusted, _) = roots.add_parsable_certificates(chain);
        anyhow::ensure!(trusted > 0, "no authority in {}", certificate.display());
        let client = ClientConfig::builder()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let shared = Shared {
            server,
            connector: TlsConnector::from(Arc::new(client)),
            observer,
            rules: Arc::default(),
        };
        let of_each = shared.clone();
        Ok(Self {
            listener: Listener::start(move |connection| exchange(connection, acceptor.clone(), of_each.clone()))?,
            shared,
            number: AtomicU64::new(0),
        })
    }

    /// Its port on loopback.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.listener.port()
    }

    /// Decides about each request from now on; none leaves it to older rules, and then to the API server.
    pub fn inject(&self, rule: impl Fn(&Request) -> Option<Fault> + Send + Sync + 'static) -> Injection {
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        locked(&self.shared.rules).push((number, Arc::new(rule)));
        Injection {
            number,
            rules: Arc::clone(&self.shared.rules),
        }
    }
}

async fn exchange(connection: TcpStream, tls: TlsAcceptor, shared: Shared) -> Result<()> {
    let mut client = tls.accept(connection).await?;
    let Some(message) = read_request(&mut client).await? else {
        return Ok(());
    };
    let request = parse(&message)?;
    shared.observer.arrives().await?;
    let fault = {
        let rules = locked(&shared.rules).clone();
        rules.iter().rev().find_map(|(_, rule)| rule(&request))
    };
    let index = shared.observer.begins(request);
    let (mut reader, mut writer) = tokio::io::split(client);
    let mut rest = [0; 1];
    tokio::select! {
        done = serve(&message, fault, &mut writer, &shared, index) => {
            done?;
            writer.shutdown().await?;
        }
        _ = reader.read(&mut rest) => shared.observer.closed(index),
    }
    Ok(())
}

async fn serve(
    message: &Message,
    fault: Option<Fault>,
    client: &mut (impl AsyncWrite + Unpin),
    shared: &Shared,
    index: usize,
) -> Result<()> {
    match fault.clone() {
        None | Some(Fault::HoldAnswer(_)) => {}
        Some(Fault::Answer(answer)) => {
            shared.observer.answered(index, answer.code);
            return Ok(client.write_all(&answer.to_bytes()).await?);
        }
        Some(Fault::Hold(mut released)) => drop(released.wait_for(|released| *released).await?),
        Some(Fault::Silence) => std::future::pending().await,
        Some(Fault::LoseAnswer) => {
            let mut server = connect(shared).await?;
            server.write_all(&message.to_bytes()).await?;
            read_head(&mut server).await?;
            return Ok(());
        }
    }
    let mut server = connect(shared).await?;
    server.write_all(&message.to_bytes()).await?;
    let answer = read_head(&mut server)
        .await?
        .context("the API server closed the connection")?;
    let code = answer.line.split(' ').nth(1).context("an answer without a code")?;
    shared.observer.answered(index, code.parse()?);
    if let Some(Fault::HoldAnswer(acted)) = fault {
        acted.send_replace(true);
        std::future::pending::<()>().await;
    }
    let mut head = format!("{}\r\n", answer.line);
    for (key, value) in &answer.headers {
        head.push_str(&format!("{key}: {value}\r\n"));
    }
    head.push_str("\r\n");
    client.write_all(head.as_bytes()).await?;
    client.write_all(&answer.body).await?;
    client.flush().await?;
    copy(&mut server, client).await?;
    Ok(())
}

async fn connect(shared: &Shared) -> Result<tokio_rustls::client::TlsStream<TcpStream>> {
    let connection = TcpStream::connect((Ipv4Addr::LOCALHOST, shared.server)).await?;
    let name = ServerName::from(std::net::IpAddr::from(Ipv4Addr::LOCALHOST));
    Ok(shared.connector.connect(name, connection).await?)
}

fn parse(message: &Message) -> Result<Request> {
    let mut words = message.line.split(' ');
    let method = words.next().unwrap_or_default().to_owned();
    let target = words.next().context("a request without a target")?;
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    Ok(Request {
        method,
        path: path.to_owned(),
        query: query.to_owned(),
        body: serde_json::from_slice(&message.body).unwrap_or_default(),
        answered: None,
        code: None,
        dropped: false,
    })
}

/// A trial that failed must not hide the failure of another.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
