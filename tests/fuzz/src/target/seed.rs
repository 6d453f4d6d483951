//! The content of the gatekeepers' Secret: the time on a line, then the random bytes.

use bellwether_gatekeeper_core::seed::{CREATED_KEY, SEED_BYTES, SEED_KEY};
use bellwether_gatekeeper_core::{Keys, Seed, Stored};

use crate::judge;

pub(crate) fn run(bytes: &[u8]) -> bool {
    let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    let (created, seed) = bytes.split_at(end);
    let seed = seed.get(1..).unwrap_or_default();
    match Stored::read([(CREATED_KEY, created), (SEED_KEY, seed)]) {
        Stored::Empty => false,
        Stored::Malformed(fault) => {
            judge::error(&fault);
            let other: Vec<u8> = seed.iter().map(|byte| !byte).collect();
            let of_other = Stored::read([(CREATED_KEY, created), (SEED_KEY, other.as_slice())]);
            assert_eq!(of_other, Stored::Malformed(fault), "a fault depends on what is secret");
            false
        }
        Stored::Seed(read) => {
            same(&read);
            let keys = Keys::derive(&read).expect("keys follow from every seed");
            let other = Seed::new([0; SEED_BYTES], read.created);
            assert_eq!(
                format!("{read:?}"),
                format!("{other:?}"),
                "a text depends on what is secret"
            );
            judge::plain(&format!("{keys:?}"));
            true
        }
    }
}

/// Each replica reads what the first one has written.
fn same(seed: &Seed) {
    let data = seed.data();
    let again = Stored::read(data.iter().map(|(key, value)| (key.as_str(), value.as_slice())));
    assert_eq!(again, Stored::Seed(seed.clone()));
}
