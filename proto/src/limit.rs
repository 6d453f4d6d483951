//! The limits of texts and lists in the messages on the bus, each with its reason.
//!
//! A text or list beyond its limit is cut, and the message counts: no program decides by such a text.
//! [`crate::encode`] cuts before a message is written, [`crate::decode`] before its fields are checked,
//! so no reader depends on its writers. Ids, names, codes and standing orders are never cut: a wrong one
//! makes its message invalid. With all of this no message is larger than [`PAYLOAD_BYTES_MAX`], whatever
//! is in its texts, so a record can be stored that carries the text of any event.

use jiff::SignedDuration;

use crate::namespace_owner::cut_owners;
use crate::wire;

mod boot;
mod chain;
mod drain;
mod fleet_event;
mod probe;
mod rebooter;
mod served;

use boot::cut_boot;
pub use boot::{FAILED_UNITS_MAX, HOLDERS_MAX};
pub use chain::{ENDED_MAX, HELD_MAX, LINKED_EVENT_BYTES_MAX, ORDERS_UNPUBLISHED_MAX, UNPUBLISHED_MAX};
use chain::{cut_chain, cut_held, cut_phase, fit_chain};
use drain::{cut_obstacle, cut_progress, cut_report};
pub use fleet_event::{LEFT_OVER_MAX, QUEUES_MAX, UNDRAINABLE_MAX};
pub use probe::{PROBE_MESSAGE_BYTES_MAX, PROBE_NAME_BYTES_MAX, PROBE_REASONS_MAX, PROBES_MAX, SERVICES_MAX};
use probe::{cut_probe, cut_services};
pub use rebooter::{KIND_MESSAGE_BYTES_MAX, KINDS_MAX};
use served::cut_served;
pub use served::{SERVED_BYTES_MAX, SERVED_MAX};

/// Longest body of a message: a quarter of the `max_payload` of a NATS server as it comes (1 MiB), so
/// that headers, the fields of later versions and a server with a lower limit have room.
pub const PAYLOAD_BYTES_MAX: usize = 256 * 1024;

/// Longest message of an agent, with its headers: the server ends a connection that sends a longer one. The largest is a
/// sentinel's report, of 52 KB.
pub const AGENT_BYTES_MAX: usize = 64 * 1024;

/// Longest message for operators. Holds the ten blockers that a drainer names in `drain-failed`, and the
/// 2 KiB of a reboot command's output that a rebooter quotes.
pub const MESSAGE_BYTES_MAX: usize = 4096;

/// Longest sentence of [`wire::DrainProgressed::held_up_by`]: two names of Kubernetes objects, of at most
/// 317 characters each with their namespace, and the API server's answer.
pub const BLOCKER_BYTES_MAX: usize = 1024;

/// Longest reason of an order: the 500 characters that the scheduler's API takes, in any script.
pub const ORDER_REASON_BYTES_MAX: usize = 2000;

/// Longest version, kernel, operating system, package, method, operator or writer: what fits into one
/// line on an operator's screen. The longest file name on Linux has 255 bytes.
pub const WORD_BYTES_MAX: usize = 256;

/// Most packages that require a reboot: more than an operator reads. The last entry counts the rest.
pub const REASONS_MAX: usize = 100;

/// Most sentences about blockers of a drain: twice what a drainer sends. The last entry counts the rest.
pub const BLOCKERS_MAX: usize = 20;

/// Most entries of an attempt's history: an attempt has seven phases, and more only by phases that repeat.
/// The first entry and the newest ones stay.
pub const HISTORY_MAX: usize = 100;

/// Most reboots before the last one of which a record keeps the time: with the last one as many as a policy may permit
/// a node within a day. The newest ones stay.
pub const EARLIER_REBOOTS_MAX: usize = 9;

/// Most pods of DaemonSets that an attempt record keeps: more than a kubelet runs. One that is left out is demanded to
/// be Ready after the reboot.
pub const DAEMON_PODS_MAX: usize = 128;

/// Longest name of a DaemonSet with its namespace: what Kubernetes allows.
pub const DAEMON_SET_BYTES_MAX: usize = 317;

