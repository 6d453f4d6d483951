//! The chassis' reader of credentials.

#[path = "../../../../chassis/src/nats/content.rs"]
mod of_chassis;

use nkeys::KeyPair;

pub(crate) fn password(text: &str) -> Result<&str, &'static str> {
    of_chassis::password(text)
}

pub(crate) fn token(text: &str) -> Result<&str, &'static str> {
    of_chassis::token(text)
}

pub(crate) fn credentials(text: &str) -> Result<(&str, KeyPair), &'static str> {
    of_chassis::credentials(text)
}
