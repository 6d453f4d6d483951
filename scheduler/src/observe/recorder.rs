//! The recording: everything that the core is given, in a file, for a report of a fault.
//!
//! Off by default. A recording holds names of nodes, reports and orders, and no credential. It ends at
//! its limit of size or at its first write error, and never stops the leader.

use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::path::Path;

use anyhow::Context as _;
use bellwether_scheduler_core::recording::Entry;
use bellwether_scheduler_core::{Effect, Fleet, Handled, Input, Policy};
use jiff::Timestamp;

/// How large a recording may grow: a night of 5,000 nodes, and less than a small volume holds.
const BYTES_MAX: usize = 256 * 1024 * 1024;

/// Where the recording goes, if there is one.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    file: Option<BufWriter<File>>,
    bytes: usize,
}

impl Recorder {
    /// Starts the recording of this replica in `folder`. The one before is kept as `<identity>.previous.jsonl`,
    /// since it ends with the fault that ended the process. Without a folder nothing is recorded.
    ///
    /// # Errors
    /// The file cannot be made.
    pub(crate) fn start(folder: Option<&Path>, identity: &str) -> anyhow::Result<Self> {
        let Some(folder) = folder else {
            return Ok(Self::default());
        };
        let path = folder.join(format!("{identity}.jsonl"));
        let remedy = || format!("--record-inputs: write {}: name a folder that exists", path.display());
        if path.try_exists().with_context(remedy)? {
            let previous = folder.join(format!("{identity}.previous.jsonl"));
            std::fs::rename(&path, previous).with_context(remedy)?;
        }
        let file = File::create(&path).with_context(remedy)?;
        tracing::info!(path = %path.display(), "All inputs are recorded");
        Ok(Self {
            file: Some(BufWriter::new(file)),
            bytes: 0,
        })
    }

    /// Writes an entry, unless nothing is recorded. `entry` is made only if it is needed.
    fn record(&mut self, entry: impl FnOnce() -> Entry) {
        let Some(file) = &mut self.file else { return };
        let written = entry().to_line().map_err(io::Error::other).and_then(|line| {
            writeln!(file, "{line}")?;
            Ok(line.len())
        });
        match written {
            Ok(length) => self.bytes = self.bytes.saturating_add(length),
            Err(error) => return self.end(&error.to_string()),
        }
        if self.bytes > BYTES_MAX {
            self.end("the recording has reached its limit of size");
        }
    }

    /// Makes sure that what was recorded is in the file.
    fn flush(&mut self) {
        if let Some(Err(error)) = self.file.as_mut().map(BufWriter::flush) {
            self.end(&error.to_string());
        }
    }

    fn end(&mut self, reason: &str) {
        tracing::warn!(reason, "Inputs are not recorded any more");
        self.file = None;
    }
}

/// A core with its recorder: whatever the core is given goes through here. Reading needs no
/// recording and goes to the core itself.
#[derive(Debug)]
pub(crate) struct RecordedFleet<'a> {
    fleet: Fleet,
    recorder: &'a mut Recorder,
}

impl<'a> RecordedFleet<'a> {
    pub(crate) fn new(policy: Policy, source: String, recorder: &'a mut Recorder) -> Self {
        recorder.record(|| Entry::Start {
            policy: policy.clone(),
            source: source.clone(),
        });
        Self {
            fleet: Fleet::new(policy, source),
            recorder,
        }
    }

    pub(crate) fn handle_input(&mut self, input: Input, at: Timestamp) -> Handled {
        self.recorder.record(|| Entry::Input {
            at,
            input: Box::new(input.clone()),
        });
        self.fleet.handle_input(input, at)
    }

    pub(crate) fn advance(&mut self, at: Timestamp) {
        self.recorder.record(|| Entry::Advance { at });
        self.recorder.flush();
        self.fleet.advance(at);
    }

    /// What the core was given to observe, for the next core.
    pub(crate) fn into_observed(self) -> impl Iterator<Item = Input> {
        self.fleet.into_observed()
    }

    pub(crate) fn poll_effect(&mut self) -> Option<Effect> {
        self.fleet.poll_effect()
    }
}

impl std::ops::Deref for RecordedFleet<'_> {
    type Target = Fleet;

    fn deref(&self) -> &Fleet {
        &self.fleet
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_is_missing_is_named_with_its_flag() {
        let error = Recorder::start(Some(Path::new("/nonexistent")), "one").unwrap_err();
        let error = format!("{error:#}");
        assert!(
            error.contains("--record-inputs") && error.contains("/nonexistent/one.jsonl"),
            "{error}"
        );
    }

    #[test]
    fn a_restart_keeps_the_recording_before() {
        let folder = std::env::temp_dir().join(format!("bellwether-recorder-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        for _ in 0..2 {
            let mut recorder = Recorder::start(Some(&folder), "one").unwrap();
            RecordedFleet::new(Policy::default(), "test".into(), &mut recorder).advance(Timestamp::UNIX_EPOCH);
        }
        let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
        let (now, before) = (read("one.jsonl"), read("one.previous.jsonl"));
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!(now, before);
        assert_eq!(now.lines().count(), 2);
    }

    #[test]
    fn a_write_error_ends_the_recording_and_not_the_leader() {
        // Every write to this device fails for want of space.
        let full = File::options().write(true).open("/dev/full").unwrap();
        let mut recorder = Recorder {
            file: Some(BufWriter::new(full)),
            bytes: 0,
        };
        let mut fleet = RecordedFleet::new(Policy::default(), "test".into(), &mut recorder);
        fleet.advance(Timestamp::UNIX_EPOCH);
        fleet.advance(Timestamp::UNIX_EPOCH);
        assert!(recorder.file.is_none());
    }
}
