//! No bytes and no value of a field of any message can do harm: decoding never panics, a message that
//! decodes is encoded to the same meaning, and no message is too large for a NATS server.
//!
//! The messages come from the samples of the test `golden`, the fields from the `.proto` files: a new
//! field is tried here without a change of this test.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that panics has failed, as it should"
)]

mod field;
#[path = "../golden/file.rs"]
mod file;
mod kind;
mod size;
mod value;

use bellwether_proto::subject::Topic;
use proptest::prelude::*;
use prost_reflect::DynamicMessage;
use prost_reflect::prost::Message as _;

use kind::{KINDS, Sample, samples};

#[test]
fn every_type_of_message_on_the_bus_is_tried() {
    let tried: Vec<&str> = KINDS.iter().map(|kind| kind.name).collect();
    for sample in samples() {
        assert!(tried.contains(&sample.kind.name));
    }
    for kind in KINDS {
        assert!(
            samples().iter().any(|sample| sample.kind.name == kind.name),
            "no sample of {}",
            kind.name
        );
    }
}

#[test]
fn every_extreme_value_of_every_field_is_refused_or_kept() {
    let mut tried = (0, 0);
    for sample in samples() {
        for path in field::paths(&sample.message) {
            for value in value::extremes(&path) {
                let mut message = sample.message.clone();
                field::set(&mut message, &path, value);
                tried.0 += 1;
                tried.1 += usize::from(is_kept(&sample, &message));
            }
        }
    }
    // Otherwise the test would try nothing, or only values that are refused.
    assert!(tried.0 > 2_000 && tried.1 > 1_000, "{tried:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn any_bytes_are_refused_or_kept(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        for kind in KINDS {
            (kind.read_again)(&bytes).ok();
        }
    }

    #[test]
    fn a_message_with_changed_bytes_is_refused_or_kept(
        sample in prop::sample::select(samples()),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3_u8), 1..6),
    ) {
        let mut bytes = sample.bytes();
        for (place, byte, change) in changes {
            let place = place.index(bytes.len().max(1));
            match change {
                0 if place < bytes.len() => bytes[place] = byte,
                1 => bytes.insert(place, byte),
                _ => bytes.truncate(place),
            }
        }
        (sample.kind.read_again)(&bytes).ok();
    }

    #[test]
    fn a_message_with_several_extreme_values_is_refused_or_kept(
        sample in prop::sample::select(samples()),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 1..6),
    ) {
        let mut message = sample.message.clone();
        for (path, value) in changes {
            let paths = field::paths(&message);
            let path = path.get(&paths);
            let values = value::extremes(path);
            field::set(&mut message, path, value.get(&values).clone());
        }
        is_kept(&sample, &message);
    }

    #[test]
    fn any_subject_is_parsed_or_is_none_of_the_contract(
        tokens in prop::collection::vec(
            prop_oneof![
                prop::sample::select(vec!["bellwether", "v1", "cmd", "evt", "drain", "$KV", "bellwether_hosts", "", "*"])
                    .prop_map(str::to_owned),
                any::<String>(),
            ],
            0..7,
        ),
    ) {
        drop(Topic::parse(&tokens.join(".")));
    }
}

/// True if the message decodes; its meaning is compared with that of what is encoded again.
fn is_kept(sample: &Sample, message: &DynamicMessage) -> bool {
    (sample.kind.read_again)(&message.encode_to_vec()).is_ok()
}
