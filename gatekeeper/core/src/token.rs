//! The claims of a Kubernetes token that are read before the API server is asked.
//!
//! They are not proved: they only spare the API server questions about tokens that it would refuse. The one claim that
//! counts afterwards is the end of a token that the API server has accepted.

use data_encoding::BASE64URL_NOPAD;
use jiff::Timestamp;
use serde::Deserialize;

use crate::refusal::Refusal;

/// The audience that the projected volumes of the services name. A token for it is worth nothing at the API server.
pub const AUDIENCE: &str = "bellwether-nats";

/// Longer than any token of a ServiceAccount: namespace, names and node name have 253 bytes each at most.
const BYTES_MAX: usize = 16 * 1024;

#[derive(Deserialize)]
struct Claims {
    #[serde(default)]
    aud: Vec<String>,
    exp: Option<i64>,
}

/// What the token states.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stated {
    /// Its end.
    pub expires: Timestamp,
}

/// Reads the token's own statement.
///
/// # Errors
/// The refusal of a token that the API server need not be asked about.
pub fn read(token: &str) -> Result<Stated, Refusal> {
    if token.is_empty() {
        return Err(Refusal::TokenAbsent);
    }
    let body = if token.len() > BYTES_MAX {
        None
    } else {
        token.split('.').nth(1)
    };
    let claims = body
        .filter(|_| token.split('.').count() == 3)
        .and_then(|body| BASE64URL_NOPAD.decode(body.as_bytes()).ok())
        .and_then(|json| serde_json::from_slice::<Claims>(&json).ok())
        .ok_or(Refusal::TokenMalformed)?;
    if !claims.aud.iter().any(|audience| audience == AUDIENCE) {
        return Err(Refusal::AudienceWrong);
    }
    let expires = claims.exp.and_then(|second| Timestamp::from_second(second).ok());
    Ok(Stated {
        expires: expires.ok_or(Refusal::TokenExpired)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn token(claims: &str) -> String {
        format!("e30.{}.c2ln", BASE64URL_NOPAD.encode(claims.as_bytes()))
    }

    #[test]
    fn a_token_is_read_or_refused_with_its_code() {
        let good = r#"{"aud":["bellwether-nats"],"exp":1000,"sub":"x"}"#;
        assert_eq!(read(&token(good)).unwrap().expires.as_second(), 1000);
        for (text, refusal) in [
            (String::new(), Refusal::TokenAbsent),
            ("garbage".to_owned(), Refusal::TokenMalformed),
            (format!("{}.more", token(good)), Refusal::TokenMalformed),
            (token("[]"), Refusal::TokenMalformed),
            (token(r#"{"aud":"bellwether-nats"}"#), Refusal::TokenMalformed),
            (token(&" ".repeat(BYTES_MAX)), Refusal::TokenMalformed),
            (token(r#"{"exp":1000}"#), Refusal::AudienceWrong),
            (
                token(r#"{"aud":["https://kubernetes"],"exp":1000}"#),
                Refusal::AudienceWrong,
            ),
            (token(r#"{"aud":["bellwether-nats"]}"#), Refusal::TokenExpired),
        ] {
            assert_eq!(read(&text), Err(refusal), "{text:.60}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_panic_or_accept(text in "\\PC{0,200}", claims in "\\PC{0,200}") {
            prop_assert!(read(&text).is_err());
            prop_assert!(read(&token(&claims)).is_err());
        }
    }
}
