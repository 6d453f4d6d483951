//! Two neighbouring versions understand each other: what the previous release wrote is read today,
//! and what is written today is read by the previous release.
//!
//! `previous` holds that release: its messages as text, the names of all that is on the bus, and
//! its `.proto` files. How it is renewed is in `proto/README.md`, section Versions.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that panics has failed, as it should"
)]

mod codes;
mod file;
mod names;
mod records;
mod rejected;
mod samples;
mod signed;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use bellwether_proto::{Attempt, HostReport, Message as _, NodeEvent, header, wire};
use prost_reflect::{DescriptorPool, DynamicMessage, ReflectMessage as _, Value};

use file::File;

const PROTO_FILES: [&str; 6] = ["host", "attempt", "command", "event", "fleet", "problem"];

/// The enums of which readers reject an unknown value.
const CHECKED_ENUMS: [&str; 3] = ["Phase", "Cause", "DrainFailure"];

/// Enum values and kinds of events that today's readers know and that nobody writes yet: the
/// previous release would reject them. Once a release with such a reader is the previous one,
/// a writer may use them.
const READ_BUT_NOT_WRITTEN: [&str; 0] = [];

#[test]
fn what_the_previous_release_wrote_has_the_same_meaning_today() {
    for sample in samples::all() {
        let checked = (sample.check)(&stored(sample.name));
        assert_eq!(checked, Ok(()), "{}", sample.name);
    }
}

#[test]
fn every_phase_cause_and_failure_of_the_previous_release_is_read_today() {
    let previous = previous();
    for (number, word) in values(&previous, "Phase") {
        let mut wire = read::<wire::Attempt>("attempt-draining");
        wire.phase = number;
        assert_eq!(Attempt::from_wire(wire).unwrap().phase.as_str(), word);
    }
    for (number, word) in values(&previous, "Cause") {
        let mut wire = read::<wire::Attempt>("attempt-failed");
        wire.ending.as_mut().unwrap().cause = number;
        let ending = Attempt::from_wire(wire).unwrap().ending.unwrap();
        assert_eq!(ending.cause.as_str(), word);
    }
    for (number, word) in values(&previous, "DrainFailure") {
        let mut wire = read::<wire::NodeEvent>("event-drain-failed");
        let Some(wire::node_event::Fact::DrainFailed(failed)) = &mut wire.fact else {
            panic!("another fact");
        };
        failed.failure = number;
        let event = NodeEvent::from_wire(wire).unwrap();
        assert!(
            format!("{:?}", event.fact).contains(&format!("failure: {word},")),
            "{event:?}"
        );
    }
}

#[test]
fn what_is_written_today_means_the_same_to_the_previous_release() {
    let previous = previous();
    for sample in samples::all() {
        let stored = stored(sample.name);
        let old = known(&previous, &stored);
        assert_eq!(known(&previous, &sample.today), old, "{}", sample.name);
        let today = |name: &str| sample.today.headers.iter().find(|(key, _)| key == name);
        for (name, value) in &stored.headers {
            let (_, written) = today(name).unwrap_or_else(|| panic!("{}: {name} is not written", sample.name));
            if name == header::SCHEMA {
                let major = |version: &str| version.split('.').next().map(str::to_owned);
                assert_eq!(major(written), major(value), "{}", sample.name);
            } else {
                assert_eq!(written, value, "{}: {name}", sample.name);
            }
        }
    }
}

#[test]
fn no_value_is_written_today_that_the_previous_release_would_reject() {
    let (previous, today) = (previous(), pool(&root()));
    let all = |pool: &DescriptorPool| -> BTreeSet<String> {
        let values = CHECKED_ENUMS.iter().flat_map(|kind| values(pool, kind));
        let event = pool.get_message_by_name(NodeEvent::TYPE).unwrap();
        let facts = event.oneofs().flat_map(|oneof| oneof.fields().collect::<Vec<_>>());
        let facts = facts.map(|field| field.name().to_owned());
        values.map(|(_, word)| word).chain(facts).collect()
    };
    let new: BTreeSet<String> = &all(&today) - &all(&previous);
    let allowed: BTreeSet<String> = READ_BUT_NOT_WRITTEN.map(str::to_owned).into();
    assert_eq!(new, allowed, "let readers know it one release before it is written");
}

#[test]
fn all_that_the_previous_release_finds_on_the_bus_has_the_same_name_and_form_today() {
    let today = names::all();
    for line in fs::read_to_string(folder().join("names.txt")).unwrap().lines() {
        assert!(today.iter().any(|it| it == line), "gone or changed: {line}");
    }
}

#[test]
fn every_field_of_the_previous_release_is_in_a_sample() {
    let (mut kinds, mut set) = (BTreeSet::new(), BTreeSet::new());
    let previous = previous();
    for sample in samples::all() {
        let message = Value::Message(dynamic(&previous, &stored(sample.name)));
        fields(&message, &mut kinds, &mut set);
    }
    for kind in kinds {
        for field in previous.get_message_by_name(&kind).unwrap().fields() {
            assert!(set.contains(field.full_name()), "no sample sets {}", field.full_name());
        }
    }
}

