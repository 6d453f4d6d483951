//! A question of a NATS server to the gatekeeper. The bytes are the claims, which the target signs as a server would,
//! with the words `@SERVER` and `@USER` for public keys; or the whole message, if they begin with `!`.

use std::sync::LazyLock;

use bellwether_gatekeeper_core::Question;
use data_encoding::BASE64URL_NOPAD;
use nkeys::{KeyPair, KeyPairType};

use crate::judge;

/// The issuer that the gatekeeper answers as.
const ISSUER: &str = "ours";

/// A server, by a fixed key.
static SERVER: LazyLock<KeyPair> =
    LazyLock::new(|| KeyPair::new_from_raw(KeyPairType::Server, [9; 32]).expect("a key pair"));

/// The key that a server makes up for a client.
static USER: LazyLock<String> = LazyLock::new(|| {
    KeyPair::new_from_raw(KeyPairType::User, [8; 32])
        .expect("a key pair")
        .public_key()
});

pub(crate) fn run(bytes: &[u8]) -> bool {
    if let Some(message) = bytes.strip_prefix(b"!") {
        return read(message).is_some();
    }
    let claims = match std::str::from_utf8(bytes) {
        Ok(text) => text
            .replace("@SERVER", &SERVER.public_key())
            .replace("@USER", &USER)
            .into_bytes(),
        Err(_) => bytes.to_vec(),
    };
    let header = BASE64URL_NOPAD.encode(br#"{"typ":"JWT","alg":"ed25519-nkey"}"#);
    let signed = format!("{header}.{}", BASE64URL_NOPAD.encode(&claims));
    let signature = SERVER.sign(signed.as_bytes()).expect("the key signs");
    let message = format!("{signed}.{}", BASE64URL_NOPAD.encode(&signature));
    let Some(question) = read(message.as_bytes()) else {
        return false;
    };
    assert_eq!(question.server, SERVER.public_key(), "a question of another server");
    let user = KeyPair::from_public_key(&question.user).expect("a public key");
    assert_eq!(user.key_pair_type(), KeyPairType::User);
    true
}

fn read(message: &[u8]) -> Option<Question> {
    match Question::read(message, ISSUER) {
        Ok(question) => {
            judge::error(&question.client);
            let other = Question {
                token: String::new(),
                ..question.clone()
            };
            assert_eq!(
                format!("{question:?}"),
                format!("{other:?}"),
                "a text depends on what is secret"
            );
            Some(question)
        }
        Err(refusal) => {
            judge::error(&format!("{refusal:?}"));
            None
        }
    }
}
