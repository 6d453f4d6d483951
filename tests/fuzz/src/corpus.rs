//! The inputs that are kept: `corpus/NAME/*`, and the golden files of the contract.
//!
//! A file that ends in `.hex` holds its bytes in hex, so that the repository has no binary files; any other is the input
//! itself. Each input that broke a promise stays here, with the promise in its name.

use std::fs;
use std::path::{Path, PathBuf};

use bellwether_proto::{
    Attempt, DrainNode, FleetControl, HostReport, Message as _, NodeEvent, NodeToken, RebooterReport, TaintNode,
    UncordonNode, decode_body, header, subject,
};

/// The inputs of a target, by their names.
///
/// # Panics
/// A file cannot be read.
#[must_use]
pub fn of(target: &str) -> Vec<(String, Vec<u8>)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut inputs = Vec::new();
    for path in files(&root.join("corpus").join(target)) {
        let bytes = fs::read(&path).expect("a file of the corpus");
        let is_hex = path.extension().is_some_and(|it| it == "hex");
        inputs.push((name_of(&path), if is_hex { unhexed(&bytes) } else { bytes }));
    }
    if target == "bus" {
        let golden = root.join("../../proto/tests/golden");
        for folder in ["previous", "rejected", "before-codes"] {
            for path in files(&golden.join(folder)) {
                let text = fs::read_to_string(&path).expect("a golden file");
                inputs.extend(on_the_bus(&text).map(|bytes| (format!("{folder}-{}", name_of(&path)), bytes)));
            }
        }
    }
    inputs
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.expect("an entry").path())
        .filter(|it| it.is_file())
        .collect();
    files.sort();
    files
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn unhexed(text: &[u8]) -> Vec<u8> {
    let digits: Vec<u8> = text.iter().copied().filter(u8::is_ascii_hexdigit).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).expect("ASCII"), 16).expect("hex");
    digits.chunks(2).map(byte).collect()
}

/// A golden file as the target `bus` reads a message: on each subject of its type.
fn on_the_bus(text: &str) -> Option<Vec<u8>> {
    let mut lines = text.lines();
    let kind = lines.next()?;
    let (headers, body): (Vec<&str>, Vec<&str>) =
        lines.filter(|line| !line.is_empty()).partition(|it| it.contains(": "));
    let value = |name: &str| {
        headers
            .iter()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    };
    let body = unhexed(body.concat().as_bytes());
    let node: NodeToken = "node-1_rig".parse().ok()?;
    let subject = match kind {
        HostReport::TYPE => subject::sentinel_record(&node),
        RebooterReport::TYPE => subject::rebooter_record(&node),
        Attempt::TYPE => subject::attempt_record(&node),
        FleetControl::TYPE => subject::control_record(),
        DrainNode::TYPE => subject::drain_command(&node),
        UncordonNode::TYPE => subject::uncordon_command(&node),
        TaintNode::TYPE => subject::taint_command(&node),
        NodeEvent::TYPE => {
            let event: NodeEvent = decode_body(&body).ok()?;
            subject::event(&event.node.token(), &event.fact)
        }
        _ => return None,
    };
    let (kind, schema) = (
        value(header::TYPE).unwrap_or_default(),
        value(header::SCHEMA).unwrap_or_default(),
    );
    Some([format!("{subject}\n{kind}\n{schema}\n").as_bytes(), &body].concat())
}
