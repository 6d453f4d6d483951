//! Encoding and decoding: the only place where bytes become messages.

use prost::Message as _;

use crate::header;
use crate::ids::IdError;
use crate::limit::{self, Limited};

/// A message of the contract, with every field checked.
pub trait Message: Sized {
    /// Full protobuf name, as in the header [`header::TYPE`].
    const TYPE: &'static str;

    /// The generated form.
    type Wire: prost::Message + Default + Limited;

    /// Checks every field. [`decode`] has cut its texts and lists before.
    ///
    /// # Errors
    /// Names the field that is missing or wrong.
    fn from_wire(wire: Self::Wire) -> Result<Self, WireError>;

    /// The generated form of this message, with texts as long as they are: [`encode`] cuts them.
    fn to_wire(&self) -> Self::Wire;
}

/// A message as it travels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// Header names and values.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub payload: Vec<u8>,
}

/// Why bytes are not the message that they should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// A header that every message carries is not there.
    #[error("header {name} is missing: send it with every message (see proto/README.md)")]
    MissingHeader {
        /// Its name.
        name: &'static str,
    },
    /// The message is of another type.
    #[error("header {} is {found:?}, expected {expected:?} on this subject", header::TYPE)]
    WrongType {
        /// What belongs there.
        expected: &'static str,
        /// What came.
        found: String,
    },
    /// The schema is of another major version.
    #[error(
        "header {} is {found:?}, this version speaks {}.x: run components of neighbouring versions",
        header::SCHEMA,
        header::SCHEMA_MAJOR
    )]
    UnsupportedSchema {
        /// What came.
        found: String,
    },
    /// The body is not protobuf of that type.
    #[error("body is not a {message}: {problem}")]
    Undecodable {
        /// What it should be.
        message: &'static str,
        /// The decoder's error.
        problem: String,
    },
    /// A field is missing or has a value that cannot be.
    #[error("field {field} of {message} {problem}")]
    Field {
        /// The message.
        message: &'static str,
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        problem: String,
    },
}

impl WireError {
    pub(crate) fn field(message: &'static str, field: &'static str, problem: impl ToString) -> Self {
        Self::Field {
            message,
            field,
            problem: problem.to_string(),
        }
    }

    pub(crate) fn id(message: &'static str, field: &'static str) -> impl FnOnce(IdError) -> Self {
        move |error| Self::field(message, field, error)
    }
}

/// Makes of a message what travels. Texts and lists are cut to their [limits](limit), so that no server
/// refuses a message for its size.
#[must_use]
pub fn encode<M: Message>(message: &M) -> Encoded {
    let mut wire = message.to_wire();
    wire.limit();
    encode_body::<M>(wire.encode_to_vec())
}

/// Makes of the body of a message what travels.
#[must_use]
pub fn encode_body<M: Message>(payload: Vec<u8>) -> Encoded {
    Encoded {
        headers: vec![
            (header::TYPE, M::TYPE.to_owned()),
            (
                header::SCHEMA,
                format!("{}.{}", header::SCHEMA_MAJOR, header::SCHEMA_MINOR),
            ),
            (header::CONTENT_TYPE, header::PROTOBUF.to_owned()),
        ],
        payload,
    }
}

/// Makes a message of what travelled.
///
/// Fields that are not known and newer minor schemas are tolerated, and texts and lists beyond their
/// [limits](limit) are cut.
///
/// # Errors
/// Names the header or field that is missing or wrong.
pub fn decode<'h, M: Message>(
    headers: impl Fn(&'static str) -> Option<&'h str>,
    payload: &[u8],
) -> Result<M, WireError> {
    let need = |name| headers(name).ok_or(WireError::MissingHeader { name });
    let schema = need(header::SCHEMA)?;
    let numbers = schema
        .split_once('.')
        .map(|(major, minor)| (major.parse::<u32>(), minor.parse::<u32>()));
    if !matches!(numbers, Some((Ok(header::SCHEMA_MAJOR), Ok(_)))) {
        return Err(WireError::UnsupportedSchema { found: quoted(schema) });
    }
    let found = need(header::TYPE)?;
    if found != M::TYPE {
        return Err(WireError::WrongType {
            expected: M::TYPE,
            found: quoted(found),
        });
    }
    decode_body(payload)
}

