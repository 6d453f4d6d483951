//! The limits of what a rebooter reports of each kind of reboot.

use super::cut;
use crate::wire;

/// Most kinds of reboot in a report: there are three.
pub const KINDS_MAX: usize = 8;

/// Longest message about one kind: a remedy with its commands. The problem of the report itself may be longer, since it quotes
/// other programs.
pub const KIND_MESSAGE_BYTES_MAX: usize = 1024;

pub(super) fn cut_kinds(kinds: &mut Vec<wire::KindPreflight>) {
    kinds.truncate(KINDS_MAX);
    for wire::KindPreflight { kind: _, problem } in kinds {
        if let Some(wire::Problem { code: _, message }) = problem {
            cut(message, KIND_MESSAGE_BYTES_MAX);
        }
    }
}
