//! The signature of a record: subject, place in the stream and header on a line each, then the body. The header `@SIGNED`
//! stands for the right one.

use std::sync::LazyLock;

use bellwether_proto::signature::{KEY_BYTES, KeyId, PublicKeys, SigningKey, named_key};
use jiff::Timestamp;

use crate::judge;

/// Any key: what is tried is whether something else counts for its signature.
static KEY: LazyLock<SigningKey> =
    LazyLock::new(|| SigningKey::new(&[7; KEY_BYTES], Timestamp::UNIX_EPOCH).expect("a key pair"));

static KEYS: LazyLock<PublicKeys> = LazyLock::new(|| PublicKeys::of([&*KEY]));

pub(crate) fn run(bytes: &[u8]) -> bool {
    let Some(([subject, sequence, header], body)) = judge::lines(bytes) else {
        return false;
    };
    let sequence: u64 = sequence.parse().unwrap_or_default();
    let right = KEY.sign(subject, sequence, body);
    assert_eq!(KEYS.verify(subject, sequence, Some(&right), body), Ok(KEY.id()));
    assert!(
        KEYS.verify(subject, sequence.wrapping_add(1), Some(&right), body)
            .is_err(),
        "in another place"
    );
    let header = if header == "@SIGNED" { right.as_str() } else { header };
    let verified = KEYS.verify(subject, sequence, Some(header), body);
    assert_eq!(verified.is_ok(), header == right, "two headers count for one record");
    if let Err(fault) = &verified {
        judge::error(fault);
    }
    assert_eq!(named_key(&right), Some(KEY.id()));
    if let Some(key) = named_key(header) {
        assert_eq!(key.to_string().parse::<KeyId>(), Ok(key));
        assert!(header.contains(&key.to_string()), "another key than the header's");
    }
    verified.is_ok()
}
