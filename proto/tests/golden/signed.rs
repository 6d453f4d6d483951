//! Test vectors of signed records, as plain files for a reader in any language.
//!
//! `signed/keys` is a file of public keys as a pod has it. Each line of `signed/vectors.txt` is a record, and what a
//! reader with these keys has to find: `ok`, or the code of a fault.

use std::fs;
use std::path::PathBuf;

use bellwether_proto::signature::signed_bytes;
use bellwether_proto::{Encoded, PublicKeys, SignatureFault, SigningKey, encode, subject};
use jiff::Timestamp;

use crate::records::{NODE, rebooting};

/// What it is, subject, sequence, header and body.
type Case<'a> = (&'a str, &'a str, u64, Option<String>, &'a [u8]);

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/signed")
}

fn key(byte: u8) -> SigningKey {
    let created = Timestamp::from_second(1_764_237_600 + i64::from(byte) * 86_400).unwrap();
    SigningKey::new(&[byte; 32], created).unwrap()
}

fn known() -> PublicKeys {
    PublicKeys::of([&key(1), &key(2)])
}

/// What a reader finds.
fn verdict(subject: &str, sequence: u64, header: Option<&str>, body: &[u8]) -> String {
    match known().verify(subject, sequence, header, body) {
        Ok(_) => "ok".to_owned(),
        Err(fault) => fault.code().to_owned(),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn vectors() -> String {
    let own = subject::attempt_record(&NODE.parse::<bellwether_proto::NodeName>().unwrap().token());
    let other = subject::attempt_record(&"node-2.rig".parse::<bellwether_proto::NodeName>().unwrap().token());
    let Encoded { payload: body, .. } = encode(&rebooting());
    let changed = {
        let mut changed = body.clone();
        *changed.last_mut().unwrap() ^= 1;
        changed
    };
    let right = key(1).sign(&own, 42, &body);
    let (head, signature) = right.rsplit_once('.').unwrap();
    let cases: Vec<Case<'_>> = vec![
        ("as it was signed", &own, 42, Some(right.clone()), &body),
        ("by the next key", &own, 43, Some(key(2).sign(&own, 43, &body)), &body),
        ("without a body", &own, 1, Some(key(1).sign(&own, 1, b"")), b""),
        (
            "largest sequence",
            &own,
            u64::MAX,
            Some(key(1).sign(&own, u64::MAX, b"record")),
            b"record",
        ),
        ("not signed", &own, 42, None, &body),
        ("in another place of the stream", &own, 43, Some(right.clone()), &body),
        ("at the key of another node", &other, 42, Some(right.clone()), &body),
        ("with another body", &own, 42, Some(right.clone()), &changed),
        (
            "by a key that is not known",
            &own,
            42,
            Some(key(3).sign(&own, 42, &body)),
            &body,
        ),
        (
            "the id of another key",
            &own,
            42,
            Some(format!("1.{}.{signature}", key(2).id())),
            &body,
        ),
        (
            "another version",
            &own,
            42,
            Some(format!("2{}", right.strip_prefix('1').unwrap())),
            &body,
        ),
        (
            "without a version",
            &own,
            42,
            right.strip_prefix("1.").map(str::to_owned),
            &body,
        ),
        ("a fourth part", &own, 42, Some(format!("{right}.0")), &body),
        (
            "the id in upper case",
            &own,
            42,
            Some(format!("1.{}.{signature}", key(1).id().to_string().to_uppercase())),
            &body,
        ),
        ("with padding", &own, 42, Some(format!("{right}==")), &body),
        ("a character more", &own, 42, Some(format!("{right}A")), &body),
        (
            "a character less",
            &own,
            42,
            Some(right.get(..right.len() - 1).unwrap().to_owned()),
            &body,
        ),
        ("the last bits set", &own, 42, Some(last_bits_set(&right)), &body),
        ("a blank", &own, 42, Some(format!("{head}. {signature}")), &body),
        ("empty", &own, 42, Some(String::new()), &body),
        (
            "s is not reduced",
            &own,
            42,
            Some(format!("{head}.{}", not_reduced(signature))),
            &body,
        ),
    ];
    let mut text = String::from(
        "# what a reader finds | what it is | subject | sequence | Bellwether-Signature, `-` for none | body in hex\n",
    );
    for (what, subject, sequence, header, body) in cases {
        let found = verdict(subject, sequence, header.as_deref(), body);
        let header = header.as_deref().unwrap_or("-");
        text.push_str(&format!(
            "{found} | {what} | {subject} | {sequence} | {header} | {}\n",
            hex(body)
        ));
    }
    text
}

/// Another text of the same bytes: the bits of the last character that count for nothing are set.
fn last_bits_set(header: &str) -> String {
    const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let (rest, last) = header.split_at(header.len() - 1);
    let value = ALPHABET.find(last).unwrap();
    format!("{rest}{}", ALPHABET.chars().nth(value | 0b1111).unwrap())
}

/// The same signature with the group's order added to its second half: a reader that does not refuse it takes two
/// signatures for one record.
fn not_reduced(signature: &str) -> String {
    const ORDER: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let encoding = data_encoding::BASE64URL_NOPAD;
    let mut bytes = encoding.decode(signature.as_bytes()).unwrap();
    let mut carry = 0;
    for (byte, order) in bytes.iter_mut().skip(32).zip(ORDER) {
        let sum = u16::from(*byte) + u16::from(order) + carry;
        *byte = u8::try_from(sum & 0xff).unwrap();
        carry = sum >> 8;
    }
    encoding.encode(&bytes)
}

#[test]
fn the_vectors_of_signed_records_are_those_of_this_version() {
    for (name, text) in [("keys", known().to_string()), ("vectors.txt", vectors())] {
        let stored = fs::read_to_string(folder().join(name)).unwrap();
        assert_eq!(stored, text, "{name}");
    }
    let (right, wrong): (Vec<_>, Vec<_>) = vectors()
        .lines()
        .skip(1)
        .map(|line| line.split(" | ").next().unwrap().to_owned())
        .partition(|verdict| verdict == "ok");
    assert_eq!(right.len(), 4);
    for code in SignatureFault::CODES
        .into_iter()
        .filter(|code| *code != "RecordKeysMissing")
    {
        assert!(wrong.iter().any(|found| found == code), "{code} is in no vector");
    }
}

#[test]
fn the_page_states_the_bytes_that_are_signed() {
    let page = include_str!("../../signatures.md");
    let bytes = signed_bytes("$KV.bellwether_attempts.node-1_rig", 42, b"<body>");
    let shown = String::from_utf8(bytes).unwrap();
    assert!(page.contains(&shown), "{shown}");
}

/// Writes the files again: only with a new version of the signature.
#[test]
#[ignore = "writes the vectors"]
fn renew_signed() {
    fs::create_dir_all(folder()).unwrap();
    fs::write(folder().join("keys"), known().to_string()).unwrap();
    fs::write(folder().join("vectors.txt"), vectors()).unwrap();
}
