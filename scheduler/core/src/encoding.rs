//! How the values of an input are written in a recording: names as text, messages as their own bytes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bellwether_proto::{Message, WireError, decode_body, encode};
use serde::de::Error as _;
use serde::{Deserialize as _, Deserializer};

fn base64_of<M: Message>(message: &M) -> String {
    STANDARD.encode(encode(message).payload)
}

fn message_of<'de, M: Message, D: Deserializer<'de>>(deserializer: D) -> Result<M, D::Error> {
    let text = String::deserialize(deserializer)?;
    let body = STANDARD.decode(text).map_err(D::Error::custom)?;
    decode_body(&body).map_err(|error: WireError| D::Error::custom(error))
}

/// A message of the contract, as base64 of its protobuf body.
pub(crate) mod as_message {
    use bellwether_proto::Message;
    use serde::{Deserializer, Serializer};

    use super::{base64_of, message_of};

    pub(crate) fn serialize<M: Message, S: Serializer>(message: &M, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&base64_of(message))
    }

    pub(crate) fn deserialize<'de, M: Message, D: Deserializer<'de>>(deserializer: D) -> Result<M, D::Error> {
        message_of(deserializer)
    }
}

/// As [`as_message`], in a box.
pub(crate) mod as_boxed_message {
    use bellwether_proto::Message;
    use serde::{Deserializer, Serializer};

    use super::{base64_of, message_of};

    #[expect(clippy::borrowed_box, reason = "serde gives the field as it is")]
    pub(crate) fn serialize<M: Message, S: Serializer>(message: &Box<M>, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&base64_of(message.as_ref()))
    }

    pub(crate) fn deserialize<'de, M: Message, D: Deserializer<'de>>(deserializer: D) -> Result<Box<M>, D::Error> {
        message_of(deserializer).map(Box::new)
    }
}

/// A name or id, as its text, checked when it is read.
pub(crate) mod as_text {
    use std::fmt::Display;
    use std::str::FromStr;

    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(crate) fn serialize<T: Display, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    pub(crate) fn deserialize<'de, T: FromStr<Err: Display>, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<T, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// As [`as_text`], of several.
pub(crate) mod as_texts {
    use std::fmt::Display;
    use std::str::FromStr;

    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(crate) fn serialize<T: Display, S: Serializer>(values: &[T], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(values.iter().map(ToString::to_string))
    }

    pub(crate) fn deserialize<'de, T: FromStr<Err: Display>, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<T>, D::Error> {
        let texts: Vec<String> = Vec::deserialize(deserializer)?;
        texts
            .iter()
            .map(|text| text.parse().map_err(D::Error::custom))
            .collect()
    }
}

/// As [`as_text`], where there may be none.
pub(crate) mod as_text_optional {
    use std::fmt::Display;
    use std::str::FromStr;

    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer, de::Error as _};

    pub(crate) fn serialize<T: Display, S: Serializer>(value: &Option<T>, serializer: S) -> Result<S::Ok, S::Error> {
        value.as_ref().map(ToString::to_string).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, T: FromStr<Err: Display>, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<T>, D::Error> {
        let text: Option<String> = Option::deserialize(deserializer)?;
        text.map(|text| text.parse().map_err(D::Error::custom)).transpose()
    }
}