#[test]
fn a_newer_minor_schema_is_read_and_another_major_is_not() {
    let stored = stored("host-report-needing");
    let read = |schema: &str| {
        let header = |name: &'static str| match name {
            header::SCHEMA => Some(schema),
            name => stored
                .headers
                .iter()
                .find(|(key, _)| key == name)
                .map(|(_, value)| value.as_str()),
        };
        bellwether_proto::decode::<HostReport>(header, &stored.body)
    };
    assert!(read("1.0").is_ok() && read("1.7").is_ok());
    assert!(read("2.0").is_err() && read("0.9").is_err());
}

/// Makes today's version the previous one. Only for a release: see `proto/README.md`.
#[test]
#[ignore = "writes files: run it by name at a release"]
fn renew() {
    let folder = folder();
    let protos = folder.join("bellwether/v1");
    drop(fs::remove_dir_all(&folder));
    fs::create_dir_all(&protos).unwrap();
    for name in PROTO_FILES {
        let name = format!("{name}.proto");
        fs::copy(root().join("bellwether/v1").join(&name), protos.join(&name)).unwrap();
    }
    for sample in samples::all() {
        assert_eq!(
            sample.today, sample.file,
            "{}: move what it adds into the sample",
            sample.name
        );
        fs::write(path(sample.name), sample.file.to_string()).unwrap();
    }
    fs::write(folder.join("names.txt"), names::all().join("\n") + "\n").unwrap();
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

fn folder() -> PathBuf {
    root().join("tests/golden/previous")
}

fn path(sample: &str) -> PathBuf {
    folder().join(format!("{sample}.txt"))
}

fn stored(sample: &str) -> File {
    let path = path(sample);
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.parse().unwrap()
}

fn read<W: prost::Message + Default>(sample: &str) -> W {
    W::decode(stored(sample).body.as_slice()).unwrap()
}

fn previous() -> DescriptorPool {
    pool(&folder())
}

fn pool(folder: &Path) -> DescriptorPool {
    // The previous release may lack a file that came since.
    let files = PROTO_FILES.map(|name| format!("bellwether/v1/{name}.proto"));
    let files = files.iter().filter(|name| folder.join(name).is_file());
    DescriptorPool::from_file_descriptor_set(protox::compile(files, [folder]).unwrap()).unwrap()
}

/// Number of each value but the unspecified one, and its word in today's code.
fn values(pool: &DescriptorPool, kind: &str) -> Vec<(i32, String)> {
    let kind = pool.get_enum_by_name(&format!("bellwether.v1.{kind}")).unwrap();
    let common = kind
        .get_value(0)
        .unwrap()
        .name()
        .trim_end_matches("UNSPECIFIED")
        .to_owned();
    let values = kind.values().filter(|value| value.number() != 0);
    let capital = |part: &str| {
        let (first, rest) = part.split_at(1);
        first.to_owned() + &rest.to_lowercase()
    };
    let word = |name: &str| -> String { name.trim_start_matches(&common).split('_').map(capital).collect() };
    values.map(|value| (value.number(), word(value.name()))).collect()
}

fn dynamic(pool: &DescriptorPool, file: &File) -> DynamicMessage {
    let kind = pool.get_message_by_name(&file.kind).unwrap();
    DynamicMessage::decode(kind, file.body.as_slice()).unwrap()
}

/// All that the pool understands of a message, one line for each value; the rest is left out, as
/// a reader does.
fn known(pool: &DescriptorPool, file: &File) -> Vec<String> {
    let mut lines = Vec::new();
    flatten(&Value::Message(dynamic(pool, file)), &file.kind, &mut lines);
    lines
}

fn flatten(value: &Value, path: &str, lines: &mut Vec<String>) {
    if let Some(message) = value.as_message() {
        for (field, value) in message.fields() {
            flatten(value, &format!("{path}.{}", field.name()), lines);
        }
        lines.push(format!("{path} is there"));
    } else if let Some(values) = value.as_list() {
        for (index, value) in values.iter().enumerate() {
            flatten(value, &format!("{path}[{index}]"), lines);
        }
    } else {
        lines.push(format!("{path} = {value:?}"));
    }
}

/// Which kinds of messages of ours are in a message, and which of their fields are set.
fn fields(value: &Value, kinds: &mut BTreeSet<String>, set: &mut BTreeSet<String>) {
    if let Some(message) = value.as_message() {
        let kind = message.descriptor().full_name().to_owned();
        if kind.starts_with("bellwether.") {
            kinds.insert(kind);
        }
        for (field, inner) in message.fields() {
            set.insert(field.full_name().to_owned());
            fields(inner, kinds, set);
        }
    }
    for value in value.as_list().unwrap_or_default() {
        fields(value, kinds, set);
    }
}
