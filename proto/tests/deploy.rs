//! What the manifests and pages name is what the contract defines: settings, streams, subjects, the Lease.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed, as it should")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use bellwether_proto::stream::STREAMS;
use bellwether_proto::{mark, setting};

/// The files below a folder of the repository that operators read or apply, with their text.
fn texts(folder: &str) -> Vec<(PathBuf, String)> {
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(folder)];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let is_text = path
                .extension()
                .is_some_and(|it| ["yaml", "md", "json", "tpl"].iter().any(|known| it == *known));
            if path.is_dir() {
                folders.push(path);
            } else if is_text {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
    }
    assert!(found.len() > 5, "{folder} is not where it was");
    found
}

/// The words of a text that begin with this prefix: of letters, digits and `_`.
fn words<'a>(text: &'a str, prefix: &'a str) -> impl Iterator<Item = &'a str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(move |word| word.starts_with(prefix) && word.len() > prefix.len())
}

#[test]
fn every_setting_that_a_manifest_or_page_names_is_read_by_a_program() {
    let streams = STREAMS.map(|stream| stream.name);
    let known: BTreeSet<&str> = setting::ALL.iter().copied().chain(streams).collect();
    // Of the repository's own commands, not of a program of the cluster.
    let ours = [
        "BELLWETHER_CACHE",
        "BELLWETHER_AGAINST",
        "BELLWETHER_DEBIAN_MIRROR",
        "BELLWETHER_NODE_SECONDS",
    ];
    let mut named = BTreeSet::new();
    for (path, text) in ["deploy", "docs"].into_iter().flat_map(texts) {
        for word in words(&text, setting::PREFIX) {
            let is_known = known.contains(word) || ours.contains(&word);
            assert!(is_known, "{}: nothing reads {word}", path.display());
            named.insert(word.to_owned());
        }
    }
    for must in [setting::NATS_URL, setting::NODE_NAME, setting::IDENTITY] {
        assert!(named.contains(must), "no manifest sets {must}");
    }
}

#[test]
fn every_bucket_that_a_manifest_or_page_names_is_one_of_the_contract() {
    let known = STREAMS.map(|stream| stream.name);
    let mut named = BTreeSet::new();
    for (path, text) in ["deploy", "docs"].into_iter().flat_map(texts) {
        for word in words(&text, "KV_") {
            assert!(known.contains(&word), "{}: {word} is no bucket", path.display());
            named.insert(word.to_owned());
        }
    }
    assert_eq!(named.len(), 2, "the page on removal names both buckets: {named:?}");
}

#[test]
fn no_manifest_holds_the_text_of_a_subject() {
    // Permissions in NATS, once a manifest brings users, are made of `permission`, and compared with it here.
    for (path, text) in texts("deploy") {
        for subject in ["$KV.", "$JS.", "bellwether.v1."] {
            assert!(!text.contains(subject), "{}: {subject}", path.display());
        }
    }
}

#[test]
fn the_manifests_grant_the_lease_of_the_contract() {
    let rule = format!("resourceNames: [{}]", mark::LEASE);
    let files = texts("deploy/base");
    let granted: Vec<_> = files.iter().filter(|(_, text)| text.contains(&rule)).collect();
    assert_eq!(
        granted.len(),
        2,
        "to the scheduler, and to operators who look for the leader"
    );
}
