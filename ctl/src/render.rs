//! The responses as text for operators: pure functions from messages and the time to text.

use std::fmt::Write as _;

use bellwether_check::text::{NOTHING, between, instant, one_line, paused, phase};
use bellwether_proto::{RebootKind, wire};
use comfy_table::{Table, presets};
use jiff::Timestamp;

use crate::time::{age, full};
use crate::vocabulary::{self, or_nothing};
use crate::{boot, drain, probe};

/// Spaces between two columns, as in kubectl.
const GAP: u16 = 3;
/// Where the values of `explain` begin.
const LABEL_WIDTH: usize = 17;
/// How much of a reason fits into the fleet's table; `explain` and the wide output have all of it.
const REASON_MAX: usize = 100;
/// How many orders by annotation precede the fleet's table.
const ANNOTATED_MAX: usize = 20;

/// The turn of a node that is left over.
const DOES_NOT_FIT: &str =
    "not in the present or next opening of its policy, which is too short for the nodes that wait";

/// The fleet: one line of slots and pause, then a line for each node.
pub(crate) fn status(fleet: &wire::ListNodesResponse, wide: bool, now: Timestamp) -> String {
    let mut text = slots(fleet, now);
    if fleet.nodes.is_empty() {
        text.push_str("No nodes.\n");
        return text;
    }
    let mut header = vec!["NODE", "STATUS", "STATE", "SINCE", "REASON", "KERNEL"];
    if wide {
        header.extend(["INSTALLED", "OS", "BOOT ID", "ATTEMPT"]);
    }
    let rows = fleet.nodes.iter().map(|node| {
        let mut row = vec![
            node.node.clone(),
            vocabulary::node_status(node).to_owned(),
            vocabulary::state(node),
            age(vocabulary::state_since(node), now),
            if wide {
                vocabulary::reason(node)
            } else {
                clipped(&vocabulary::reason(node))
            },
            or_nothing(&node.kernel_running),
        ];
        if wide {
            row.extend([
                or_nothing(&node.kernel_installed),
                or_nothing(&node.os),
                or_nothing(&node.boot_id),
                node.attempt
                    .as_ref()
                    .map_or_else(|| NOTHING.to_owned(), |attempt| attempt.attempt_id.clone()),
            ]);
        }
        row
    });
    text.push_str(&table(&header, rows));
    text
}

/// The slots, the pause and the notice of the whole fleet.
pub(crate) fn slots(fleet: &wire::ListNodesResponse, now: Timestamp) -> String {
    let mut text = format!("Slots taken: {}/{}.", fleet.slots_taken, fleet.slots_total);
    if let Some(control) = fleet.control.as_ref().filter(|control| control.paused) {
        text.push_str(&format!(" {}", paused(control, now)));
    }
    text.push('\n');
    let orders = fleet
        .control
        .as_ref()
        .map(|control| control.orders.as_slice())
        .unwrap_or_default();
    // The pause of the fleet has its own words above.
    for standing in orders.iter().filter(|order| !order.subject.is_empty()) {
        text.push_str(&format!("{}\n", order(standing, now)));
    }
    text.push_str(&annotated_orders(fleet, now));
    if !fleet.notice.is_empty() {
        text.push_str(&format!("Nothing new is decided: {}\n", one_line(&fleet.notice)));
    }
    text
}

/// A line for each order that a Node carries as an annotation. More than a screen of them are counted: each is about a
/// node that has a line of its own.
fn annotated_orders(fleet: &wire::ListNodesResponse, now: Timestamp) -> String {
    let orders = fleet.nodes.iter().flat_map(|node| &node.orders);
    let orders: Vec<_> = orders.filter(|order| !order.annotation.is_empty()).collect();
    let shown = orders.iter().take(ANNOTATED_MAX);
    let mut text: String = shown.map(|order| format!("{}\n", node_order(order, now))).collect();
    if let Some(more) = orders.len().checked_sub(ANNOTATED_MAX).filter(|more| *more > 0) {
        text.push_str(&format!("And {more} more orders by annotation: -o json shows all.\n"));
    }
    text
}

