//! The keys by which records are signed: when a new one is made, and which one signs.
//!
//! Pure: the driver reads and writes the Secret, and brings random bytes and time. A key is published for a while before
//! it signs, so that the kubelets have brought it to every drainer and rebooter; and the key before it stays until the
//! next one is made, so that what it has signed is still read.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use bellwether_proto::signature::{KEY_BYTES, KEY_FILE_BYTES_MAX};
use bellwether_proto::{KeyId, PublicKeys, SigningKey};
use jiff::{SignedDuration, Timestamp};

/// The kind of key, as each line of the Secret names it.
const ALGORITHM: &str = "ed25519";

/// Most keys in the Secret: the one before, and the newest.
const KEYS_MAX: usize = 2;

/// How a Secret is called that no scheduler wrote.
const FORM: &str = "`ed25519 SEED TIME`, as a scheduler writes it";

/// The content of the Secret: one key or two, the older one first. Never empty.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyRing {
    before: Option<Seed>,
    newest: Seed,
}

/// One key: its random bytes and their time.
#[derive(Clone, PartialEq, Eq)]
struct Seed {
    bytes: [u8; KEY_BYTES],
    created: Timestamp,
}

/// What the Secret holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoredKeys {
    /// Nothing: the leader fills it.
    Empty,
    /// Keys.
    Keys(KeyRing),
    /// Anything else, which no scheduler overwrites. Says why.
    Malformed(String),
}

impl std::fmt::Debug for KeyRing {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("KeyRing")
            .field("newest", &self.newest.created)
            .finish_non_exhaustive()
    }
}

impl KeyRing {
    /// A first key, of these random bytes.
    #[must_use]
    pub fn new(bytes: [u8; KEY_BYTES], now: Timestamp) -> Self {
        Self {
            before: None,
            newest: Seed::new(bytes, now),
        }
    }

    /// The newest key has served for so long that a new one has to be made; or it is of a time so far ahead that a wrong
    /// clock made it.
    #[must_use]
    pub fn is_due(&self, lifetime: SignedDuration, now: Timestamp) -> bool {
        now.duration_since(self.newest.created).abs() >= lifetime
    }

    /// With a new key, of these random bytes; only the newest one of those before stays.
    #[must_use]
    pub fn with(self, bytes: [u8; KEY_BYTES], now: Timestamp) -> Self {
        Self {
            before: Some(self.newest),
            newest: Seed::new(bytes, now),
        }
    }

    /// The key that signs now. `notice` is how long a key has to be published before, and `published_at` since when all
    /// of them are, as far as is known; none: they are not.
    ///
    /// The clock of the scheduler that made the key may have been ahead, so a time in the future counts for nothing.
    #[must_use]
    pub fn signing(
        &self,
        notice: SignedDuration,
        published_at: Option<Timestamp>,
        now: Timestamp,
    ) -> Option<SigningKey> {
        let made_at = Some(self.newest.created).filter(|created| *created <= now);
        let since = published_at.map(|at| made_at.map_or(at, |made_at| at.max(made_at)));
        let noticed = since.is_some_and(|since| now.duration_since(since) >= notice);
        match &self.before {
            Some(before) if !noticed => before.key(),
            Some(_) | None => self.newest.key(),
        }
    }

    /// The public keys of all.
    #[must_use]
    pub fn public(&self) -> PublicKeys {
        let keys: Vec<SigningKey> = self.seeds().filter_map(Seed::key).collect();
        PublicKeys::of(&keys)
    }

    /// True if one of the keys has this id.
    #[must_use]
    pub fn has(&self, id: KeyId) -> bool {
        self.public().ids().any(|known| known == id)
    }

    /// The content of the Secret.
    #[must_use]
    pub fn to_secret(&self) -> String {
        self.seeds().fold(String::new(), |mut text, seed| {
            let bytes = BASE64_URL_SAFE_NO_PAD.encode(seed.bytes);
            // Writing to a String cannot fail.
            writeln!(text, "{ALGORITHM} {bytes} {}", seed.created).ok();
            text
        })
    }

    fn seeds(&self) -> impl Iterator<Item = &Seed> {
        self.before.iter().chain([&self.newest])
    }
}

impl Seed {
    fn new(bytes: [u8; KEY_BYTES], now: Timestamp) -> Self {
        // Whole seconds, for operators who read the ConfigMap.
        let created = Timestamp::from_second(now.as_second()).unwrap_or(now);
        Self { bytes, created }
    }

    fn key(&self) -> Option<SigningKey> {
        SigningKey::new(&self.bytes, self.created)
    }

    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let (Some(ALGORITHM), Some(seed), Some(created), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return None;
        };
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(seed).ok()?.as_slice().try_into().ok()?;
        let seed = Self {
            bytes,
            created: created.parse().ok()?,
        };
        seed.key().is_some().then_some(seed)
    }
}

