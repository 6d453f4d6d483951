//! A line of a scheduler's recording, which holds messages of the contract and views of Kubernetes objects.

use bellwether_scheduler_core::recording::Entry;

pub(crate) fn run(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return false;
    };
    match serde_json::from_str::<Entry>(text) {
        Ok(entry) => {
            let line = entry.to_line().expect("an entry has a line");
            assert!(!line.contains('\n'), "an entry has several lines");
            let again: Entry = serde_json::from_str(&line).expect("a line that was written is read");
            assert_eq!(again, entry);
            true
        }
        // The parser's error repeats a wrong word; the file is the operator's own.
        Err(_) => false,
    }
}