/// An order about one node with its source, in one line.
fn node_order(of_node: &wire::NodeOrder, now: Timestamp) -> String {
    let mut text = of_node
        .order
        .as_ref()
        .map_or_else(String::new, |standing| order(standing, now));
    if !of_node.annotation.is_empty() {
        text.push_str(&format!(" (annotation {})", of_node.annotation));
    }
    if !of_node.fault.is_empty() {
        text.push_str(&format!("; {}", one_line(&of_node.fault)));
    }
    text
}

/// A standing order, in one line.
pub(crate) fn order(order: &wire::FleetOrder, now: Timestamp) -> String {
    let act = match wire::OrderKind::try_from(order.kind) {
        Ok(wire::OrderKind::Approve) => "Approved",
        Ok(wire::OrderKind::Now) => "To be rebooted now",
        Ok(wire::OrderKind::Skip) => "Skipped",
        Ok(wire::OrderKind::Block | wire::OrderKind::Unspecified)
            if order.scope == i32::from(wire::OrderScope::Node) =>
        {
            "Held"
        }
        Ok(wire::OrderKind::Block | wire::OrderKind::Unspecified) => "Paused",
        Err(_) => "Blocked by an order of a newer version",
    };
    let subject = match wire::OrderScope::try_from(order.scope) {
        Ok(wire::OrderScope::Policy) => format!(": policy {}", order.subject),
        Ok(wire::OrderScope::Node) => format!(": node {}", order.subject),
        Ok(wire::OrderScope::Fleet | wire::OrderScope::Unspecified) | Err(_) => String::new(),
    };
    let since = instant(order.since).map_or_else(String::new, |since| format!(" {} ago", between(since, now)));
    let until = instant(order.until).map_or_else(String::new, |until| format!(", until {}", full(Some(until))));
    let reason = match order.reason.as_str() {
        "" => String::new(),
        reason => format!(": {reason}"),
    };
    let by = if order.by.is_empty() { NOTHING } else { &order.by };
    one_line(&format!("{act}{subject}, by {by}{since}{until}{reason}"))
}

/// The beginning of a reason, with a mark if that is not all.
pub(crate) fn clipped(text: &str) -> String {
    match text.char_indices().nth(REASON_MAX) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default().trim_end()),
        None => text.to_owned(),
    }
}

/// A node: state, drain, attempt, past events.
pub(crate) fn explain(story: &wire::ExplainNodeResponse, wide: bool, now: Timestamp) -> String {
    let mut text = String::new();
    if let Some(node) = &story.status {
        text.push_str(&node_lines(node, wide, now));
        if let Some(progress) = &node.drain {
            text.push_str(&drain_lines(progress));
        }
        if let Some(attempt) = &node.attempt {
            text.push_str(&attempt_lines(attempt, wide, now));
        }
    }
    if story.events.is_empty() {
        text.push_str(&labelled("Events", "none"));
        return text;
    }
    text.push_str("Events:\n");
    let rows = story.events.iter().map(|event| {
        let when = if wide {
            full(instant(event.at))
        } else {
            age(instant(event.at), now)
        };
        vec![
            when,
            vocabulary::event(event).to_owned(),
            or_nothing(&event.source),
            vocabulary::event_message(event),
        ]
    });
    let when = if wide { "AT" } else { "AGE" };
    text.push_str(&indented(&table(&[when, "EVENT", "FROM", "MESSAGE"], rows)));
    text
}

/// An event of `watch`, as one line.
pub(crate) fn event(event: &wire::NodeEvent) -> String {
    let at = full(instant(event.at));
    format!(
        "{at}  {}  {}  {}\n",
        event.node,
        vocabulary::event(event),
        vocabulary::event_message(event)
    )
}

