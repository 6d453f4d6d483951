//! Just as much of HTTP/1 as the admin server needs: it answers GET and HEAD, and closes the connection after each answer.
//!
//! Kubelets, Prometheus and curl ask for nothing else.

mod request;

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use self::request::{HEAD_MAX, Request, Unfit, parse};

/// How long a request and its answer may take. A kubelet gives a probe one second by default, Prometheus ten for a scrape.
const TIMEOUT: Duration = Duration::from_secs(10);

/// How long requests that are under way are waited for at the order to stop: a client that sends nothing delays no stop.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// How many connections are kept; one more ends the oldest of them. Probes, a scrape and an operator are five. A limit at
/// which others wait would let clients that send nothing fail the probes of the kubelet, which then ends the container.
const AT_ONCE_MAX: usize = 16;

/// The pause after a connection could not be accepted, as when all file descriptors are in use: else the loop would spin.
const PAUSE: Duration = Duration::from_secs(1);

/// The media type of a text.
pub(crate) const TEXT: &str = "text/plain; charset=utf-8";

/// The status of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    Ok,
    BadRequest,
    NotFound,
    MethodNotAllowed,
    HeadTooLarge,
    ServerError,
    Unavailable,
}

impl Status {
    /// Code and phrase.
    fn line(self) -> &'static str {
        match self {
            Self::Ok => "200 OK",
            Self::BadRequest => "400 Bad Request",
            Self::NotFound => "404 Not Found",
            Self::MethodNotAllowed => "405 Method Not Allowed",
            Self::HeadTooLarge => "431 Request Header Fields Too Large",
            Self::ServerError => "500 Internal Server Error",
            Self::Unavailable => "503 Service Unavailable",
        }
    }
}

impl From<Unfit> for Status {
    fn from(unfit: Unfit) -> Self {
        match unfit {
            Unfit::Malformed => Self::BadRequest,
            Unfit::Method => Self::MethodNotAllowed,
        }
    }
}

/// What is sent back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: Status,
    pub(crate) media_type: &'static str,
    pub(crate) body: String,
}

impl Answer {
    /// A text.
    pub(crate) fn text(status: Status, body: impl Into<String>) -> Self {
        Self {
            status,
            media_type: TEXT,
            body: body.into(),
        }
    }

    fn error(status: Status) -> Self {
        Self::text(status, format!("{}\n", status.line()))
    }

    /// As it is sent. To HEAD everything but the body is.
    fn encode(&self, with_body: bool) -> String {
        let mut text = String::new();
        // Writing to a text does not fail.
        write!(
            text,
            "HTTP/1.1 {}\r\ncontent-type: {}\r\ncontent-length: {}\r\n",
            self.status.line(),
            self.media_type,
            self.body.len()
        )
        .ok();
        if self.status == Status::MethodNotAllowed {
            text.push_str("allow: GET, HEAD\r\n");
        }
        text.push_str("connection: close\r\n\r\n");
        if with_body {
            text.push_str(&self.body);
        }
        text
    }
}

/// Answers until the order to stop, and then the requests that are under way. `answer` gets a path; none: there is no such one.
pub(crate) async fn serve<A>(listener: TcpListener, answer: A, stop: CancellationToken)
where
    A: Fn(&str) -> Option<Answer> + Clone + Send + 'static,
{
    let mut connections = JoinSet::new();
    let mut oldest_first: VecDeque<AbortHandle> = VecDeque::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            Some(_) = connections.join_next() => (),
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    oldest_first.retain(|connection| !connection.is_finished());
                    if oldest_first.len() == AT_ONCE_MAX
                        && let Some(oldest) = oldest_first.pop_front()
                    {
                        oldest.abort();
                    }
                    let answer = answer.clone();
                    let connection = connections.spawn(async move {
                        // What ends in the middle is the client's affair.
                        if let Ok(Err(error)) = tokio::time::timeout(TIMEOUT, converse(stream, answer)).await {
                            tracing::debug!(%error, "Admin request not answered");
                        }
                    });
                    oldest_first.push_back(connection);
                }
                Err(error) => {
                    tracing::debug!(%error, "Admin connection not accepted");
                    tokio::select! {
                        () = tokio::time::sleep(PAUSE) => (),
                        () = stop.cancelled() => break,
                    }
                }
            },
        }
    }
    let rest = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(STOP_TIMEOUT, rest).await.is_err() {
        tracing::debug!("Admin requests not answered before the stop");
    }
}

async fn converse(mut stream: TcpStream, answer: impl Fn(&str) -> Option<Answer>) -> io::Result<()> {
    let head = match read_head(&mut stream).await? {
        Head::Whole(head) => head,
        Head::TooLarge => return send(&mut stream, &Answer::error(Status::HeadTooLarge), true).await,
        Head::None => return Ok(()),
    };
    match parse(&head) {
        Ok(Request { path, is_head }) => {
            let answer = answer(path).unwrap_or_else(|| Answer::error(Status::NotFound));
            send(&mut stream, &answer, !is_head).await
        }
        Err(unfit) => send(&mut stream, &Answer::error(unfit.into()), true).await,
    }
}

