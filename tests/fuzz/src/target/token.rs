//! The claims of a Kubernetes token. The bytes are the claims, or the whole token if they begin with `!`.

use bellwether_gatekeeper_core::token;
use data_encoding::BASE64URL_NOPAD;

use crate::judge;

pub(crate) fn run(bytes: &[u8]) -> bool {
    let text = match bytes.strip_prefix(b"!") {
        Some(token) => match std::str::from_utf8(token) {
            Ok(token) => token.to_owned(),
            Err(_) => return false,
        },
        None => format!("e30.{}.c2ln", BASE64URL_NOPAD.encode(bytes)),
    };
    match token::read(&text) {
        Ok(stated) => {
            let claims = text.split('.').nth(1).unwrap_or_default();
            let claims = BASE64URL_NOPAD.decode(claims.as_bytes()).expect("base64");
            // The untyped reader knows nothing of what the gatekeeper expects. It also refuses broken texts in claims that
            // the gatekeeper passes over.
            if let Ok(claims) = serde_json::from_slice::<serde_json::Value>(&claims) {
                let audiences = claims["aud"].as_array().expect("a list");
                assert!(audiences.iter().any(|it| it == token::AUDIENCE), "a token for others");
                assert_eq!(claims["exp"].as_i64(), Some(stated.expires.as_second()));
            }
            true
        }
        Err(refusal) => {
            judge::error(&format!("{refusal:?}"));
            false
        }
    }
}
