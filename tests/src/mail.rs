//! A mail server on loopback that takes mail after STARTTLS and a login: it keeps each mail, and refuses as a test orders.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context as _, Result, bail};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use crate::listener::Listener;
use crate::tls;

/// The login that the server knows, as `AUTH PLAIN` has it: user `rig`, password `rig`.
const LOGIN: &str = "AHJpZwByaWc=";

#[derive(Debug, Default)]
struct Content {
    mails: Vec<String>,
    /// The reply to each recipient; none: 250.
    refusal: Option<&'static str>,
}

/// The server. Dropped or stopped, its connections are closed.
#[derive(Debug)]
pub struct MailServer {
    listener: Listener,
    content: Arc<Mutex<Content>>,
}

impl MailServer {
    /// Listens on a port of its own, and shows this certificate, whose key is the file beside it with the extension `key`.
    pub fn start(certificate: &Path) -> Result<Self> {
        let (acceptor, _) = tls::acceptor(certificate)?;
        let content = Arc::default();
        let kept = Arc::clone(&content);
        let listener = Listener::start(move |connection| greet(connection, acceptor.clone(), Arc::clone(&kept)))?;
        Ok(Self { listener, content })
    }

    /// Its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.listener.port()
    }

    /// Replies so to each recipient from now on; none: takes them.
    pub fn refuse(&self, reply: Option<&'static str>) {
        self.content().refusal = reply;
    }

    /// All mails that it has taken, with their headers.
    #[must_use]
    pub fn mails(&self) -> Vec<String> {
        self.content().mails.clone()
    }

    /// Dies as a process would.
    pub async fn stop(&mut self) {
        self.listener.stop().await;
    }

    /// Listens again on its port; the mails of before are kept.
    pub async fn restart(&mut self) -> Result<()> {
        self.listener.restart().await
    }

    fn content(&self) -> MutexGuard<'_, Content> {
        locked(&self.content)
    }
}

/// Until STARTTLS: it takes nothing before.
async fn greet(stream: TcpStream, tls: TlsAcceptor, content: Arc<Mutex<Content>>) -> Result<()> {
    let mut stream = BufReader::new(stream);
    stream.write_all(b"220 rig ESMTP\r\n").await?;
    loop {
        let line = line(&mut stream).await?;
        let reply = match line.split(' ').next().unwrap_or_default() {
            "EHLO" => "250-rig\r\n250 STARTTLS\r\n",
            "STARTTLS" => break,
            "QUIT" => return Ok(()),
            _ => "530 Must issue a STARTTLS command first\r\n",
        };
        stream.write_all(reply.as_bytes()).await?;
    }
    stream.write_all(b"220 Go ahead\r\n").await?;
    let stream = tls.accept(stream.into_inner()).await?;
    converse(BufReader::new(stream), &content).await
}

async fn converse<S>(mut stream: BufReader<S>, content: &Mutex<Content>) -> Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    loop {
        let command = line(&mut stream).await?;
        let reply = match command.split([' ', ':']).next().unwrap_or_default() {
            "EHLO" => "250-rig\r\n250 AUTH PLAIN\r\n",
            "AUTH" if command.ends_with(LOGIN) => "235 Authenticated\r\n",
            "AUTH" => "535 Authentication failed\r\n",
            "MAIL" | "NOOP" | "RSET" => "250 OK\r\n",
            "RCPT" => locked(content).refusal.unwrap_or("250 OK\r\n"),
            "DATA" => {
                stream.write_all(b"354 Go ahead\r\n").await?;
                let mut mail = String::new();
                loop {
                    match line(&mut stream).await?.as_str() {
                        "." => break,
                        text => mail.push_str(&format!("{text}\n")),
                    }
                }
                locked(content).mails.push(mail);
                "250 Taken\r\n"
            }
            "QUIT" => return Ok(()),
            other => bail!("the command {other:?}"),
        };
        stream.write_all(reply.as_bytes()).await?;
        stream.flush().await?;
    }
}

fn locked(content: &Mutex<Content>) -> MutexGuard<'_, Content> {
    content.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn line<S: AsyncRead + Unpin>(stream: &mut BufReader<S>) -> Result<String> {
    let mut line = String::new();
    let count = stream.read_line(&mut line).await?;
    (count > 0).then_some(()).context("the client has left")?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}
