//! The limits of a rebooter's report.

use super::{Limited, MESSAGE_BYTES_MAX, WORD_BYTES_MAX, cut, cut_boot, cut_problem};
use crate::signature::KEYS_MAX;
use crate::wire;

/// Most kinds of reboot in a report: there are three.
pub const KINDS_MAX: usize = 8;

/// Longest message about one kind: a remedy with its commands. The problem of the report itself may be longer, since it quotes
/// other programs.
pub const KIND_MESSAGE_BYTES_MAX: usize = 1024;

impl Limited for wire::RebooterReport {
    fn limit(&mut self) {
        let Self {
            node: _,
            boot_id: _,
            reported_at: _,
            refresh_interval: _,
            method,
            problem,
            agent_version,
            preflight_problem,
            record_keys,
            boot,
            kinds,
            soft_reboots: _,
        } = self;
        cut_kinds(kinds);
        cut_boot(boot.as_mut());
        if let Some(wire::RecordKeys { ids }) = record_keys {
            ids.truncate(KEYS_MAX);
        }
        cut(method, WORD_BYTES_MAX);
        cut(problem, MESSAGE_BYTES_MAX);
        cut(agent_version, WORD_BYTES_MAX);
        cut_problem(preflight_problem.as_mut());
    }
}

fn cut_kinds(kinds: &mut Vec<wire::KindPreflight>) {
    kinds.truncate(KINDS_MAX);
    for wire::KindPreflight { kind: _, problem } in kinds {
        if let Some(wire::Problem { code: _, message }) = problem {
            cut(message, KIND_MESSAGE_BYTES_MAX);
        }
    }
}