/// Longest name of a Kubernetes object with its kind in an obstacle: what Kubernetes allows. A longer one is cut, and
/// still the same text each time.
pub const OBJECT_BYTES_MAX: usize = 317;

/// Most nodes beside the one that a drainer checks: few drains are under way at once, and each such node costs the
/// drainer a list of its pods. More are left out; their drains then share a budget with this node's.
pub const NODES_BESIDE_MAX: usize = 100;

/// Most findings of a check: more than an operator reads at once. The most important ones stay.
pub const DRAIN_FINDINGS_MAX: usize = 30;

/// Most entries of `blockers`: one for each reason, and the budgets that keep most pods.
pub const BLOCKER_KINDS_MAX: usize = 20;

/// Most budgets, stuck pods and owners that a drain's report names: what an operator reads about a drain that is over.
pub const REPORTED_MAX: usize = 10;

/// Longest `refresh_interval`; a longer one counts as this one. A report is stale once three of them are
/// missed, and the bucket keeps a record for a day: with a longer one the record of an agent that is gone
/// would vanish before it is stale.
pub const REFRESH_INTERVAL_MAX: SignedDuration = SignedDuration::from_hours(8);

/// The end of a text that was cut.
pub(crate) const MARK: &str = "…";

/// A generated message whose texts and lists can be cut.
///
/// Each implementation names every field, so a new field does not compile before its limit is decided.
pub trait Limited {
    /// Cuts each text and list to its limit.
    fn limit(&mut self);
}

/// Cuts a text at a character, and marks the cut. The result, mark included, has at most `bytes_max` bytes.
pub(crate) fn cut(text: &mut String, bytes_max: usize) {
    if text.len() > bytes_max {
        text.truncate(text.floor_char_boundary(bytes_max.saturating_sub(MARK.len())));
        text.push_str(MARK);
    }
}

/// Keeps the first entries; the last one counts the rest.
fn cut_list(list: &mut Vec<String>, entries_max: usize, bytes_max: usize) {
    if list.len() > entries_max {
        let kept = entries_max.saturating_sub(1);
        let more = list.len().saturating_sub(kept);
        list.truncate(kept);
        list.push(format!("{MARK} and {more} more"));
    }
    for text in list {
        cut(text, bytes_max);
    }
}

/// Keeps the first entry, the start of the attempt, and the newest ones.
fn cut_history(history: &mut Vec<wire::PhaseEntered>) {
    let surplus = history.len().saturating_sub(HISTORY_MAX);
    if surplus > 0 {
        history.drain(1..=surplus);
    }
}

impl Limited for wire::HostReport {
    fn limit(&mut self) {
        let Self {
            node: _,
            boot_id: _,
            reported_at: _,
            refresh_interval: _,
            need,
            probe_error,
            kernel_running,
            kernel_installed,
            os,
            agent_version,
            probe_problem,
            booted_at: _,
            probes,
            services_to_restart,
        } = self;
        probes.truncate(PROBES_MAX);
        cut_services(services_to_restart);
        probes.iter_mut().for_each(cut_probe);
        if let Some(wire::RebootNeed {
            since: _,
            reasons,
            traceparent: _,
            first_since: _,
            undated: _,
        }) = need
        {
            cut_list(reasons, REASONS_MAX, WORD_BYTES_MAX);
        }
        cut(probe_error, MESSAGE_BYTES_MAX);
        for word in [kernel_running, kernel_installed, os, agent_version] {
            cut(word, WORD_BYTES_MAX);
        }
        cut_problem(probe_problem.as_mut());
    }
}

fn cut_problem(problem: Option<&mut wire::Problem>) {
    if let Some(wire::Problem { code: _, message }) = problem {
        cut(message, MESSAGE_BYTES_MAX);
    }
}