fn node_lines(node: &wire::NodeStatus, wide: bool, now: Timestamp) -> String {
    let mut text = labelled("Node", &node.node);
    text.push_str(&labelled("Status", vocabulary::node_status(node)));
    let state = match vocabulary::state_since(node) {
        Some(since) => format!("{} for {}", vocabulary::state(node), between(since, now)),
        None => vocabulary::state(node),
    };
    text.push_str(&labelled("State", &state));
    if let Some(reason) = &node.reason {
        let message = one_line(&reason.message);
        let since = age(instant(reason.since), now);
        text.push_str(&labelled(
            "Reason",
            &format!("{}: {message} (for {since})", reason.code),
        ));
    }
    for further in &node.further_reasons {
        let since = match instant(further.since) {
            Some(since) => format!(" (for {})", between(since, now)),
            None => String::new(),
        };
        let line = format!("{}: {}{since}", further.code, one_line(&further.message));
        text.push_str(&labelled("Also", &line));
    }
    for of_node in &node.orders {
        text.push_str(&labelled("Order", &node_order(of_node, now)));
    }
    if !node.policy.is_empty() {
        text.push_str(&labelled("Policy", &node.policy));
    }
    if let Some(start) = instant(node.expected_start) {
        let start = if start > now {
            format!("about {}, in {}", full(Some(start)), between(now, start))
        } else {
            "now".to_owned()
        };
        text.push_str(&labelled("Expected start", &start));
    } else if node.does_not_fit {
        text.push_str(&labelled("Expected start", DOES_NOT_FIT));
    }
    let required = if !node.reboot_required {
        "no".to_owned()
    } else {
        let by = if node.required_by.is_empty() {
            String::new()
        } else {
            format!(" by {}", node.required_by.join(", "))
        };
        one_line(&format!("for {}{by}", age(instant(node.required_since), now)))
    };
    text.push_str(&labelled("Reboot required", &required));
    for result in &node.probes {
        text.push_str(&labelled("Probe", &probe::line(result, now)));
    }
    if !node.services_to_restart.is_empty() {
        let services = one_line(&node.services_to_restart.join(", "));
        text.push_str(&labelled(
            "To restart",
            &format!("{services} (no reboot is needed for these)"),
        ));
    }
    let installed = &node.kernel_installed;
    let kernel = if installed.is_empty() || *installed == node.kernel_running {
        or_nothing(&node.kernel_running)
    } else {
        format!(
            "{} (installed: {})",
            or_nothing(&node.kernel_running),
            one_line(installed)
        )
    };
    text.push_str(&labelled("Kernel", &kernel));
    text.push_str(&labelled("OS", &or_nothing(&node.os)));
    if let Some(report) = &node.boot {
        text.push_str(&lines(boot::lines(report, units_before(node))));
    }
    if wide {
        text.push_str(&labelled("Boot id", &or_nothing(&node.boot_id)));
    }
    text
}

/// The units that had failed before the boot that runs, if the last attempt has led to it.
fn units_before(node: &wire::NodeStatus) -> Option<&[String]> {
    let attempt = node.attempt.as_ref()?;
    let is_soft = !attempt.boot_id_after.is_empty() && attempt.boot_id_after == node.boot_id;
    let rebooted = attempt.boot_id_before != node.boot_id || is_soft;
    let before = attempt.units_before.as_ref().filter(|_| rebooted)?;
    Some(&before.failed_units)
}

fn drain_lines(progress: &wire::DrainProgressed) -> String {
    lines(drain::progress_lines(progress))
}

