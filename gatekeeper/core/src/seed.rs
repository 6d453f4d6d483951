//! The content of the Secret from which all keys follow.

use std::collections::BTreeMap;

use jiff::Timestamp;

/// The key of the random bytes in the Secret.
pub const SEED_KEY: &str = "seed";

/// The key of their time in the Secret, as RFC 3339. All gatekeepers write it into the authority's certificate, so that
/// each makes the same one.
pub const CREATED_KEY: &str = "created";

/// As many as the keys that follow have.
pub const SEED_BYTES: usize = 32;

/// The random bytes and their time.
#[derive(Clone, PartialEq, Eq)]
pub struct Seed {
    /// The random bytes.
    pub(crate) bytes: [u8; SEED_BYTES],
    /// When they were made, in whole seconds.
    pub created: Timestamp,
}

impl std::fmt::Debug for Seed {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Seed")
            .field("created", &self.created)
            .finish_non_exhaustive()
    }
}

/// What the Secret holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stored {
    /// Nothing: the first gatekeeper fills it.
    Empty,
    /// A seed.
    Seed(Seed),
    /// Anything else, which no gatekeeper overwrites. Holds the fault.
    Malformed(String),
}

impl Seed {
    /// A seed of these random bytes, made now.
    #[must_use]
    pub fn new(bytes: [u8; SEED_BYTES], now: Timestamp) -> Self {
        // A certificate has no fractions of seconds.
        let created = Timestamp::from_second(now.as_second()).unwrap_or(now);
        Self { bytes, created }
    }

    /// The content of the Secret.
    #[must_use]
    pub fn data(&self) -> BTreeMap<String, Vec<u8>> {
        BTreeMap::from([
            (SEED_KEY.to_owned(), self.bytes.to_vec()),
            (CREATED_KEY.to_owned(), self.created.to_string().into_bytes()),
        ])
    }
}

impl Stored {
    /// Reads the content of the Secret.
    #[must_use]
    pub fn read<'a>(data: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Self {
        let data: BTreeMap<&str, &[u8]> = data.into_iter().collect();
        // An empty value is as good as none: a manifest may bring the key.
        let value = |key| data.get(key).copied().filter(|bytes| !bytes.is_empty());
        let (seed, created) = match (value(SEED_KEY), value(CREATED_KEY)) {
            (None, None) => return Self::Empty,
            (Some(_), None) => return Self::Malformed(format!("it has {SEED_KEY} and no {CREATED_KEY}")),
            (None, Some(_)) => return Self::Malformed(format!("it has {CREATED_KEY} and no {SEED_KEY}")),
            (Some(seed), Some(created)) => (seed, created),
        };
        let Ok(bytes) = seed.try_into() else {
            return Self::Malformed(format!("{SEED_KEY} has {} bytes instead of {SEED_BYTES}", seed.len()));
        };
        let time = std::str::from_utf8(created)
            .ok()
            .and_then(|text| text.trim().parse().ok());
        match time {
            Some(time) => Self::Seed(Seed::new(bytes, time)),
            None => Self::Malformed(format!("{CREATED_KEY} is no time, such as 2026-11-27T10:16:00Z")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(data: &[(&str, &[u8])]) -> Stored {
        Stored::read(data.iter().copied())
    }

    #[test]
    fn a_secret_without_content_is_empty_and_one_with_a_part_or_a_wrong_length_is_malformed() {
        let (seed, time): (&[u8], &[u8]) = (&[7; 32], b"2026-11-27T10:16:00Z");
        assert_eq!(read(&[]), Stored::Empty);
        assert_eq!(read(&[("seed", b""), ("note", b"ours")]), Stored::Empty);
        for (data, named) in [
            (vec![("seed", seed)], "no created"),
            (vec![("created", time)], "no seed"),
            (vec![("seed", &seed[..31]), ("created", time)], "31 bytes"),
            (vec![("seed", seed), ("created", b"yesterday")], "no time"),
        ] {
            let Stored::Malformed(why) = read(&data) else {
                panic!("{data:?}");
            };
            assert!(why.contains(named), "{why}");
        }
    }

    #[test]
    fn no_seed_shows_in_a_debug_text() {
        let text = format!("{:?}", Seed::new([0xAB; 32], Timestamp::UNIX_EPOCH));
        assert!(!text.contains("171") && !text.to_lowercase().contains("ab,"), "{text}");
    }

    proptest! {
        #[test]
        fn what_one_gatekeeper_writes_another_one_reads(bytes: [u8; 32], second in 0_i64..4_000_000_000, nano in 0_i32..1_000_000_000) {
            let seed = Seed::new(bytes, Timestamp::new(second, nano).unwrap());
            let data = seed.data();
            let read = Stored::read(data.iter().map(|(key, value)| (key.as_str(), value.as_slice())));
            prop_assert_eq!(read, Stored::Seed(seed));
        }
    }
}