impl StoredKeys {
    /// Reads the content of the Secret. None: it has none.
    #[must_use]
    pub fn read(content: Option<&[u8]>) -> Self {
        let content = content.unwrap_or_default();
        // An empty value is as good as none: a manifest may bring the key.
        if content.is_empty() {
            return Self::Empty;
        }
        if content.len() > KEY_FILE_BYTES_MAX {
            return Self::Malformed(format!("it has {} bytes", content.len()));
        }
        let Ok(text) = std::str::from_utf8(content) else {
            return Self::Malformed("it is no text".to_owned());
        };
        let mut seeds = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            // Nothing of the line is shown: it may be a secret.
            let Some(seed) = Seed::parse(line) else {
                return Self::Malformed(format!("line {number} is not {FORM}"));
            };
            seeds.push(seed);
        }
        if seeds.len() > KEYS_MAX {
            return Self::Malformed(format!("it has {} keys, more than {KEYS_MAX}", seeds.len()));
        }
        let Some(newest) = seeds.pop() else {
            return Self::Malformed(format!("it has no line {FORM}"));
        };
        let before = seeds.pop();
        Self::Keys(KeyRing { before, newest })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIFETIME: SignedDuration = SignedDuration::from_hours(720);
    const NOTICE: SignedDuration = SignedDuration::from_mins(10);

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn id(byte: u8) -> KeyId {
        SigningKey::new(&[byte; KEY_BYTES], at(0)).unwrap().id()
    }

    #[test]
    fn a_first_key_signs_at_once_and_is_due_at_the_end_of_its_lifetime() {
        let ring = KeyRing::new([1; KEY_BYTES], at(0));
        assert_eq!(ring.signing(NOTICE, None, at(0)).unwrap().id(), id(1));
        let end = LIFETIME.as_secs();
        assert!(!ring.is_due(LIFETIME, at(end - 1)) && ring.is_due(LIFETIME, at(end)));
    }

    #[test]
    fn a_new_key_signs_once_it_was_published_for_the_notice_and_the_one_before_stays_until_the_next() {
        let ring = KeyRing::new([1; KEY_BYTES], at(0)).with([2; KEY_BYTES], at(1000));
        let signing = |published, now| ring.signing(NOTICE, published, at(now)).unwrap().id();
        assert_eq!(signing(Some(at(1000)), 1599), id(1));
        assert_eq!(signing(Some(at(1000)), 1600), id(2));
        assert_eq!(signing(Some(at(1500)), 1600), id(1), "published late");
        assert_eq!(signing(None, 9999), id(1), "not published");
        assert_eq!(signing(Some(at(0)), 1599), id(1), "it was made at 1000");
        assert!(ring.has(id(1)) && ring.has(id(2)));
        let next = ring.with([3; KEY_BYTES], at(9000));
        assert!(!next.has(id(1)) && next.has(id(2)) && next.has(id(3)));
    }

    #[test]
    fn a_key_that_a_clock_ahead_made_does_not_wait_for_that_time() {
        let ring = KeyRing::new([1; KEY_BYTES], at(0)).with([2; KEY_BYTES], at(1_000_000));
        let signing = |published, now| ring.signing(NOTICE, Some(at(published)), at(now)).unwrap().id();
        assert_eq!(signing(100, 650), id(1));
        assert_eq!(signing(100, 700), id(2));
        assert!(!ring.is_due(LIFETIME, at(700)));
        let year_ahead = KeyRing::new([1; KEY_BYTES], at(LIFETIME.as_secs() * 12));
        assert!(
            year_ahead.is_due(LIFETIME, at(0)),
            "else it would sign for a year and more"
        );
    }

    #[test]
    fn a_secret_that_no_scheduler_wrote_is_malformed_and_its_content_is_not_shown() {
        assert_eq!(StoredKeys::read(None), StoredKeys::Empty);
        assert_eq!(StoredKeys::read(Some(b"")), StoredKeys::Empty);
        let line = KeyRing::new([1; KEY_BYTES], at(0)).to_secret();
        for (content, named) in [
            (b"\n".to_vec(), "line 1"),
            (b"hunter2".to_vec(), "line 1"),
            (vec![0xff], "no text"),
            (line.replace("ed25519 ", "ed25519 A").into_bytes(), "line 1"),
            (line.replace("Z", "").into_bytes(), "line 1"),
            (line.repeat(3).into_bytes(), "3 keys"),
            (vec![b'a'; KEY_FILE_BYTES_MAX + 1], "4097 bytes"),
        ] {
            let StoredKeys::Malformed(why) = StoredKeys::read(Some(&content)) else {
                panic!("{content:?}");
            };
            assert!(why.contains(named) && !why.contains("hunter2"), "{why}");
        }
        assert!(!format!("{:?}", KeyRing::new([0xab; KEY_BYTES], at(0))).contains("171"));
    }

    proptest! {
        #[test]
        fn what_one_scheduler_writes_another_one_reads(one: [u8; 32], two: Option<[u8; 32]>, second in 0_i64..4_000_000_000) {
            let ring = KeyRing::new(one, at(second));
            let ring = match two {
                Some(bytes) => ring.with(bytes, at(second + 5)),
                None => ring,
            };
            prop_assert_eq!(StoredKeys::read(Some(ring.to_secret().as_bytes())), StoredKeys::Keys(ring));
        }

        #[test]
        fn no_content_makes_the_scheduler_panic(content: Vec<u8>) {
            drop(StoredKeys::read(Some(&content)));
        }
    }
}
