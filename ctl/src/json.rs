//! The responses as JSON, for programs. Names of fields are a contract: they may be added, never
//! renamed. A field that is absent on the wire is `null` here.

use bellwether_check::text;
use bellwether_proto::{RebootKind, wire};
use jiff::Timestamp;
use serde::Serialize;

use crate::boot::Boot;
use crate::probe::Probe;
use crate::{drain, vocabulary};

/// The answer of `status`.
pub(crate) fn status(fleet: &wire::ListNodesResponse) -> anyhow::Result<String> {
    pretty(&Fleet {
        slots_total: fleet.slots_total,
        slots_taken: fleet.slots_taken,
        pause: fleet
            .control
            .as_ref()
            .filter(|control| control.paused)
            .map(text::pause)
            .map(Order::from),
        orders: fleet
            .control
            .iter()
            .flat_map(|control| control.orders.iter().cloned())
            .map(Order::from)
            .collect(),
        notice: &fleet.notice,
        policies: fleet.policies.iter().map(Policy::from).collect(),
        nodes: fleet.nodes.iter().map(Node::from).collect(),
    })
}

/// The answer of `explain`.
pub(crate) fn explain(story: &wire::ExplainNodeResponse) -> anyhow::Result<String> {
    pretty(&Story {
        node: story.status.as_ref().map(Node::from),
        events: story.events.iter().map(Event::from).collect(),
    })
}

fn pretty(answer: &impl Serialize) -> anyhow::Result<String> {
    let mut text = serde_json::to_string_pretty(answer)?;
    text.push('\n');
    Ok(text)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Fleet<'a> {
    slots_total: u32,
    slots_taken: u32,
    pause: Option<Order>,
    orders: Vec<Order>,
    notice: &'a str,
    policies: Vec<Policy<'a>>,
    nodes: Vec<Node<'a>>,
}

/// Whether the present or next opening of a policy suffices for its nodes that wait.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Policy<'a> {
    name: &'a str,
    opens_at: Option<Timestamp>,
    until: Option<Timestamp>,
    never_open: bool,
    fitting: u32,
    left_over: u32,
    left_over_nodes: &'a [String],
}

impl<'a> From<&'a wire::PolicyOutlook> for Policy<'a> {
    fn from(policy: &'a wire::PolicyOutlook) -> Self {
        Self {
            name: &policy.policy,
            opens_at: text::instant(policy.opens_at),
            until: text::instant(policy.until),
            never_open: policy.never_open,
            fitting: policy.fitting,
            left_over: policy.left_over,
            left_over_nodes: &policy.left_over_nodes,
        }
    }
}

#[derive(Serialize)]
struct Story<'a> {
    node: Option<Node<'a>>,
    events: Vec<Event<'a>>,
}

#[derive(Serialize)]
struct Order {
    kind: &'static str,
    scope: &'static str,
    subject: String,
    by: String,
    reason: String,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
}

impl From<wire::FleetOrder> for Order {
    fn from(order: wire::FleetOrder) -> Self {
        Self {
            kind: match wire::OrderKind::try_from(order.kind) {
                Ok(wire::OrderKind::Block | wire::OrderKind::Unspecified) => "Block",
                Ok(wire::OrderKind::Approve) => "Approve",
                Ok(wire::OrderKind::Now) => "Now",
                Ok(wire::OrderKind::Skip) => "Skip",
                Err(_) => "Unknown",
            },
            scope: match wire::OrderScope::try_from(order.scope) {
                Ok(wire::OrderScope::Fleet) => "Fleet",
                Ok(wire::OrderScope::Policy) => "Policy",
                Ok(wire::OrderScope::Node) => "Node",
                Ok(wire::OrderScope::Unspecified) | Err(_) => "Unknown",
            },
            subject: order.subject,
            by: order.by,
            reason: order.reason,
            since: text::instant(order.since),
            until: text::instant(order.until),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Node<'a> {
    name: &'a str,
    state: String,
    state_since: Option<Timestamp>,
    reason: Option<Reason<'a>>,
    further_reasons: Vec<Reason<'a>>,
    queue_number: Option<u32>,
    policy: &'a str,
    orders: Vec<NodeOrder<'a>>,
    expected_start: Option<Timestamp>,
    does_not_fit: bool,
    ready: bool,
    unschedulable: bool,
    reboot_required: bool,
    required_since: Option<Timestamp>,
    required_by: &'a [String],
    boot_id: &'a str,
    kernel_running: &'a str,
    kernel_installed: &'a str,
    os: &'a str,
    probes: Vec<Probe<'a>>,
    services_to_restart: &'a [String],
    boot: Option<Boot<'a>>,
    drain: Option<drain::Progress<'a>>,
    attempt: Option<Attempt<'a>>,
}

impl<'a> From<&'a wire::NodeStatus> for Node<'a> {
    fn from(node: &'a wire::NodeStatus) -> Self {
        Self {
            name: &node.node,
            state: vocabulary::state(node),
            state_since: vocabulary::state_since(node),
            reason: node.reason.as_ref().map(Reason::from),
            further_reasons: node.further_reasons.iter().map(Reason::from).collect(),
            queue_number: Some(node.queue_number).filter(|number| *number > 0),
            policy: &node.policy,
            orders: node.orders.iter().map(NodeOrder::from).collect(),
            expected_start: text::instant(node.expected_start),
            does_not_fit: node.does_not_fit,
            ready: node.ready,
            unschedulable: node.unschedulable,
            reboot_required: node.reboot_required,
            required_since: text::instant(node.required_since),
            required_by: &node.required_by,
            boot_id: &node.boot_id,
            kernel_running: &node.kernel_running,
            kernel_installed: &node.kernel_installed,
            os: &node.os,
            probes: node.probes.iter().map(Probe::from).collect(),
            services_to_restart: &node.services_to_restart,
            boot: node.boot.as_ref().map(Boot::from),
            drain: node.drain.as_ref().map(drain::Progress::from),
            attempt: node.attempt.as_ref().map(Attempt::from),
        }
    }
}

#[derive(Serialize)]
struct NodeOrder<'a> {
    #[serde(flatten)]
    order: Option<Order>,
    annotation: &'a str,
    fault: &'a str,
}

