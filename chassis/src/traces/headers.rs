//! The headers that go to the collector with each export: a token, as a rule, so no text here holds anything of them.

use std::fmt;

use tonic::metadata::{AsciiMetadataKey, AsciiMetadataValue, MetadataMap};

/// More than any collector asks for; a wrong file does not grow each request.
const HEADERS_MAX: usize = 32;

/// Headers by their names. Shows the names only.
#[derive(Clone, Default)]
pub(crate) struct Headers(MetadataMap);

/// Why a text holds no headers: the place in the text, and the fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{place} {number} {fault}")]
pub(crate) struct HeaderError {
    place: &'static str,
    number: usize,
    fault: &'static str,
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.0.as_ref().keys();
        f.debug_set().entries(names).finish()
    }
}

impl Headers {
    /// Of a file: one `NAME: VALUE` a line. Empty lines and lines that begin with `#` do not count.
    pub(crate) fn of_lines(text: &str) -> Result<Self, HeaderError> {
        let lines = text.lines().zip(1..);
        let headers = lines.filter(|(line, _)| !line.trim().is_empty() && !line.trim_start().starts_with('#'));
        let pairs = headers.map(|(line, number)| {
            let pair = line.split_once(':').ok_or("is no header: write NAME: VALUE");
            (number, pair.map(|(name, value)| (name, value.to_owned())))
        });
        Self::of("line", pairs)
    }

    /// Of OpenTelemetry's variable: `NAME=VALUE,NAME=VALUE`, values with percent-encoding.
    pub(crate) fn of_list(text: &str) -> Result<Self, HeaderError> {
        let parts = text.split(',').zip(1..).filter(|(part, _)| !part.trim().is_empty());
        let pairs = parts.map(|(part, number)| {
            let pair = part.split_once('=').ok_or("is no header: write NAME=VALUE");
            let pair = pair.and_then(|(name, value)| Ok((name, percent_decoded(value)?)));
            (number, pair)
        });
        Self::of("header", pairs)
    }

    /// These, and those of `more` in the place of any with the same name.
    pub(crate) fn with(mut self, more: &Self) -> Self {
        for (name, value) in more.0.as_ref() {
            self.0.as_mut().insert(name, value.clone());
        }
        self
    }

    pub(crate) fn metadata(&self) -> MetadataMap {
        self.0.clone()
    }

    fn of<'a>(
        place: &'static str,
        pairs: impl Iterator<Item = (usize, Result<(&'a str, String), &'static str>)>,
    ) -> Result<Self, HeaderError> {
        let mut headers = MetadataMap::new();
        for (number, pair) in pairs {
            let error = |fault| HeaderError { place, number, fault };
            let (name, value) = pair.map_err(error)?;
            let (name, value) = header(name.trim(), value.trim()).map_err(error)?;
            if headers.len() == HEADERS_MAX {
                return Err(error("is one too many: at most 32 headers"));
            }
            if headers.insert(name, value).is_some() {
                return Err(error("repeats the name of a header before"));
            }
        }
        Ok(Self(headers))
    }
}

fn header(name: &str, value: &str) -> Result<(AsciiMetadataKey, AsciiMetadataValue), &'static str> {
    let name = name.to_ascii_lowercase();
    // What gRPC and HTTP put there themselves.
    let is_reserved = name.starts_with("grpc-")
        || [
            "connection",
            "content-length",
            "content-type",
            "host",
            "te",
            "transfer-encoding",
        ]
        .contains(&name.as_str());
    if is_reserved {
        return Err("names a header that gRPC sets itself: leave it out");
    }
    if value.is_empty() {
        return Err("has no value: write NAME: VALUE");
    }
    let key = AsciiMetadataKey::from_bytes(name.as_bytes())
        .map_err(|_| "has a name that is none of a header: letters, digits and -, without -bin at the end")?;
    let mut value: AsciiMetadataValue = value
        .parse()
        .map_err(|_| "has a value that no header may have: printable ASCII only")?;
    value.set_sensitive(true);
    Ok((key, value))
}

fn percent_decoded(text: &str) -> Result<String, &'static str> {
    const WRONG: &str = "has a % that two hex digits do not follow: write % as %25";
    let mut bytes = text.bytes();
    let mut decoded = Vec::new();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let mut digit = || char::from(bytes.next()?).to_digit(16);
        let (Some(high), Some(low)) = (digit(), digit()) else {
            return Err(WRONG);
        };
        decoded.push(u8::try_from(high * 16 + low).map_err(|_| WRONG)?);
    }
    String::from_utf8(decoded).map_err(|_| "has a value that is no text (UTF-8)")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_a_header_in_each_line_and_the_variable_one_between_commas() {
        let file = Headers::of_lines("# by the platform\nAuthorization: Bearer a:b=\r\n\nx-scope: 7\n").unwrap();
        let list = Headers::of_list("authorization=Bearer%20a:b%3D,x-scope=1,").unwrap();
        let value = |headers: &Headers, name| headers.0.get(name).unwrap().to_str().unwrap().to_owned();
        for headers in [&file, &list] {
            assert_eq!(value(headers, "authorization"), "Bearer a:b=");
        }
        let both = list.with(&file);
        assert_eq!((value(&both, "x-scope").as_str(), both.0.len()), ("7", 2));
        assert!(Headers::of_lines("").unwrap().0.is_empty());
    }

    #[test]
    fn a_wrong_line_is_named_by_its_number_and_nothing_shows_a_value() {
        let token = "s3cr3t";
        for (line, fault) in [
            ("Bearer s3cr3t", "is no header"),
            ("authorization:", "has no value"),
            ("author ization: s3cr3t", "has a name that is none"),
            ("token-bin: s3cr3t", "has a name that is none"),
            ("authorization: s3cr3t\u{7f}", "printable ASCII"),
            ("grpc-timeout: s3cr3t", "gRPC sets itself"),
            ("Content-Type: s3cr3t", "gRPC sets itself"),
            ("X: s3cr3t", "repeats the name"),
        ] {
            let error = Headers::of_lines(&format!("x: 1\n\n{line}\n")).unwrap_err();
            let text = format!("{error} {error:?}");
            assert!(text.starts_with("line 3 ") && text.contains(fault), "{line}: {text}");
            assert!(!text.contains(token), "{text}");
        }
        let many: String = (0..33).map(|number| format!("h{number}: v\n")).collect();
        assert_eq!(Headers::of_lines(&many).unwrap_err().number, 33);
        for wrong in ["a=%2", "a=%zz", "a=%ff", "a"] {
            let error = Headers::of_list(wrong).unwrap_err().to_string();
            assert!(error.starts_with("header 1 "), "{wrong}: {error}");
        }
        let shown = format!("{:?}", Headers::of_lines("authorization: s3cr3t").unwrap());
        assert_eq!(shown, "{\"authorization\"}");
    }
}
