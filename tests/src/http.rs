//! As much of HTTP/1.1 as a front before one API server needs, and a client for a question to a server on loopback.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::wait;

/// How long one answer may take.
const ANSWER_DEADLINE: Duration = Duration::from_secs(5);

/// Larger than any request of a service, whose largest are patches.
const REQUEST_MAX: usize = 1 << 20;

/// The head of a request or of an answer, and what came after it.
#[derive(Debug)]
pub(crate) struct Message {
    /// The first line.
    pub(crate) line: String,
    pub(crate) headers: Vec<(String, String)>,
    /// Of a request the whole body; of an answer what came with the head.
    pub(crate) body: Vec<u8>,
}

impl Message {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name));
        found.next().map(|(_, value)| value.as_str())
    }

    /// The head and the body as bytes, for one exchange of a connection.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        const REPLACED: [&str; 4] = ["connection", "content-length", "transfer-encoding", "expect"];
        let mut text = format!("{}\r\n", self.line);
        let kept = self
            .headers
            .iter()
            .filter(|(key, _)| !REPLACED.contains(&key.to_ascii_lowercase().as_str()));
        for (key, value) in kept {
            text.push_str(&format!("{key}: {value}\r\n"));
        }
        if !self.body.is_empty() {
            text.push_str(&format!("Content-Length: {}\r\n", self.body.len()));
        }
        text.push_str("Connection: close\r\n\r\n");
        let mut bytes = text.into_bytes();
        bytes.extend_from_slice(&self.body);
        bytes
    }
}

/// Asks the server on this port; returns status and body. HTTP/1.0: one request, one answer until the end.
pub(crate) async fn get(port: u16, path: &str) -> Result<(u16, String)> {
    wait::within(&format!("the answer to {path}"), ANSWER_DEADLINE, async {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
        let request = format!("GET {path} HTTP/1.0\r\nHost: rig\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        let (head, body) = answer.split_once("\r\n\r\n").context("an answer without head")?;
        let status = head.split(' ').nth(1).context("an answer without status")?;
        Ok((status.parse()?, body.to_owned()))
    })
    .await
}

/// Reads a request with its whole body; none if the connection was closed before one began.
pub(crate) async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> Result<Option<Message>> {
    let Some(mut request) = read_head(stream).await? else {
        return Ok(None);
    };
    let chunked = request
        .header("transfer-encoding")
        .is_some_and(|it| it.eq_ignore_ascii_case("chunked"));
    if chunked {
        request.body = read_chunks(stream, std::mem::take(&mut request.body)).await?;
        return Ok(Some(request));
    }
    let length: usize = request.header("content-length").map_or(Ok(0), str::parse)?;
    ensure!(length <= REQUEST_MAX, "a body of {length} bytes");
    while request.body.len() < length {
        ensure!(read_more(stream, &mut request.body).await? > 0, "a body ends too early");
    }
    request.body.truncate(length);
    Ok(Some(request))
}

/// Reads up to the end of a head; none if the connection was closed before.
pub(crate) async fn read_head(stream: &mut (impl AsyncRead + Unpin)) -> Result<Option<Message>> {
    let mut bytes = Vec::new();
    loop {
        if let Some(end) = find(&bytes, b"\r\n\r\n") {
            let rest = bytes.split_off(end + 4);
            let head = String::from_utf8(bytes).context("a head that is no text")?;
            let mut lines = head.lines();
            let line = lines.next().unwrap_or_default().to_owned();
            let pairs = lines.filter_map(|line| line.split_once(':'));
            let headers = pairs
                .map(|(key, value)| (key.to_owned(), value.trim().to_owned()))
                .collect();
            return Ok(Some(Message {
                line,
                headers,
                body: rest,
            }));
        }
        ensure!(bytes.len() < REQUEST_MAX, "a head without end");
        if read_more(stream, &mut bytes).await? == 0 {
            return Ok(None);
        }
    }
}

async fn read_chunks(stream: &mut (impl AsyncRead + Unpin), mut bytes: Vec<u8>) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let Some(end) = find(&bytes, b"\r\n") else {
            ensure!(read_more(stream, &mut bytes).await? > 0, "a body ends too early");
            continue;
        };
        let size = std::str::from_utf8(bytes.get(..end).unwrap_or_default())?;
        let size = usize::from_str_radix(size.split(';').next().unwrap_or_default().trim(), 16)?;
        ensure!(body.len() + size <= REQUEST_MAX, "a body without end");
        let whole = end + 2 + size + 2;
        while bytes.len() < whole {
            ensure!(read_more(stream, &mut bytes).await? > 0, "a body ends too early");
        }
        if size == 0 {
            return Ok(body);
        }
        body.extend_from_slice(bytes.get(end + 2..end + 2 + size).unwrap_or_default());
        bytes.drain(..whole);
    }
}

async fn read_more(stream: &mut (impl AsyncRead + Unpin), bytes: &mut Vec<u8>) -> Result<usize> {
    let mut buffer = vec![0; 16 * 1024];
    let count = stream.read(&mut buffer).await?;
    bytes.extend_from_slice(buffer.get(..count).unwrap_or_default());
    Ok(count)
}

fn find(bytes: &[u8], pattern: &[u8]) -> Option<usize> {
    bytes.windows(pattern.len()).position(|window| window == pattern)
}

#[cfg(test)]
mod tests {
    use super::read_request;

    #[tokio::test]
    async fn a_body_in_chunks_is_put_together_and_forwarded_with_its_length() {
        let text = "POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\nA: b\r\n\r\n\
                    3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n";
        let request = read_request(&mut text.as_bytes()).await.unwrap().unwrap();
        let sent = String::from_utf8(request.to_bytes()).unwrap();
        assert_eq!(
            sent,
            "POST /x HTTP/1.1\r\nA: b\r\nContent-Length: 5\r\nConnection: close\r\n\r\nabcde"
        );
    }

    #[tokio::test]
    async fn a_connection_that_is_closed_in_a_body_is_an_error_and_before_a_head_none() {
        assert!(read_request(&mut "".as_bytes()).await.unwrap().is_none());
        let cut = "POST /x HTTP/1.1\r\nContent-Length: 5\r\n\r\nabc";
        assert!(read_request(&mut cut.as_bytes()).await.is_err());
    }
}
