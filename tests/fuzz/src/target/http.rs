//! A request to the admin server of a service, as any client may send it.

use crate::foreign::request::{HEAD_MAX, Request, is_whole, parse};

pub(crate) fn run(bytes: &[u8]) -> bool {
    // As the server reads: piece by piece, until the head is whole or too long.
    let end = (0..=bytes.len().min(HEAD_MAX)).find(|end| is_whole(&bytes[..*end]));
    let Some(end) = end else { return false };
    let head = &bytes[..end];
    let parsed = parse(head);
    // What follows the request line changes nothing, whether it has come already or not.
    assert_eq!(parse(bytes), parsed);
    let line = head.split(|byte| *byte == b'\r').next().expect("a line");
    assert_eq!(parse(line), parsed);
    let Ok(Request { path, is_head }) = parsed else {
        return false;
    };
    assert!(path.starts_with('/') && !path.contains([' ', '?', '#', '\r']));
    let method = if is_head { "HEAD" } else { "GET" };
    assert!(line.starts_with(format!("{method} {path}").as_bytes()));
    true
}
