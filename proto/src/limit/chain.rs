//! The limits of the events that wait in a record until the stream has them.

use super::{MESSAGE_BYTES_MAX, WORD_BYTES_MAX, cut, cut_list};
use crate::wire;

/// Most events that a record keeps: an attempt has seven phases. If the stream takes none for longer, the oldest is given
/// up, and the chain shows the gap: no reboot waits for an event.
pub const UNPUBLISHED_MAX: usize = 8;

/// Longest body of such an event: with all its texts at their limits it has less. Eight of them fit into a record beside
/// all else.
pub const LINKED_EVENT_BYTES_MAX: usize = 10 * 1024;

/// Most gates that an event or a record names as having held a node: more than a policy has. The newest stay.
pub const HELD_MAX: usize = 8;

/// Longest text about a gate, or of an order, in an event: eight of them fit beside the message.
pub(super) const DETAIL_BYTES_MAX: usize = 200;

/// Most packages that an event names: the record has all.
const DETAIL_REASONS_MAX: usize = 5;

/// Longest name of a package in an event.
const PACKAGE_BYTES_MAX: usize = 64;

/// Longest boot id: an id is not longer.
const BOOT_BYTES_MAX: usize = 64;

/// Longest code of a gate. Those of this version have half of it.
pub(super) const CODE_BYTES_MAX: usize = 63;

pub(super) fn cut_phase(changed: &mut wire::PhaseChanged) {
    let wire::PhaseChanged {
        from: _,
        to: _,
        message,
        link: _,
        cause: _,
        start,
        end,
        by,
    } = changed;
    cut(message, MESSAGE_BYTES_MAX);
    cut(by, WORD_BYTES_MAX);
    if let Some(start) = start {
        cut_start(start);
    }
    if let Some(wire::AttemptEnd {
        started_at: _,
        ordered_at: _,
        boot_id_before,
        boot_id_after,
        kernel_before,
        kernel_after,
        need_since: _,
    }) = end
    {
        for boot in [boot_id_before, boot_id_after] {
            cut(boot, BOOT_BYTES_MAX);
        }
        for kernel in [kernel_before, kernel_after] {
            cut(kernel, WORD_BYTES_MAX);
        }
    }
}

fn cut_start(start: &mut wire::AttemptStart) {
    let wire::AttemptStart {
        policy,
        policy_generation: _,
        need_since: _,
        need_first_since: _,
        reasons,
        held,
        order,
    } = start;
    cut(policy, WORD_BYTES_MAX);
    cut_list(reasons, DETAIL_REASONS_MAX, PACKAGE_BYTES_MAX);
    cut_held(held);
    if let Some(wire::StartOrder {
        kind: _,
        by,
        reason,
        since: _,
    }) = order
    {
        cut(by, WORD_BYTES_MAX);
        cut(reason, DETAIL_BYTES_MAX);
    }
}

/// Keeps the newest gates.
pub(super) fn cut_held(held: &mut Vec<wire::GateHeld>) {
    held.drain(..held.len().saturating_sub(HELD_MAX));
    for wire::GateHeld {
        code,
        message,
        since: _,
        until: _,
        times: _,
    } in held
    {
        cut(code, CODE_BYTES_MAX);
        cut(message, DETAIL_BYTES_MAX);
    }
}

pub(super) fn cut_chain(chain: Option<&mut wire::EventChain>) {
    let Some(wire::EventChain {
        sequence: _,
        hash: _,
        unpublished,
    }) = chain
    else {
        return;
    };
    unpublished.retain(|body| body.len() <= LINKED_EVENT_BYTES_MAX);
    unpublished.drain(..unpublished.len().saturating_sub(UNPUBLISHED_MAX));
}
