use proptest::prelude::*;

use super::*;

fn key(byte: u8) -> SigningKey {
    SigningKey::new(&[byte; KEY_BYTES], Timestamp::from_second(i64::from(byte)).unwrap()).unwrap()
}

#[test]
fn a_record_verifies_only_as_it_was_signed() {
    let keys = PublicKeys::of([&key(1)]);
    let header = key(1).sign("a.b", 7, b"body");
    let verify = |subject, sequence, body| keys.verify(subject, sequence, Some(&header), body);
    assert_eq!(verify("a.b", 7, b"body"), Ok(key(1).id()));
    let wrong = Err(SignatureFault::Wrong(key(1).id()));
    assert_eq!(verify("a.c", 7, b"body"), wrong);
    assert_eq!(verify("a.b", 8, b"body"), wrong);
    assert_eq!(verify("a.b", 7, b"other"), wrong);
    assert_eq!(keys.verify("a.b", 7, None, b"body"), Err(SignatureFault::Unsigned));
    let others = PublicKeys::of([&key(2)]);
    let unknown = Err(SignatureFault::KeyUnknown(key(1).id()));
    assert_eq!(others.verify("a.b", 7, Some(&header), b"body"), unknown);
    let none = PublicKeys::default().verify("a.b", 7, Some(&header), b"body");
    assert!(matches!(none, Err(SignatureFault::KeysMissing(_))), "{none:?}");
}

#[test]
fn a_file_of_keys_is_read_as_it_was_written_and_any_other_line_spoils_it() {
    let keys = PublicKeys::of([&key(1), &key(2)]);
    let text = keys.to_string();
    assert_eq!(text.parse(), Ok(keys));
    assert_eq!("".parse(), Ok(PublicKeys::default()));
    let line = PublicKeys::of([&key(1)]).to_string();
    for (spoiled, named) in [
        (format!("{text}\n"), "line 3"),
        (format!("# ours\n{text}"), "line 1"),
        (line.replace("ed25519", "rsa"), "line 1"),
        (line.replace(' ', "  "), "line 1"),
        (line.replace("ed25519 ", "ed25519 A"), "line 1"),
        (line.replace("1970", "soon"), "line 1"),
        (" ".repeat(KEY_FILE_BYTES_MAX + 1), "4097 bytes"),
    ] {
        let fault = spoiled.parse::<PublicKeys>().unwrap_err().to_string();
        assert!(fault.contains(named), "{spoiled}: {fault}");
    }
    let many: Vec<SigningKey> = (0..9).map(key).collect();
    let fault = PublicKeys::of(&many).to_string().parse::<PublicKeys>().unwrap_err();
    assert!(fault.to_string().contains("more than 8 keys"), "{fault}");
}

#[test]
fn a_secret_key_shows_in_no_debug_text() {
    let text = format!("{:?}", key(0xab));
    assert!(!text.contains("171") && !text.to_lowercase().contains("abab"), "{text}");
}

#[test]
fn every_fault_has_its_code_in_the_list() {
    let id = key(1).id();
    let faults = [
        SignatureFault::Unsigned,
        SignatureFault::Malformed,
        SignatureFault::KeyUnknown(id),
        SignatureFault::Wrong(id),
        SignatureFault::KeysMissing(String::new()),
    ];
    assert_eq!(faults.map(|fault| fault.code()), SignatureFault::CODES);
}

/// `cargo test -p bellwether-proto --release signing_costs -- --ignored --nocapture` prints the figures.
#[test]
#[ignore = "measures"]
#[expect(clippy::print_stdout, reason = "prints what it has measured")]
fn signing_costs() {
    let (key, body) = (key(1), [7; 1024]);
    let keys = PublicKeys::of([&key]);
    let began = std::time::Instant::now();
    let header = key.sign("a.b", 7, &body);
    for sequence in 0..1000 {
        drop(key.sign("a.b", sequence, &body));
    }
    let signed = began.elapsed() / 1001;
    let began = std::time::Instant::now();
    for _ in 0..1000 {
        keys.verify("a.b", 7, Some(&header), &body).unwrap();
    }
    let verified = began.elapsed() / 1000;
    println!("sign {signed:?}, verify {verified:?}, header {} bytes", header.len());
}

proptest! {
    #[test]
    fn no_header_makes_the_reader_panic_or_verifies_by_chance(header: String, subject: String, sequence: u64) {
        let keys = PublicKeys::of([&key(1)]);
        prop_assert!(keys.verify(&subject, sequence, Some(&header), b"body").is_err());
    }

    #[test]
    fn no_file_makes_the_reader_panic(text: String) {
        drop(text.parse::<PublicKeys>());
    }

    #[test]
    fn another_place_or_body_has_other_bytes(
        one in ("[a-z.]{0,9}", 0..99_u64, "[0-9\n]{0,9}"),
        other in ("[a-z.]{0,9}", 0..99_u64, "[0-9\n]{0,9}"),
    ) {
        let bytes = |(subject, sequence, body): &(String, u64, String)| signed_bytes(subject, *sequence, body.as_bytes());
        prop_assert_eq!(one == other, bytes(&one) == bytes(&other));
    }
}