/// The head of a request.
enum Head {
    Whole(Vec<u8>),
    TooLarge,
    /// The client has ended the connection before.
    None,
}

/// Reads until the empty line behind the head.
async fn read_head(stream: &mut TcpStream) -> io::Result<Head> {
    let mut head = Vec::with_capacity(512);
    while head.len() < HEAD_MAX {
        if stream.read_buf(&mut head).await? == 0 {
            return Ok(Head::None);
        }
        if request::is_whole(&head) {
            return Ok(Head::Whole(head));
        }
    }
    Ok(Head::TooLarge)
}

async fn send(stream: &mut TcpStream, answer: &Answer, with_body: bool) -> io::Result<()> {
    stream.write_all(answer.encode(with_body).as_bytes()).await?;
    stream.shutdown().await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(path: &str) -> Option<Answer> {
        match path {
            "/good" => Some(Answer::text(Status::Ok, "good\n")),
            "/bad" => Some(Answer::text(Status::Unavailable, "bad\n")),
            _ => None,
        }
    }

    async fn server() -> (String, CancellationToken, JoinSet<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let stop = CancellationToken::new();
        let mut serving = JoinSet::new();
        serving.spawn(serve(listener, answer, stop.clone()));
        (address, stop, serving)
    }

    async fn ask(address: &str, request: &[u8]) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request).await.unwrap();
        let mut text = String::new();
        // The server may close before it has read all that was sent.
        stream.read_to_string(&mut text).await.ok();
        text
    }

    #[tokio::test]
    async fn each_request_gets_the_answer_of_its_path_and_method() {
        let (address, _stop, _serving) = server().await;
        let good = "HTTP/1.1 200 OK\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: 5\r\n\
                    connection: close\r\n\r\n";
        for (request, wanted) in [
            ("GET /good HTTP/1.1\r\nHost: x\r\n\r\n", format!("{good}good\n")),
            ("GET /good?x=1 HTTP/1.0\r\n\r\n", format!("{good}good\n")),
            ("HEAD /good HTTP/1.1\r\nHost: x\r\n\r\n", good.to_owned()),
        ] {
            assert_eq!(ask(&address, request.as_bytes()).await, wanted, "{request:?}");
        }
        let long = format!("GET /good HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(HEAD_MAX));
        for (request, status) in [
            ("GET /bad HTTP/1.1\r\n\r\n", "503"),
            ("GET /other HTTP/1.1\r\n\r\n", "404"),
            ("POST /good HTTP/1.1\r\n\r\n", "405"),
            ("GET good HTTP/1.1\r\n\r\n", "400"),
            ("GET /good SPDY\r\n\r\n", "400"),
            ("GET  /good HTTP/1.1\r\n\r\n", "400"),
            ("\r\n\r\n", "400"),
            (long.as_str(), "431"),
        ] {
            let text = ask(&address, request.as_bytes()).await;
            assert_eq!(text.split(' ').nth(1), Some(status), "{request:?}: {text:?}");
        }
    }

    /// Waits until the server has ended the connection.
    async fn ended(mut silent: TcpStream) {
        let mut byte = [0; 1];
        let read = tokio::time::timeout(TIMEOUT * 6, silent.read(&mut byte)).await;
        // A reset is an end as well.
        assert_eq!(read.unwrap().unwrap_or(0), 0);
    }

    #[tokio::test]
    async fn clients_that_send_nothing_keep_no_other_one_waiting_and_are_left() {
        let (address, _stop, _serving) = server().await;
        let mut silent = Vec::new();
        for _ in 0..AT_ONCE_MAX * 2 {
            silent.push(TcpStream::connect(&address).await.unwrap());
        }
        assert!(
            ask(&address, b"GET /good HTTP/1.1\r\n\r\n")
                .await
                .starts_with("HTTP/1.1 200")
        );
        for silent in silent {
            ended(silent).await;
        }
    }

    #[tokio::test]
    async fn a_request_that_is_under_way_is_answered_after_the_order_to_stop() {
        let (address, stop, mut serving) = server().await;
        let mut stream = TcpStream::connect(&address).await.unwrap();
        stream.write_all(b"GET /good HT").await.unwrap();
        // A second one, whose answer shows that the first was accepted.
        ask(&address, b"GET /good HTTP/1.1\r\n\r\n").await;
        stop.cancel();
        stream.write_all(b"TP/1.1\r\n\r\n").await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        assert!(text.ends_with("good\n"), "{text:?}");
        serving.join_next().await.unwrap().unwrap();
        assert!(TcpStream::connect(&address).await.is_err());
    }
}
