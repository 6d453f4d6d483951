//! The form of NATS's signed claims: three parts of base64, the last one an Ed25519 signature by the issuer's nkey.

use data_encoding::{BASE32_NOPAD, BASE64URL_NOPAD};
use nkeys::{KeyPair, KeyPairType};
use ring::digest;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The one algorithm of the second version of the claims.
const ALGORITHM: &str = "ed25519-nkey";

/// The second version of the claims.
pub(crate) const VERSION: u8 = 2;

/// A longer text is no claim of a server: the limit of `max_control_line` and the client's data keep it far below.
const BYTES_MAX: usize = 64 * 1024;

#[derive(Serialize, Deserialize)]
struct Header {
    typ: String,
    alg: String,
}

/// Claims of anybody, with content of this type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims<T> {
    /// Whom the claims are for.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub aud: String,
    /// Until when they count, in seconds.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub exp: i64,
    /// Their id.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub jti: String,
    /// When they were made, in seconds.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub iat: i64,
    /// The public key of the signer.
    pub iss: String,
    /// Whom the claims are about.
    #[serde(default)]
    pub sub: String,
    /// The content.
    pub nats: T,
}

/// Why a text is no claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JwtError {
    /// Not three parts of base64 with JSON of the right type, or too long.
    #[error("the claims have another form than this version knows")]
    Malformed,
    /// The issuer is no key of the demanded kind.
    #[error("the issuer of the claims is of another kind")]
    OtherIssuer,
    /// The signature is not the issuer's.
    #[error("the signature of the claims is not their issuer's")]
    SignatureWrong,
    /// The library could not sign.
    #[error("the claims cannot be signed")]
    NotSigned,
}

/// Signs claims. Sets issuer and id.
///
/// # Errors
/// The key pair holds no private key.
pub fn encode<T: Serialize>(mut claims: Claims<T>, signer: &KeyPair) -> Result<String, JwtError> {
    let header = Header {
        typ: "JWT".to_owned(),
        alg: ALGORITHM.to_owned(),
    };
    claims.iss = signer.public_key();
    claims.jti = String::new();
    let json = |value| serde_json::to_vec(value).map_err(|_| JwtError::NotSigned);
    let hash = digest::digest(&digest::SHA512_256, &json_of(&claims)?);
    claims.jti = BASE32_NOPAD.encode(hash.as_ref());
    let header = BASE64URL_NOPAD.encode(&json(&header)?);
    let signed = format!("{header}.{}", BASE64URL_NOPAD.encode(&json_of(&claims)?));
    let signature = signer.sign(signed.as_bytes()).map_err(|_| JwtError::NotSigned)?;
    Ok(format!("{signed}.{}", BASE64URL_NOPAD.encode(&signature)))
}

fn json_of<T: Serialize>(claims: &Claims<T>) -> Result<Vec<u8>, JwtError> {
    serde_json::to_vec(claims).map_err(|_| JwtError::NotSigned)
}

/// Reads claims, whose issuer has to be a key of this kind and their signer.
///
/// # Errors
/// Any of that does not hold.
pub fn decode<T: DeserializeOwned>(text: &str, issuer: KeyPairType) -> Result<Claims<T>, JwtError> {
    if text.len() > BYTES_MAX {
        return Err(JwtError::Malformed);
    }
    let (signed, signature) = text.rsplit_once('.').ok_or(JwtError::Malformed)?;
    let (header, body) = signed.split_once('.').ok_or(JwtError::Malformed)?;
    let bytes = |part: &str| BASE64URL_NOPAD.decode(part.as_bytes()).map_err(|_| JwtError::Malformed);
    let header: Header = serde_json::from_slice(&bytes(header)?).map_err(|_| JwtError::Malformed)?;
    if header.alg != ALGORITHM {
        return Err(JwtError::Malformed);
    }
    let claims: Claims<T> = serde_json::from_slice(&bytes(body)?).map_err(|_| JwtError::Malformed)?;
    let key = KeyPair::from_public_key(&claims.iss).map_err(|_| JwtError::OtherIssuer)?;
    if key.key_pair_type() != issuer {
        return Err(JwtError::OtherIssuer);
    }
    key.verify(signed.as_bytes(), &bytes(signature)?)
        .map_err(|_| JwtError::SignatureWrong)?;
    Ok(claims)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the form that serde calls")]
fn is_zero(value: &i64) -> bool {
    *value == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn claims(content: &str) -> Claims<String> {
        Claims {
            aud: "x".to_owned(),
            exp: 9,
            jti: String::new(),
            iat: 3,
            iss: String::new(),
            sub: "s".to_owned(),
            nats: content.to_owned(),
        }
    }

    #[test]
    fn claims_are_read_as_they_were_signed() {
        let signer = KeyPair::new_account();
        let text = encode(claims("content"), &signer).unwrap();
        let read: Claims<String> = decode(&text, KeyPairType::Account).unwrap();
        assert_eq!((read.iss, read.nats), (signer.public_key(), "content".to_owned()));
        assert_eq!(read.jti.len(), 52, "32 bytes of a hash in base32");
    }

    #[test]
    fn claims_of_another_kind_of_key_are_refused() {
        let text = encode(claims("content"), &KeyPair::new_user()).unwrap();
        assert_eq!(decode::<String>(&text, KeyPairType::Server), Err(JwtError::OtherIssuer));
    }

    #[test]
    fn claims_that_were_changed_after_their_signature_are_refused() {
        let signer = KeyPair::new_server();
        let text = encode(claims("content"), &signer).unwrap();
        let (_, signature) = text.rsplit_once('.').unwrap();
        let other = encode(claims("another"), &signer).unwrap();
        let (signed, _) = other.rsplit_once('.').unwrap();
        let forged = format!("{signed}.{signature}");
        assert_eq!(
            decode::<String>(&forged, KeyPairType::Server),
            Err(JwtError::SignatureWrong)
        );
        let unsigned = format!("{signed}.");
        assert!(decode::<String>(&unsigned, KeyPairType::Server).is_err());
    }

    #[test]
    fn another_algorithm_is_refused_whatever_the_signature() {
        let signer = KeyPair::new_server();
        let text = encode(claims("content"), &signer).unwrap();
        let (_, rest) = text.split_once('.').unwrap();
        let (body, _) = rest.split_once('.').unwrap();
        let header = BASE64URL_NOPAD.encode(br#"{"typ":"JWT","alg":"none"}"#);
        let signed = format!("{header}.{body}");
        let signature = BASE64URL_NOPAD.encode(&signer.sign(signed.as_bytes()).unwrap());
        let forged = format!("{signed}.{signature}");
        assert_eq!(decode::<String>(&forged, KeyPairType::Server), Err(JwtError::Malformed));
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_panic_or_accept(text in "[ -~.]{0,300}", dots in "[A-Za-z0-9_-]{0,40}\\.[A-Za-z0-9_-]{0,200}\\.[A-Za-z0-9_-]{0,90}") {
            prop_assert!(decode::<serde_json::Value>(&text, KeyPairType::Server).is_err());
            prop_assert!(decode::<serde_json::Value>(&dots, KeyPairType::Server).is_err());
        }
    }
}
