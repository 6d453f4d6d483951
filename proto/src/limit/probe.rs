//! The limits of the results of probes in a sentinel's report.

use super::{WORD_BYTES_MAX, cut, cut_list};
use crate::wire;

/// Most probes in a report: each is a way to see a need, and there are four kinds.
pub const PROBES_MAX: usize = 16;

/// Longest name of a probe: that of a label of DNS.
pub const PROBE_NAME_BYTES_MAX: usize = 63;

/// Most reasons of one probe: those of all probes have to fit into a message of an agent, and the need of the host has all
/// reasons once more. The last entry counts the rest.
pub const PROBE_REASONS_MAX: usize = 5;

/// Longest message about the problem of one probe, for the same reason.
pub const PROBE_MESSAGE_BYTES_MAX: usize = 512;

/// Most services whose restart would do: an operator reads the first ones, and the host lists all.
pub const SERVICES_MAX: usize = 20;

pub(super) fn cut_services(services: &mut Vec<String>) {
    cut_list(services, SERVICES_MAX, WORD_BYTES_MAX);
}

pub(super) fn cut_probe(result: &mut wire::ProbeResult) {
    let wire::ProbeResult {
        name,
        kind,
        need,
        problem,
    } = result;
    cut(name, PROBE_NAME_BYTES_MAX);
    cut(kind, PROBE_NAME_BYTES_MAX);
    if let Some(wire::ProbeNeed {
        since: _,
        reasons,
        undated: _,
        kernel_change: _,
    }) = need
    {
        cut_list(reasons, PROBE_REASONS_MAX, WORD_BYTES_MAX);
    }
    if let Some(wire::Problem { code: _, message }) = problem {
        cut(message, PROBE_MESSAGE_BYTES_MAX);
    }
}