impl<'a> From<&'a wire::NodeOrder> for NodeOrder<'a> {
    fn from(of_node: &'a wire::NodeOrder) -> Self {
        Self {
            order: of_node.order.clone().map(Order::from),
            annotation: &of_node.annotation,
            fault: &of_node.fault,
        }
    }
}

#[derive(Serialize)]
struct Reason<'a> {
    code: &'a str,
    message: &'a str,
    since: Option<Timestamp>,
}

impl<'a> From<&'a wire::Reason> for Reason<'a> {
    fn from(reason: &'a wire::Reason) -> Self {
        Self {
            code: &reason.code,
            message: &reason.message,
            since: text::instant(reason.since),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Attempt<'a> {
    id: &'a str,
    node_uid: &'a str,
    generation: u64,
    phase: String,
    deadline: Option<Timestamp>,
    slot_held: bool,
    failures_in_row: u32,
    retry_not_before: Option<Timestamp>,
    need_since: Option<Timestamp>,
    reasons: &'a [String],
    cordoned_at: Option<Timestamp>,
    drained_at: Option<Timestamp>,
    reboot_not_before: Option<Timestamp>,
    after_timeout: String,
    left_behind: &'a str,
    reboot_kind: String,
    reboot_started_at: Option<Timestamp>,
    boot_id_before: &'a str,
    boot_id_after: &'a str,
    kernel_before: &'a str,
    kernel_after: &'a str,
    failed_units_before: Option<&'a [String]>,
    served_annotations: Option<Vec<ServedAnnotation<'a>>>,
    ending: Option<Ending<'a>>,
    drain_report: Option<drain::Report<'a>>,
    last_reboot: Option<LastReboot<'a>>,
    failed_reboot: Option<FailedReboot>,
    traceparent: &'a str,
    history: Vec<PhaseEntered>,
}

impl<'a> From<&'a wire::Attempt> for Attempt<'a> {
    fn from(attempt: &'a wire::Attempt) -> Self {
        Self {
            id: &attempt.attempt_id,
            node_uid: &attempt.node_uid,
            generation: attempt.generation,
            phase: text::phase(attempt.phase),
            deadline: text::instant(attempt.deadline),
            slot_held: attempt.slot_held,
            failures_in_row: attempt.failures_in_row,
            retry_not_before: text::instant(attempt.retry_not_before),
            need_since: text::instant(attempt.need_since),
            reasons: &attempt.reasons,
            cordoned_at: text::instant(attempt.cordoned_at),
            drained_at: text::instant(attempt.drained_at),
            reboot_not_before: text::instant(attempt.reboot_not_before),
            after_timeout: vocabulary::after_timeout(attempt.drain_terms),
            left_behind: &attempt.left_behind,
            reboot_kind: RebootKind::from_wire(attempt.reboot_kind).to_string(),
            reboot_started_at: text::instant(attempt.reboot_started_at),
            boot_id_before: &attempt.boot_id_before,
            boot_id_after: &attempt.boot_id_after,
            kernel_before: &attempt.kernel_before,
            kernel_after: &attempt.kernel_after,
            failed_units_before: attempt
                .units_before
                .as_ref()
                .map(|before| before.failed_units.as_slice()),
            served_annotations: attempt.served_annotations.as_ref().map(served_annotations),
            ending: attempt.ending.as_ref().map(|ending| Ending {
                cause: vocabulary::cause(ending.cause),
                message: &ending.message,
                rollback_cause: (ending.rollback_cause != 0).then(|| vocabulary::cause(ending.rollback_cause)),
            }),
            drain_report: attempt.drain_report.as_ref().map(drain::Report::from),
            last_reboot: attempt.last_reboot.as_ref().map(|last| LastReboot {
                boot_id: &last.boot_id,
                need_since: text::instant(last.need_since),
                began_at: text::instant(last.began_at),
                need_cleared: last.need_cleared,
                earlier: last.earlier.iter().map(|at| text::instant(Some(*at))).collect(),
                served_annotations: last.served_annotations.as_ref().map(served_annotations),
            }),
            failed_reboot: attempt.failed_reboot.map(|failed| FailedReboot {
                cause: vocabulary::cause(failed.cause),
                at: text::instant(failed.at),
            }),
            traceparent: &attempt.traceparent,
            history: attempt
                .history
                .iter()
                .map(|entered| PhaseEntered {
                    phase: text::phase(entered.phase),
                    at: text::instant(entered.at),
                })
                .collect(),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Ending<'a> {
    cause: String,
    message: &'a str,
    rollback_cause: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LastReboot<'a> {
    boot_id: &'a str,
    need_since: Option<Timestamp>,
    began_at: Option<Timestamp>,
    need_cleared: bool,
    earlier: Vec<Option<Timestamp>>,
    served_annotations: Option<Vec<ServedAnnotation<'a>>>,
}

#[derive(Serialize)]
struct ServedAnnotation<'a> {
    key: &'a str,
    value: &'a str,
}

/// The annotations that a reboot serves, or has served.
fn served_annotations(served: &wire::ServedAnnotations) -> Vec<ServedAnnotation<'_>> {
    let annotations = served.annotations.iter();
    annotations
        .map(|wire::ServedAnnotation { key, value }| ServedAnnotation { key, value })
        .collect()
}