impl Limited for wire::Attempt {
    fn limit(&mut self) {
        let Self {
            attempt_id: _,
            node: _,
            node_uid: _,
            generation: _,
            phase: _,
            deadline: _,
            boot_id_before: _,
            boot_id_after: _,
            kernel_before,
            kernel_after,
            need_since: _,
            reasons,
            cordoned_at: _,
            drained_at: _,
            reboot_not_before: _,
            reboot_not_after: _,
            reboot_started_at: _,
            ending,
            slot_held: _,
            failures_in_row: _,
            retry_not_before: _,
            traceparent: _,
            need_span_id: _,
            last_reboot,
            failed_reboot: _,
            daemon_pods,
            obstacle_run,
            drain_terms: _,
            left_behind,
            drain_report,
            cordon_removed_at: _,
            units_before,
            reboot_kind: _,
            soft_reboots_before: _,
            served_annotations,
            boot_times: _,
            event_chain,
            held,
            previous_traceparent: _,
            waited_since: _,
            history,
        } = self;
        cut_held(held);
        cut_chain(event_chain.as_mut(), UNPUBLISHED_MAX);
        if let Some(wire::UnitsBefore { failed_units, hold: _ }) = units_before {
            cut_list(failed_units, FAILED_UNITS_MAX, WORD_BYTES_MAX);
        }
        if let Some(wire::LastReboot {
            boot_id: _,
            need_since: _,
            began_at: _,
            need_cleared: _,
            earlier,
            soft_reboots: _,
            served_annotations,
        }) = last_reboot
        {
            cut_served(served_annotations.as_mut());
            earlier.truncate(EARLIER_REBOOTS_MAX);
        }
        cut_served(served_annotations.as_mut());
        cut(kernel_before, WORD_BYTES_MAX);
        cut(kernel_after, WORD_BYTES_MAX);
        cut(left_behind, MESSAGE_BYTES_MAX);
        cut_list(reasons, REASONS_MAX, WORD_BYTES_MAX);
        if let Some(wire::Ending {
            cause: _,
            message,
            rollback_cause: _,
        }) = ending
        {
            cut(message, MESSAGE_BYTES_MAX);
        }
        daemon_pods.truncate(DAEMON_PODS_MAX);
        for wire::DaemonPod {
            daemon_set,
            run,
            ready: _,
        } in daemon_pods
        {
            cut(daemon_set, DAEMON_SET_BYTES_MAX);
            cut(run, WORD_BYTES_MAX);
        }
        if let Some(wire::ObstacleRun { obstacle, attempts: _ }) = obstacle_run {
            cut_obstacle(obstacle.as_mut());
        }
        cut_report(drain_report.as_mut());
        cut_history(history);
    }
}

impl Limited for wire::FleetControl {
    fn limit(&mut self) {
        let Self {
            paused: _,
            by,
            reason,
            since: _,
            orders,
            event_chain,
        } = self;
        cut(by, WORD_BYTES_MAX);
        cut(reason, ORDER_REASON_BYTES_MAX);
        orders.iter_mut().for_each(Limited::limit);
        cut_chain(event_chain.as_mut(), ORDERS_UNPUBLISHED_MAX);
        fit_chain(self);
    }
}

impl Limited for wire::FleetOrder {
    fn limit(&mut self) {
        let Self {
            scope: _,
            by,
            reason,
            since: _,
            until: _,
            kind: _,
            subject,
        } = self;
        cut(subject, WORD_BYTES_MAX);
        cut(by, WORD_BYTES_MAX);
        cut(reason, ORDER_REASON_BYTES_MAX);
    }
}

impl Limited for wire::DrainNode {
    fn limit(&mut self) {
        let Self {
            node: _,
            node_uid: _,
            attempt_id: _,
            generation: _,
            not_after: _,
        } = self;
    }
}

impl Limited for wire::UncordonNode {
    fn limit(&mut self) {
        let Self {
            node: _,
            node_uid: _,
            attempt_id: _,
            generation: _,
        } = self;
    }
}

impl Limited for wire::TaintNode {
    fn limit(&mut self) {
        let Self {
            node: _,
            node_uid: _,
            present: _,
            not_after: _,
        } = self;
    }
}

impl Limited for wire::CheckDrain {
    fn limit(&mut self) {
        let Self {
            node: _,
            asked_at: _,
            beside,
        } = self;
        beside.truncate(NODES_BESIDE_MAX);
    }
}

