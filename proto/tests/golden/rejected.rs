//! Messages that every reader rejects, as plain files for a writer in any language.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use bellwether_proto::{Attempt, DrainNode, Message, NodeName, UncordonNode, decode, subject};

use crate::file::File;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/rejected")
}

/// Whether a reader takes the message on the subject of this node.
fn is_read<M: Message>(file: &File, node: impl Fn(&M) -> &NodeName, own: &NodeName) -> bool {
    let header = |name: &'static str| {
        let mut found = file.headers.iter().filter(|(key, _)| key == name);
        found.next().map(|(_, value)| value.as_str())
    };
    let message = decode::<M>(header, &file.body);
    message.is_ok_and(|message| subject::same_node(&own.token(), node(&message)).is_ok())
}

#[test]
fn each_message_of_the_list_is_rejected_and_the_list_is_complete() {
    let own: NodeName = "node-1.rig".parse().unwrap();
    let list = fs::read_to_string(folder().join("list.txt")).unwrap();
    let mut listed = BTreeSet::from(["list.txt".to_owned()]);
    for line in list.lines().filter(|line| !line.starts_with('#')) {
        let words: Vec<&str> = line.split(" | ").collect();
        let [name, kind, _why] = words[..] else {
            panic!("not three columns: {line}")
        };
        let text = fs::read_to_string(folder().join(format!("{name}.txt"))).unwrap();
        let file: File = text.parse().unwrap();
        let read = match kind {
            "drain" => is_read::<DrainNode>(&file, |it| &it.attempt.node, &own),
            "uncordon" => is_read::<UncordonNode>(&file, |it| &it.attempt.node, &own),
            "attempt" => is_read::<Attempt>(&file, |it| &it.node, &own),
            other => panic!("{name} is on a subject of the unknown kind {other}"),
        };
        assert!(!read, "{line}: it is read");
        assert!(listed.insert(format!("{name}.txt")), "{name} is listed twice");
    }
    let files = fs::read_dir(folder()).unwrap();
    let files: BTreeSet<String> = files.map(|it| it.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(files, listed);
}
