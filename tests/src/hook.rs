//! A server on loopback that takes POST, as a chat service does: it keeps each request, and answers as a test orders.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context as _, Result};
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::http;
use crate::listener::Listener;

/// An answer of the server.
#[derive(Clone, Debug)]
pub enum Answer {
    /// This status, these lines of the head, and this body.
    Status(u16, &'static str, String),
    /// None; the connection stays open.
    Hang,
}

impl Answer {
    /// A status alone.
    #[must_use]
    pub fn status(status: u16) -> Self {
        Self::Status(status, "", String::new())
    }
}

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Request {
    /// The path.
    pub path: String,
    /// The headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
    /// When it came.
    pub at: Instant,
}

impl Request {
    /// The header of this name, in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(it, _)| it == name)
            .map(|(_, value)| value.as_str())
    }

    /// The body as JSON.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_str(&self.body).with_context(|| format!("a body that is no JSON: {}", self.body))
    }

    /// A field of the body, which is JSON; empty if there is none.
    #[must_use]
    pub fn field(&self, name: &str) -> String {
        let body = self.json().unwrap_or_default();
        body.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
    }
}

#[derive(Debug)]
struct Content {
    requests: Vec<Request>,
    next: VecDeque<Answer>,
    then: Answer,
}

/// The server. Dropped or stopped, its connections are closed.
#[derive(Debug)]
pub struct Hook {
    listener: Listener,
    content: Arc<Mutex<Content>>,
}

impl Hook {
    /// Listens on a port of its own, and answers 200.
    pub fn start() -> Result<Self> {
        let content = Arc::new(Mutex::new(Content {
            requests: vec![],
            next: VecDeque::new(),
            then: Answer::status(200),
        }));
        let kept = Arc::clone(&content);
        let listener = Listener::start(move |connection| converse(connection, Arc::clone(&kept)))?;
        Ok(Self { listener, content })
    }

    /// Where it listens, with this path.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.listener.port())
    }

    /// Answers the next requests so, one each, before the usual answer.
    pub fn answer_next(&self, answers: impl IntoIterator<Item = Answer>) {
        self.content().next.extend(answers);
    }

    /// Answers so from now on.
    pub fn answer(&self, answer: Answer) {
        let mut content = self.content();
        content.next.clear();
        content.then = answer;
    }

    /// All requests so far.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        self.content().requests.clone()
    }

    /// Dies as a process would: nothing listens, and open connections are closed.
    pub async fn stop(&mut self) {
        self.listener.stop().await;
    }

    /// Listens again on its port; the requests of before are kept.
    pub async fn restart(&mut self) -> Result<()> {
        self.listener.restart().await
    }

    fn content(&self) -> MutexGuard<'_, Content> {
        locked(&self.content)
    }
}

fn locked(content: &Mutex<Content>) -> MutexGuard<'_, Content> {
    content.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn converse(mut stream: TcpStream, content: Arc<Mutex<Content>>) -> Result<()> {
    let request = http::read_request(&mut stream).await?.context("no request")?;
    let lower = |(name, value): &(String, String)| (name.to_ascii_lowercase(), value.clone());
    let kept = Request {
        path: request.line.split(' ').nth(1).unwrap_or_default().to_owned(),
        headers: request.headers.iter().map(lower).collect(),
        body: String::from_utf8(request.body)?,
        at: Instant::now(),
    };
    let answer = {
        let mut content = locked(&content);
        content.requests.push(kept);
        let next = content.next.pop_front();
        next.unwrap_or_else(|| content.then.clone())
    };
    match answer {
        Answer::Hang => std::future::pending().await,
        Answer::Status(status, lines, body) => {
            let length = body.len();
            let head = format!("HTTP/1.1 {status} x\r\nContent-Length: {length}\r\nConnection: close\r\n{lines}\r\n");
            stream.write_all(format!("{head}{body}").as_bytes()).await?;
            Ok(stream.shutdown().await?)
        }
    }
}
