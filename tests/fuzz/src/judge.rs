//! Promises that several decoders give.

use std::fmt::Display;

use bellwether_proto::limit::PAYLOAD_BYTES_MAX;
use bellwether_proto::{Message, decode_body, encode};

/// Longest text of an error, which goes into a line of a log or into a status: 256 bytes of a header, each of which may be
/// shown as an escape of six characters, and some words.
const ERROR_BYTES_MAX: usize = 2048;

/// An error is short and has one line, whatever the input was.
pub(crate) fn error(error: &dyn Display) {
    let text = error.to_string();
    assert!(
        text.len() <= ERROR_BYTES_MAX,
        "an error of {} bytes: {text:.200}",
        text.len()
    );
    plain(&text);
}

/// A text that operators read cannot steer their terminal, nor begin a line of a log.
pub(crate) fn plain(text: &str) {
    assert!(!text.chars().any(char::is_control), "control characters: {text:?}");
}

/// A text shows nothing of a secret. Short ones are in any text by chance.
pub(crate) fn hides(text: &str, secret: &str) {
    assert!(
        secret.len() < 8 || !text.contains(secret),
        "a secret is shown: {text:?}"
    );
}

/// A message that was decoded is encoded to the same meaning, and fits into any NATS server.
pub(crate) fn kept<M: Message + PartialEq + std::fmt::Debug>(message: &M) {
    let encoded = encode(message).payload;
    assert!(
        encoded.len() <= PAYLOAD_BYTES_MAX,
        "{} has {} bytes",
        M::TYPE,
        encoded.len()
    );
    match decode_body::<M>(&encoded) {
        Ok(again) => {
            assert_eq!(&again, message);
            assert_eq!(encode(&again).payload, encoded, "the second encoding differs");
        }
        Err(error) => panic!("{message:?} was written and is not read: {error}"),
    }
}

/// The first lines of an input, and the rest.
pub(crate) fn lines<const N: usize>(bytes: &[u8]) -> Option<([&str; N], &[u8])> {
    let mut rest = bytes;
    let mut lines = [""; N];
    for line in &mut lines {
        let end = rest.iter().position(|byte| *byte == b'\n')?;
        *line = std::str::from_utf8(rest.get(..end)?).ok()?;
        rest = rest.get(end.checked_add(1)?..)?;
    }
    Some((lines, rest))
}
