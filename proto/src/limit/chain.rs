//! The limits of the events that wait in a record until the stream has them.

use prost::Message as _;

use super::{Limited, MESSAGE_BYTES_MAX, ORDER_REASON_BYTES_MAX, PAYLOAD_BYTES_MAX, WORD_BYTES_MAX, cut, cut_list};
use crate::wire;

/// Most events that a node's record keeps: an attempt has seven phases. If the stream takes none for longer, the oldest is given
/// up, and the chain shows the gap: no reboot waits for an event.
pub const UNPUBLISHED_MAX: usize = 8;

/// Most events that the record of the orders keeps, if there is room for so many beside the orders: an operator, or a script,
/// holds each node of a fleet while the stream takes none. The stream keeps as many of them by default.
pub const ORDERS_UNPUBLISHED_MAX: usize = 256;

/// Longest body of such an event: with all its texts at their limits it has less. Eight of them fit into a record beside
/// all else.
pub const LINKED_EVENT_BYTES_MAX: usize = 10 * 1024;

/// A chain without its events, with the heads of its fields.
const CHAIN_HEAD_BYTES: usize = 64;

/// The head of the field of one event.
const BODY_HEAD_BYTES: usize = 8;

/// Most gates that an event or a record names as having held a node: more than a policy has. The newest stay.
pub const HELD_MAX: usize = 8;

/// Most orders that an event names as ended: so many of them fit into one. The scheduler ends no more of them at a time.
pub const ENDED_MAX: usize = 6;

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

pub(super) fn cut_chain(chain: Option<&mut wire::EventChain>, events_max: usize) {
    let Some(wire::EventChain {
        sequence: _,
        hash: _,
        unpublished,
    }) = chain
    else {
        return;
    };
    unpublished.retain(|body| body.len() <= LINKED_EVENT_BYTES_MAX);
    unpublished.drain(..unpublished.len().saturating_sub(events_max));
}

impl Limited for wire::OrderChanged {
    fn limit(&mut self) {
        let Self {
            at: _,
            source,
            link: _,
            change: _,
            by,
            reason,
            given,
            ended,
            node: _,
        } = self;
        cut(source, WORD_BYTES_MAX);
        cut(by, WORD_BYTES_MAX);
        cut(reason, ORDER_REASON_BYTES_MAX);
        if let Some(given) = given {
            given.limit();
        }
        cut_orders(ended);
    }
}

fn cut_orders(ended: &mut Vec<wire::FleetOrder>) {
    ended.truncate(ENDED_MAX);
    for order in ended {
        order.limit();
        // The event by which the order was given has all of it.
        cut(&mut order.reason, DETAIL_BYTES_MAX);
    }
}

/// Orders are never cut. Beside as many as there may be, each with the longest reason, a record has no room for events: then
/// one that the stream does not take at once is lost if the leader dies.
pub(super) fn fit_chain(control: &mut wire::FleetControl) {
    let rest = wire::FleetControl {
        event_chain: None,
        ..control.clone()
    };
    let Some(chain) = &mut control.event_chain else { return };
    let mut room = PAYLOAD_BYTES_MAX.saturating_sub(rest.encoded_len().saturating_add(CHAIN_HEAD_BYTES));
    let fitting = chain.unpublished.iter().rev().take_while(|body| {
        let needs = body.len().saturating_add(BODY_HEAD_BYTES);
        let fits = needs <= room;
        room = room.saturating_sub(needs);
        fits
    });
    let fitting = fitting.count();
    chain
        .unpublished
        .drain(..chain.unpublished.len().saturating_sub(fitting));
}