impl Limited for wire::DrainForecast {
    fn limit(&mut self) {
        let Self {
            node: _,
            asked_at: _,
            verdict: _,
            pods_to_go: _,
            pods_staying: _,
            takes: _,
            findings,
            source,
        } = self;
        findings.truncate(DRAIN_FINDINGS_MAX);
        for wire::DrainFinding {
            kind: _,
            object,
            sentence,
            namespace_owners,
        } in findings
        {
            cut(object, OBJECT_BYTES_MAX);
            cut(sentence, BLOCKER_BYTES_MAX);
            cut_owners(namespace_owners);
        }
        cut(source, WORD_BYTES_MAX);
    }
}

impl Limited for wire::NodeEvent {
    fn limit(&mut self) {
        let Self {
            node: _,
            attempt_id: _,
            generation: _,
            at: _,
            source,
            fact,
        } = self;
        cut(source, WORD_BYTES_MAX);
        if let Some(fact) = fact {
            cut_fact(fact);
        }
    }
}

fn cut_fact(fact: &mut wire::node_event::Fact) {
    use wire::node_event::Fact;
    match fact {
        Fact::Cordoned(wire::NodeCordoned {}) | Fact::Uncordoned(wire::NodeUncordoned { left_unschedulable: _ }) => (),
        Fact::DrainProgressed(progress) => cut_progress(progress),
        Fact::RebootStarted(wire::RebootStarted { boot_id: _, method }) => cut(method, WORD_BYTES_MAX),
        Fact::DrainFailed(wire::DrainFailed {
            failure: _,
            message,
            obstacle,
            report,
        }) => {
            cut(message, MESSAGE_BYTES_MAX);
            cut_obstacle(obstacle.as_mut());
            cut_report(report.as_mut());
        }
        Fact::Drained(wire::NodeDrained {
            pods_gone: _,
            pods_left: _,
            pods_returning: _,
            message,
            report,
        }) => {
            cut(message, MESSAGE_BYTES_MAX);
            cut_report(report.as_mut());
        }
        Fact::RebootRefused(wire::RebootRefused { message, code }) => {
            cut(message, MESSAGE_BYTES_MAX);
            cut(code, WORD_BYTES_MAX);
        }
        Fact::UncordonFailed(wire::UncordonFailed { message }) | Fact::RebootFailed(wire::RebootFailed { message }) => {
            cut(message, MESSAGE_BYTES_MAX)
        }
        Fact::PhaseChanged(changed) => cut_phase(changed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_at_a_character_and_marked_and_a_second_cut_changes_nothing() {
        for (text, bytes_max, expected) in [
            ("sixsix", 6, "sixsix"),
            ("seventh", 6, "sev…"),
            ("äöüß", 8, "äöüß"),
            ("äöüßa", 8, "äö…"),
            ("€€€", 8, "€…"),
        ] {
            let mut cut_once = text.to_owned();
            cut(&mut cut_once, bytes_max);
            assert_eq!(cut_once, expected);
            assert!(cut_once.len() <= bytes_max);
            let mut cut_twice = cut_once.clone();
            cut(&mut cut_twice, bytes_max);
            assert_eq!(cut_twice, cut_once);
        }
    }

    #[test]
    fn the_last_entry_of_a_list_that_was_cut_counts_the_rest() {
        let mut list: Vec<String> = (1..=7).map(|number| number.to_string()).collect();
        cut_list(&mut list, 4, 256);
        assert_eq!(list, ["1", "2", "3", "… and 4 more"]);
        let cut_once = list.clone();
        cut_list(&mut list, 4, 256);
        assert_eq!(list, cut_once);
    }

    #[test]
    fn a_history_that_was_cut_has_its_start_and_its_newest_entries() {
        let entered = |seconds| wire::PhaseEntered {
            phase: 1,
            at: Some(prost_types::Timestamp { seconds, nanos: 0 }),
        };
        let mut history: Vec<_> = (0..250).map(entered).collect();
        cut_history(&mut history);
        assert_eq!(history.len(), HISTORY_MAX);
        let kept: Vec<_> = std::iter::once(0).chain(151..250).map(entered).collect();
        assert_eq!(history, kept);
    }
}
