//! A message as it travels, as a text file: what it is, its headers, and its body in hex.
//!
//! Used by `main.rs` beside it, and by the integration test that puts old messages on a real bus.

use std::fmt;
use std::str::FromStr;

/// Bytes of the body on one line.
const BYTES_PER_LINE: usize = 32;

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct File {
    /// Full protobuf name.
    pub(crate) kind: String,
    /// Header names and values; none for what travels by gRPC.
    pub(crate) headers: Vec<(String, String)>,
    /// The body.
    pub(crate) body: Vec<u8>,
}

impl fmt::Display for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n", self.kind)?;
        for (name, value) in &self.headers {
            writeln!(f, "{name}: {value}")?;
        }
        for line in self.body.chunks(BYTES_PER_LINE) {
            let hex: String = line.iter().map(|byte| format!("{byte:02x}")).collect();
            write!(f, "\n{hex}")?;
        }
        writeln!(f)
    }
}

impl FromStr for File {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut lines = text.lines();
        let kind = lines.next().unwrap_or_default().to_owned();
        let (mut headers, mut body) = (Vec::new(), Vec::new());
        for line in lines.filter(|line| !line.is_empty()) {
            if let Some((name, value)) = line.split_once(": ") {
                headers.push((name.to_owned(), value.to_owned()));
                continue;
            }
            for pair in line.as_bytes().chunks(2) {
                let byte = std::str::from_utf8(pair).ok();
                let byte = byte.and_then(|pair| u8::from_str_radix(pair, 16).ok());
                body.push(byte.ok_or_else(|| format!("not hex: {line}"))?);
            }
        }
        Ok(Self { kind, headers, body })
    }
}