fn lines(lines: Vec<(&'static str, String)>) -> String {
    let lines = lines.iter().map(|(label, value)| labelled(label, value));
    lines.collect()
}

fn attempt_lines(attempt: &wire::Attempt, wide: bool, now: Timestamp) -> String {
    let mut text = labelled("Attempt", &attempt.attempt_id);
    if !attempt.kernel_after.is_empty() {
        let kernels = format!(
            "{} before, {} after",
            or_nothing(&attempt.kernel_before),
            or_nothing(&attempt.kernel_after)
        );
        text.push_str(&labelled("Kernels", &kernels));
    }
    text.push_str(&labelled("Slot", if attempt.slot_held { "held" } else { "free" }));
    if let Some(report) = &attempt.drain_report {
        text.push_str(&lines(drain::report_lines(report)));
    }
    if let Some(ending) = &attempt.ending {
        let ending = vocabulary::with_message(vocabulary::cause(ending.cause), &ending.message);
        text.push_str(&labelled("Ending", &ending));
    }
    let after_timeout = vocabulary::after_timeout(attempt.drain_terms);
    if after_timeout != "Restore" {
        text.push_str(&labelled("On drain timeout", &after_timeout));
    }
    if !attempt.left_behind.is_empty() {
        text.push_str(&labelled("Pods left behind", &one_line(&attempt.left_behind)));
    }
    let kind = RebootKind::from_wire(attempt.reboot_kind);
    if kind != RebootKind::Full {
        text.push_str(&labelled("Reboot kind", &kind.to_string()));
    }
    if attempt.failures_in_row > 0 {
        let times = if attempt.failures_in_row == 1 { "time" } else { "times" };
        let in_vain = format!("{} {times} in a row", attempt.failures_in_row);
        text.push_str(&labelled("Tried in vain", &in_vain));
    }
    if let Some(retry) = instant(attempt.retry_not_before).filter(|retry| *retry > now) {
        text.push_str(&labelled("Next try", &format!("not before {}", full(Some(retry)))));
    }
    if let Some(deadline) = instant(attempt.deadline) {
        let left = if deadline > now {
            format!("in {}", between(now, deadline))
        } else {
            "over".to_owned()
        };
        text.push_str(&labelled("Phase deadline", &left));
    }
    if wide {
        text.push_str(&labelled("Boot before", &or_nothing(&attempt.boot_id_before)));
        text.push_str(&labelled("Boot after", &or_nothing(&attempt.boot_id_after)));
        text.push_str(&labelled("Generation", &attempt.generation.to_string()));
        text.push_str(&labelled("Trace", &or_nothing(&attempt.traceparent)));
    }
    text.push_str("Phases:\n");
    text.push_str(&indented(&phases(attempt, now)));
    text
}

/// Each phase with the time until the next one; an ended phase takes no time.
fn phases(attempt: &wire::Attempt, now: Timestamp) -> String {
    let ends = attempt
        .history
        .iter()
        .skip(1)
        .map(|next| instant(next.at))
        .chain([None]);
    let rows = attempt.history.iter().zip(ends).map(|(entered, end)| {
        let ended = bellwether_proto::Phase::from_wire(entered.phase).is_some_and(bellwether_proto::Phase::is_ended);
        let took = match (instant(entered.at), end) {
            (Some(at), Some(end)) => between(at, end),
            (Some(at), None) if !ended => format!("{} so far", between(at, now)),
            (Some(_) | None, _) => NOTHING.to_owned(),
        };
        vec![phase(entered.phase), full(instant(entered.at)), took]
    });
    table(&["PHASE", "ENTERED", "TOOK"], rows)
}

fn labelled(label: &str, value: &str) -> String {
    format!("{:<LABEL_WIDTH$}{value}\n", format!("{label}:"))
}

fn indented(text: &str) -> String {
    text.lines().fold(String::new(), |mut all, line| {
        // Writing to a String cannot fail.
        writeln!(all, "  {line}").unwrap_or_default();
        all
    })
}

pub(crate) fn table(header: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_header(header.to_vec())
        .add_rows(rows);
    for column in table.column_iter_mut() {
        column.set_padding((0, GAP));
    }
    let mut text = table.trim_fmt();
    text.push('\n');
    text
}

#[cfg(test)]
#[path = "render_tests.rs"]
mod tests;