#[derive(Serialize)]
struct FailedReboot {
    cause: String,
    at: Option<Timestamp>,
}

#[derive(Serialize)]
struct PhaseEntered {
    phase: String,
    at: Option<Timestamp>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Event<'a> {
    at: Option<Timestamp>,
    attempt_id: &'a str,
    generation: u64,
    source: &'a str,
    kind: &'static str,
    message: String,
}

impl<'a> From<&'a wire::NodeEvent> for Event<'a> {
    fn from(event: &'a wire::NodeEvent) -> Self {
        Self {
            at: text::instant(event.at),
            attempt_id: &event.attempt_id,
            generation: event.generation,
            source: &event.source,
            kind: vocabulary::event(event),
            message: vocabulary::event_message(event),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_fields_stay_as_they_are() {
        let fleet = wire::ListNodesResponse {
            nodes: vec![wire::NodeStatus {
                node: "worker-1".to_owned(),
                state: wire::NodeState::Idle.into(),
                ready: true,
                ..Default::default()
            }],
            slots_total: 2,
            policies: vec![wire::PolicyOutlook {
                policy: "nights".to_owned(),
                left_over: 1,
                left_over_nodes: vec!["worker-2".to_owned()],
                ..Default::default()
            }],
            ..Default::default()
        };
        let value: serde_json::Value = serde_json::from_str(&status(&fleet).unwrap()).unwrap();
        let node = serde_json::json!({
            "name": "worker-1", "state": "Idle", "stateSince": null, "reason": null, "ready": true,
            "unschedulable": false, "rebootRequired": false, "requiredSince": null, "requiredBy": [],
            "bootId": "", "kernelRunning": "", "kernelInstalled": "", "os": "", "drain": null, "attempt": null,
            "furtherReasons": [], "queueNumber": null, "policy": "", "orders": [], "expectedStart": null,
            "doesNotFit": false, "probes": [], "servicesToRestart": [], "boot": null,
        });
        let policy = serde_json::json!({
            "name": "nights", "opensAt": null, "until": null, "neverOpen": false, "fitting": 0, "leftOver": 1,
            "leftOverNodes": ["worker-2"],
        });
        let fleet = serde_json::json!({
            "slotsTotal": 2, "slotsTaken": 0, "pause": null, "orders": [], "notice": "", "policies": [policy],
            "nodes": [node],
        });
        assert_eq!(value, fleet);
    }

    #[test]
    fn the_annotations_that_a_reboot_serves_are_shown_and_absent_ones_are_null() {
        let annotations = vec![wire::ServedAnnotation {
            key: "example.com/patched".to_owned(),
            value: "7".to_owned(),
        }];
        let attempt = wire::Attempt {
            last_reboot: Some(wire::LastReboot {
                served_annotations: Some(wire::ServedAnnotations { annotations }),
                ..Default::default()
            }),
            ..Default::default()
        };
        let value = serde_json::to_value(Attempt::from(&attempt)).unwrap();
        let served = serde_json::json!([{ "key": "example.com/patched", "value": "7" }]);
        assert_eq!(value.pointer("/lastReboot/servedAnnotations"), Some(&served));
        assert_eq!(value.get("servedAnnotations"), Some(&serde_json::Value::Null));
    }
}
