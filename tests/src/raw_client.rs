//! A client of NATS that sends the lines of the protocol as a test gives them, and hears whether the server refuses.
//!
//! The usual client hides refusals, chooses reply subjects by itself, and checks what it sends.

use anyhow::{Context as _, Result, bail};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::accounts::{PASSWORD, User};
use crate::nats::Nats;
use crate::tls;

/// A connection as one user.
#[derive(Debug)]
pub struct RawClient {
    connection: BufReader<TlsStream<TcpStream>>,
    subscriptions: u32,
    /// The subjects of all messages that came, oldest first.
    pub received: Vec<String>,
}

impl RawClient {
    /// Connects to this server.
    pub async fn connect(nats: &Nats, user: &User<'_>) -> Result<Self> {
        let user = user.name();
        let (_, connection) = tls::connect_nats(nats.port(), &nats.access()?.authorities()).await?;
        let mut client = Self {
            connection: BufReader::new(connection),
            subscriptions: 0,
            received: Vec::new(),
        };
        let options = serde_json::json!({
            "user": user, "pass": PASSWORD, "verbose": false, "pedantic": false, "headers": true, "no_responders": true,
            "lang": "rig", "version": "1", "protocol": 1,
        });
        match client.exchange(format!("CONNECT {options}\r\n").as_bytes()).await? {
            None => Ok(client),
            Some(refusal) => bail!("{user} may not connect: {refusal}"),
        }
    }

    /// Publishes; returns the refusal of the server, if it refuses.
    pub async fn publish(&mut self, subject: &str, message: &RawMessage<'_>) -> Result<Option<String>> {
        let mut headers = String::from("NATS/1.0\r\n");
        for (name, value) in message.headers {
            headers.push_str(&format!("{name}: {value}\r\n"));
        }
        headers.push_str("\r\n");
        let (head, body) = (headers.len(), message.body.len());
        let line = format!("HPUB {subject} {} {head} {}\r\n{headers}", message.reply, head + body);
        let frame = [line.as_bytes(), message.body, b"\r\n"].concat();
        self.exchange(&frame).await
    }

    /// Subscribes; returns the refusal of the server, if it refuses.
    pub async fn subscribe(&mut self, subject: &str) -> Result<Option<String>> {
        self.subscriptions += 1;
        let line = format!("SUB {subject} {}\r\n", self.subscriptions);
        self.exchange(line.as_bytes()).await
    }

    /// Takes in what the server has sent; returns once it has answered.
    pub async fn flush(&mut self) -> Result<()> {
        self.exchange(b"").await.map(drop)
    }

    async fn exchange(&mut self, frame: &[u8]) -> Result<Option<String>> {
        self.connection.write_all(&[frame, b"PING\r\n"].concat()).await?;
        self.connection.flush().await?;
        let mut refusal = None;
        loop {
            let mut line = String::new();
            if self.connection.read_line(&mut line).await? == 0 {
                return refusal.map(Some).context("the server has closed the connection");
            }
            let line = line.trim_end();
            match line.split_once(' ') {
                _ if line == "PONG" => return Ok(refusal),
                _ if line == "PING" => {
                    self.connection.write_all(b"PONG\r\n").await?;
                    self.connection.flush().await?;
                }
                Some(("-ERR", error)) => refusal = Some(error.to_owned()),
                Some(("MSG" | "HMSG", rest)) => self.receive(rest).await?,
                _ => (),
            }
        }
    }

    async fn receive(&mut self, line: &str) -> Result<()> {
        let mut fields = line.split(' ');
        let subject = fields.next().context("a message without a subject")?;
        let length: usize = fields.next_back().context("a message without a length")?.parse()?;
        let mut body = vec![0; length + 2];
        self.connection.read_exact(&mut body).await?;
        self.received.push(subject.to_owned());
        Ok(())
    }
}

/// What is published.
#[derive(Clone, Copy, Debug, Default)]
pub struct RawMessage<'a> {
    /// Where an answer shall go; empty: none.
    pub reply: &'a str,
    /// Names and values.
    pub headers: &'a [(&'a str, &'a str)],
    /// The body.
    pub body: &'a [u8],
}
