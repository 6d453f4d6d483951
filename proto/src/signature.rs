//! Signatures of records: only the scheduler can write an attempt or orders that another part acts on.
//!
//! A record of `bellwether_attempts` carries the header [`crate::header::SIGNATURE`], an ed25519 signature over its subject, its
//! place in the stream and its body ([`signed_bytes`]). `proto/signatures.md` states the same for any language, with
//! test vectors. Pure: the caller brings keys, random bytes and time.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use jiff::Timestamp;
use ring::digest::{SHA256, digest};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};

use crate::ids::IdError;

/// What is signed begins with this line, so that no signature of something else counts for a record. The number is the
/// version, as in the header.
const DOMAIN: &str = "bellwether record 1";

/// The version of the header and of what is signed.
const VERSION: &str = "1";

/// The only kind of key, as a file of public keys names it.
const ALGORITHM: &str = "ed25519";

/// Length of a public key, and of the secret from which a key pair follows.
pub const KEY_BYTES: usize = 32;

/// Length of a signature.
const SIGNATURE_BYTES: usize = 64;

/// Characters of a [`KeyId`]: 64 bits of a hash. Two of the few keys of a cluster do not meet by chance, and a key that is
/// made to meet another's id gains nothing, since the signature decides.
const KEY_ID_CHARS: usize = 16;

/// Most keys in a file: the one in use, the one before and the next one, with room for those of an operator.
pub const KEYS_MAX: usize = 8;

/// Longest file of public keys. Eight lines have less than 1 KiB.
pub const KEY_FILE_BYTES_MAX: usize = 4096;

/// The key of the lines in the ConfigMap and in the Secret, and so the name of the file in a pod.
pub const KEY_FILE: &str = "keys";

/// The bytes that are signed: three lines of text, each with its line feed, then the body as it is stored.
///
/// A subject has no line feed, so no two records have the same bytes.
#[must_use]
pub fn signed_bytes(subject: &str, sequence: u64, body: &[u8]) -> Vec<u8> {
    let mut bytes = format!("{DOMAIN}\n{subject}\n{sequence}\n").into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

/// Names a key: the first eight bytes of the SHA-256 hash of the public key, in hex.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId([u8; KEY_ID_CHARS / 2]);

impl KeyId {
    fn of(public: &[u8]) -> Self {
        let hash = digest(&SHA256, public);
        let mut id = [0; KEY_ID_CHARS / 2];
        for (byte, hashed) in id.iter_mut().zip(hash.as_ref()) {
            *byte = *hashed;
        }
        Self(id)
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl FromStr for KeyId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let bytes = HEXLOWER.decode(text.as_bytes()).ok();
        let id = bytes.and_then(|bytes| <[u8; KEY_ID_CHARS / 2]>::try_from(bytes).ok());
        id.map(Self).ok_or(IdError::Form {
            expected: "the id of a key: 16 characters of 0-9 a-f",
        })
    }
}

/// Why a record is not trusted: a closed list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureFault {
    /// The record carries no signature.
    #[error("it carries no signature: no scheduler of this version has written it")]
    Unsigned,
    /// The header is not as the contract says.
    #[error("its signature is malformed, or of a newer version")]
    Malformed,
    /// The reader does not know the key.
    #[error("it is signed by key {0}, which is not known here")]
    KeyUnknown(KeyId),
    /// The signature is of another record, another place in the stream, or another writer.
    #[error("its signature by key {0} is wrong: it is forged, or was stored before in another place")]
    Wrong(KeyId),
    /// The reader has no keys to verify by.
    #[error("there are no keys to verify by: {0}")]
    KeysMissing(String),
}

impl SignatureFault {
    /// Every code.
    pub const CODES: [&str; 5] = [
        "RecordUnsigned",
        "RecordSignatureMalformed",
        "RecordKeyUnknown",
        "RecordSignatureWrong",
        "RecordKeysMissing",
    ];

    /// The code for programs, one of [`Self::CODES`].
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unsigned => "RecordUnsigned",
            Self::Malformed => "RecordSignatureMalformed",
            Self::KeyUnknown(_) => "RecordKeyUnknown",
            Self::Wrong(_) => "RecordSignatureWrong",
            Self::KeysMissing(_) => "RecordKeysMissing",
        }
    }
}

/// The value of the header: version, key and signature, with dots between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Signature {
    key: KeyId,
    bytes: [u8; SIGNATURE_BYTES],
}

impl fmt::Display for Signature {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{VERSION}.{}.{}",
            self.key,
            BASE64URL_NOPAD.encode(&self.bytes)
        )
    }
}

impl FromStr for Signature {
    type Err = SignatureFault;

    fn from_str(text: &str) -> Result<Self, SignatureFault> {
        let mut parts = text.split('.');
        let (Some(VERSION), Some(key), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(SignatureFault::Malformed);
        };
        let bytes = BASE64URL_NOPAD.decode(signature.as_bytes()).ok();
        let bytes = bytes.and_then(|bytes| bytes.try_into().ok());
        match (key.parse(), bytes) {
            (Ok(key), Some(bytes)) => Ok(Self { key, bytes }),
            (Err(_), _) | (_, None) => Err(SignatureFault::Malformed),
        }
    }
}

/// The key that a header names, if the header is well-formed. Proves nothing.
#[must_use]
pub fn named_key(header: &str) -> Option<KeyId> {
    header.parse::<Signature>().ok().map(|signature| signature.key)
}

