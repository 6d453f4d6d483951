//! A server on loopback that takes POST, as a chat service does: it keeps each request, and answers as a test orders.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context as _, Result};
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::{http, ports};

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
    port: u16,
    content: Arc<Mutex<Content>>,
    task: JoinSet<()>,
}

impl Hook {
    /// Listens on a port of its own, and answers 200.
    pub fn start() -> Result<Self> {
        let (listener, port) = ports::listener()?;
        let content = Content {
            requests: vec![],
            next: VecDeque::new(),
            then: Answer::status(200),
        };
        let mut hook = Self {
            port,
            content: Arc::new(Mutex::new(content)),
            task: JoinSet::new(),
        };
        hook.serve(listener);
        Ok(hook)
    }

    /// Where it listens, with this path.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
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
        self.task.shutdown().await;
    }

    /// Listens again on its port; the requests of before are kept.
    pub async fn restart(&mut self) -> Result<()> {
        let listener = TcpListener::bind(("127.0.0.1", self.port)).await?;
        self.serve(listener);
        Ok(())
    }

    fn serve(&mut self, listener: TcpListener) {
        let content = Arc::clone(&self.content);
        self.task.spawn(async move {
            // Aborted with this task.
            let mut connections = JoinSet::new();
            loop {
                tokio::select! {
                    accepted = listener.accept() => {
                        let Ok((connection, _)) = accepted else { return };
                        let content = Arc::clone(&content);
                        // A client that breaks off is the test's affair.
                        connections.spawn(async move { drop(converse(connection, &content).await) });
                    }
                    Some(_) = connections.join_next() => (),
                }
            }
        });
    }

    fn content(&self) -> MutexGuard<'_, Content> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn converse(mut stream: TcpStream, content: &Mutex<Content>) -> Result<()> {
    let request = http::read_request(&mut stream).await?.context("no request")?;
    let lower = |(name, value): &(String, String)| (name.to_ascii_lowercase(), value.clone());
    let kept = Request {
        path: request.line.split(' ').nth(1).unwrap_or_default().to_owned(),
        headers: request.headers.iter().map(lower).collect(),
        body: String::from_utf8(request.body)?,
        at: Instant::now(),
    };
    let answer = {
        let mut content = content.lock().unwrap_or_else(PoisonError::into_inner);
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
