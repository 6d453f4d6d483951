//! Recordings: all that a core was given, one line an entry, from which the same core comes again.
//!
//! The core is a function of its inputs and their times, so a recording of a night gives the same
//! effects wherever it is played. A line is JSON; messages of the contract are in it as base64 of
//! their protobuf body. This file reads and writes no files: lines in, lines out.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::effect::Effect;
use crate::fleet::Fleet;
use crate::input::Input;
use crate::policy::Policy;

/// One line of a recording.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Entry {
    /// A new core, as after a start, a reload or a change of leader.
    Start {
        /// Its policy.
        policy: Policy,
        /// The source of its events.
        source: String,
    },
    /// The core was given an input.
    Input {
        /// When.
        at: Timestamp,
        /// The input.
        input: Box<Input>,
    },
    /// The core was asked to decide.
    Advance {
        /// When.
        at: Timestamp,
    },
}

/// Why a recording cannot be played.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    /// A line is not an entry.
    #[error("line {line} is no entry of a recording")]
    Line {
        /// Its number, from 1.
        line: usize,
        /// What the parser found.
        #[source]
        source: serde_json::Error,
    },
    /// There is an input before the first start.
    #[error("line {line} comes before the first start")]
    NoStart {
        /// Its number, from 1.
        line: usize,
    },
}

impl Entry {
    /// The entry as one line, without its end.
    ///
    /// # Errors
    /// There are none for entries that the core can be given; the signature is the serializer's.
    pub fn to_line(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }
}

/// Plays a recording, and hands every effect to `effect` with the time at which the core asked for it.
/// Returns the core as it is at the end; none for a recording without a start.
///
/// # Errors
/// Names the line that cannot be read.
pub fn play(recording: &str, mut effect: impl FnMut(Timestamp, Effect)) -> Result<Option<Fleet>, RecordingError> {
    let mut fleet: Option<Fleet> = None;
    for (index, text) in recording.lines().enumerate() {
        let line = index.saturating_add(1);
        let entry = serde_json::from_str(text).map_err(|source| RecordingError::Line { line, source })?;
        let at = match entry {
            Entry::Start { policy, source } => {
                fleet = Some(Fleet::new(policy, source));
                continue;
            }
            Entry::Input { at, input } => {
                let fleet = fleet.as_mut().ok_or(RecordingError::NoStart { line })?;
                fleet.handle_input(*input, at);
                at
            }
            Entry::Advance { at } => {
                fleet.as_mut().ok_or(RecordingError::NoStart { line })?.advance(at);
                at
            }
        };
        while let Some(next) = fleet.as_mut().and_then(Fleet::poll_effect) {
            effect(at, next);
        }
    }
    Ok(fleet)
}