/// Makes a message of its body alone. For bodies that are kept without their headers, such as
/// those of a recording; on the bus, [`decode`] makes sure of type and schema first.
///
/// # Errors
/// Names the field that is missing or wrong.
pub fn decode_body<M: Message>(payload: &[u8]) -> Result<M, WireError> {
    let mut wire = M::Wire::decode(payload).map_err(|error| WireError::Undecodable {
        message: M::TYPE,
        problem: error.to_string(),
    })?;
    wire.limit();
    M::from_wire(wire)
}

/// The value of a header for an error, which operators read in a status.
fn quoted(value: &str) -> String {
    let mut text = value.to_owned();
    limit::cut(&mut text, limit::WORD_BYTES_MAX);
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attempt_ref::AttemptRef;
    use crate::command::UncordonNode;
    use crate::ids::{AttemptId, Generation};

    fn command() -> UncordonNode {
        let node_uid = "7".parse().unwrap();
        UncordonNode {
            attempt: AttemptRef {
                node: "n1.example".parse().unwrap(),
                attempt: AttemptId::new(&node_uid, Generation(3), jiff::Timestamp::UNIX_EPOCH),
                node_uid,
                generation: Generation(3),
            },
        }
    }

    fn decode_with(change: impl FnOnce(&mut Encoded)) -> Result<UncordonNode, WireError> {
        let mut encoded = encode(&command());
        change(&mut encoded);
        let headers = encoded.headers;
        decode(
            |name| {
                headers
                    .iter()
                    .find(|(key, _)| *key == name)
                    .map(|(_, value)| value.as_str())
            },
            &encoded.payload,
        )
    }

    fn set(encoded: &mut Encoded, name: &str, value: &str) {
        for (key, old) in &mut encoded.headers {
            if *key == name {
                value.clone_into(old);
            }
        }
    }

    #[test]
    fn what_was_encoded_is_decoded() {
        assert_eq!(decode_with(|_| ()).unwrap(), command());
    }

    #[test]
    fn a_newer_minor_schema_with_a_field_more_is_tolerated() {
        let decoded = decode_with(|encoded| {
            set(encoded, header::SCHEMA, "1.9");
            // Field 99, a varint: a field of a version that does not exist yet.
            encoded.payload.extend([0x98, 0x06, 0x01]);
        });
        assert_eq!(decoded.unwrap(), command());
    }

    #[test]
    fn another_major_schema_is_refused() {
        for found in ["2.0", "", "1", "x.y"] {
            let error = decode_with(|encoded| set(encoded, header::SCHEMA, found)).unwrap_err();
            assert_eq!(
                error,
                WireError::UnsupportedSchema {
                    found: found.to_owned()
                }
            );
        }
    }

    #[test]
    fn a_missing_header_is_named() {
        let error = decode_with(|encoded| encoded.headers.retain(|(key, _)| *key != header::TYPE)).unwrap_err();
        assert_eq!(error, WireError::MissingHeader { name: header::TYPE });
    }

    #[test]
    fn another_type_is_refused() {
        let error = decode_with(|encoded| set(encoded, header::TYPE, "bellwether.v1.DrainNode")).unwrap_err();
        assert!(matches!(error, WireError::WrongType { .. }), "{error}");
    }

    #[test]
    fn a_broken_body_and_a_wrong_field_are_named() {
        let error = decode_with(|encoded| encoded.payload.truncate(3)).unwrap_err();
        assert!(matches!(error, WireError::Undecodable { .. }), "{error}");
        let error = decode_with(|encoded| encoded.payload.clear()).unwrap_err();
        assert_eq!(error.to_string(), "field node of bellwether.v1.UncordonNode is empty");
    }
}