/// A key that signs.
pub struct SigningKey {
    pair: Ed25519KeyPair,
    created: Timestamp,
}

impl SigningKey {
    /// The key pair of these random bytes, made at this instant. None: no key pair follows from the bytes.
    #[must_use]
    pub fn new(seed: &[u8; KEY_BYTES], created: Timestamp) -> Option<Self> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).ok()?;
        Some(Self { pair, created })
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> KeyId {
        KeyId::of(self.pair.public_key().as_ref())
    }

    /// When it was made.
    #[must_use]
    pub fn created(&self) -> Timestamp {
        self.created
    }

    /// The header of a record with this subject and body that will be stored in this place of its stream.
    #[must_use]
    pub fn sign(&self, subject: &str, sequence: u64, body: &[u8]) -> String {
        let signature = self.pair.sign(&signed_bytes(subject, sequence, body));
        let mut bytes = [0; SIGNATURE_BYTES];
        for (byte, signed) in bytes.iter_mut().zip(signature.as_ref()) {
            *byte = *signed;
        }
        Signature { key: self.id(), bytes }.to_string()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("SigningKey")
            .field("id", &self.id())
            .field("created", &self.created)
            .finish_non_exhaustive()
    }
}

/// One public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublicKey {
    bytes: [u8; KEY_BYTES],
    /// When it was made, by the clock of the scheduler that made it.
    pub created: Timestamp,
}

/// The keys by which a reader verifies records: the content of a file.
///
/// Each line is `ed25519`, the key in base64url without padding and the time of its making, with one space between. A
/// file with any other line counts as a whole as malformed: a key that is passed over silently would be missed later.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PublicKeys(BTreeMap<KeyId, PublicKey>);

impl PublicKeys {
    /// The public keys of these.
    #[must_use]
    pub fn of<'k>(keys: impl IntoIterator<Item = &'k SigningKey>) -> Self {
        let public = keys.into_iter().filter_map(|key| {
            let bytes = key.pair.public_key().as_ref().try_into().ok()?;
            let created = key.created;
            Some((key.id(), PublicKey { bytes, created }))
        });
        Self(public.collect())
    }

    /// No key.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The ids of all keys, in their order.
    pub fn ids(&self) -> impl Iterator<Item = KeyId> {
        self.0.keys().copied()
    }

    /// All keys with their ids.
    pub fn iter(&self) -> impl Iterator<Item = (KeyId, &PublicKey)> {
        self.0.iter().map(|(id, key)| (*id, key))
    }

    /// Verifies a record: its subject and place as the server states them, the value of its header
    /// [`header::SIGNATURE`](crate::header::SIGNATURE), and its body as it is stored. Returns the key.
    ///
    /// # Errors
    /// The record is not to be trusted.
    pub fn verify(
        &self,
        subject: &str,
        sequence: u64,
        header: Option<&str>,
        body: &[u8],
    ) -> Result<KeyId, SignatureFault> {
        let signature: Signature = header.ok_or(SignatureFault::Unsigned)?.parse()?;
        if self.is_empty() {
            return Err(SignatureFault::KeysMissing("the list of keys is empty".to_owned()));
        }
        let key = self
            .0
            .get(&signature.key)
            .ok_or(SignatureFault::KeyUnknown(signature.key))?;
        let signed = signed_bytes(subject, sequence, body);
        UnparsedPublicKey::new(&ED25519, &key.bytes)
            .verify(&signed, &signature.bytes)
            .map_err(|_| SignatureFault::Wrong(signature.key))?;
        Ok(signature.key)
    }
}

impl fmt::Display for PublicKeys {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for key in self.0.values() {
            writeln!(
                formatter,
                "{ALGORITHM} {} {}",
                BASE64URL_NOPAD.encode(&key.bytes),
                key.created
            )?;
        }
        Ok(())
    }
}

/// A file of public keys is not as it has to be. Says why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct KeysMalformed(String);

impl FromStr for PublicKeys {
    type Err = KeysMalformed;

    fn from_str(text: &str) -> Result<Self, KeysMalformed> {
        if text.len() > KEY_FILE_BYTES_MAX {
            let length = text.len();
            return Err(KeysMalformed(format!(
                "it has {length} bytes, more than {KEY_FILE_BYTES_MAX}"
            )));
        }
        let mut keys = BTreeMap::new();
        for (number, line) in (1..).zip(text.lines()) {
            let (id, key) = public_key(line).ok_or_else(|| {
                KeysMalformed(format!(
                    "line {number} is not `{ALGORITHM} KEY TIME` with a key in base64url"
                ))
            })?;
            keys.insert(id, key);
        }
        if keys.len() > KEYS_MAX {
            return Err(KeysMalformed(format!("it has more than {KEYS_MAX} keys")));
        }
        Ok(Self(keys))
    }
}

fn public_key(line: &str) -> Option<(KeyId, PublicKey)> {
    let mut words = line.split(' ');
    let (Some(ALGORITHM), Some(key), Some(created), None) = (words.next(), words.next(), words.next(), words.next())
    else {
        return None;
    };
    let bytes: [u8; KEY_BYTES] = BASE64URL_NOPAD.decode(key.as_bytes()).ok()?.try_into().ok()?;
    let created = created.parse().ok()?;
    Some((KeyId::of(&bytes), PublicKey { bytes, created }))
}

#[cfg(test)]
#[path = "signature_tests.rs"]
mod tests;
