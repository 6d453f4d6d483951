//! The text of subjects and the names of streams and buckets, which only `proto` may hold: elsewhere
//! a rename would miss them.

use anyhow::{Result, ensure};

use super::Finding;
use super::source::{Language, Source, numbered};

/// The crate that owns the text.
const OWNER: &str = "proto/";
/// The file that defines streams and buckets, or the folder of its parts.
const STREAMS: [&str; 2] = ["proto/src/stream.rs", "proto/src/stream/"];
/// How subjects begin.
const SUBJECTS: [&str; 2] = ["bellwether.v1.", "$KV."];

pub(super) fn check(sources: &[Source]) -> Result<Vec<Finding>> {
    let names = names(sources);
    ensure!(
        !names.is_empty(),
        "no name of a stream was found in {}: tidy has to learn where they are",
        STREAMS.join(" or ")
    );
    let is_rust = |source: &&Source| source.language == Language::Rust && !source.path.starts_with(OWNER);
    let mut found = vec![];
    for source in sources.iter().filter(is_rust) {
        for (number, line) in numbered(&source.rust.strings) {
            let subject = SUBJECTS.into_iter().find(|subject| line.contains(subject));
            let name = || names.iter().map(String::as_str).find(|name| has_word(line, name));
            if let Some(text) = subject.or_else(name) {
                found.push(Finding {
                    key: format!("subjects {}", source.path),
                    message: format!(
                        "{}:{number}: the text {text:?} belongs to proto: use its constants and functions",
                        source.path
                    ),
                });
            }
        }
    }
    Ok(found)
}

/// The names of streams and buckets, by the file that defines them.
fn names(sources: &[Source]) -> Vec<String> {
    let owners = sources
        .iter()
        .filter(|source| STREAMS.iter().any(|path| source.path.starts_with(path)));
    let mut names = vec![];
    for line in owners.flat_map(|source| source.rust.strings.lines()) {
        let is_name = |word: &&str| {
            let bare = word.strip_prefix("KV_").unwrap_or(word);
            bare.starts_with("bellwether_") || bare.starts_with("BELLWETHER_")
        };
        let words = line.split(|c: char| !super::rust::is_word(c)).filter(is_name);
        names.extend(words.map(str::to_owned));
    }
    names.sort();
    names.dedup();
    names
}

/// Whether the name stands there by itself, and not as a part of a longer one such as a metric's.
fn has_word(line: &str, name: &str) -> bool {
    line.contains(name) && line.split(|c: char| !super::rust::is_word(c)).any(|word| word == name)
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::tidy::source::Source;

    const STREAM: &str = "pub const HOSTS: &str = \"bellwether_hosts\";\nname: \"BELLWETHER_EVENTS\",\n";

    fn found(path: &str, rust: &str) -> Vec<String> {
        let sources = [
            Source::new("proto/src/stream.rs", STREAM).unwrap(),
            Source::new(path, rust).unwrap(),
        ];
        let found = check(&sources).unwrap();
        found.into_iter().map(|finding| finding.message).collect()
    }

    #[test]
    fn subject_text_outside_proto_is_found() {
        for text in [
            "bellwether.v1.evt.{node}.drained",
            "$KV.other.>",
            "bellwether_hosts",
            "see KV BELLWETHER_EVENTS",
        ] {
            let rust = format!("let a = 1;\nlet b = \"{text}\";\n");
            let found = found("drainer/src/wire.rs", &rust);
            assert_eq!(found.len(), 1, "{text}: {found:?}");
            assert!(found[0].starts_with("drainer/src/wire.rs:2: "), "{found:?}");
        }
    }

    #[test]
    fn proto_itself_comments_and_longer_names_are_fine() {
        let subject = "const A: &str = \"bellwether.v1.evt\";";
        assert!(found("proto/src/subject.rs", subject).is_empty());
        let other = "// bellwether_hosts\nlet a = \"bellwether_hosts_total\"; let b = \"BELLWETHER_EVENTS_MAX\";";
        assert!(found("scheduler/src/metrics.rs", other).is_empty());
    }

    #[test]
    fn without_the_names_of_streams_the_check_fails_instead_of_passing() {
        assert!(check(&[Source::new("a/src/b.rs", "").unwrap()]).is_err());
    }
}
