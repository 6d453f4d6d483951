//! Builds responses to operators and users from the core's state. It changes nothing.

use std::sync::Arc;

use bellwether_proto::{
    Attempt, BootReport, DrainProgress, FleetControl, FleetOrder, HostReport, Message as _, NodeName, OrderKind,
    OrderScope, ProbeOutcome, ProbeReport, Problem, RebooterReport, ShutdownDelay, to_duration, to_timestamp, wire,
};
use bellwether_scheduler_core::{
    AnnotatedKind, CancelEffect, Fleet, NodeView, Outlook, PolicyOutlook, PolicyStanding, Reason, Standing, State,
    StoredReport, Turn,
};
use jiff::Timestamp;

use crate::error::Refusal;
use crate::message::Reply;

/// The part of a list that the core does not know.
#[derive(Debug, Clone)]
pub(crate) struct LeaderInfo {
    /// Why nothing new starts at the moment; empty if nothing is in the way of the whole fleet.
    pub(crate) notice: String,
    pub(crate) scheduler_version: &'static str,
    pub(crate) nats_version: String,
}

/// Every node, by name.
pub(crate) fn list(fleet: &Fleet, info: LeaderInfo, now: Timestamp) -> wire::ListNodesResponse {
    let outlook = fleet.outlook();
    wire::ListNodesResponse {
        nodes: fleet
            .standings()
            .map(|(node, standing)| status(fleet, node, &standing, &outlook, now))
            .collect(),
        control: control(fleet),
        slots_total: fleet.slots(),
        slots_taken: number(fleet.slots_taken()),
        notice: info.notice,
        scheduler_version: info.scheduler_version.to_owned(),
        nats_version: info.nats_version,
        policies: outlook.policies.iter().filter_map(of_policy).collect(),
    }
}

/// None: no node of the policy waits for its turn.
fn of_policy((policy, outlook): (&Arc<str>, &PolicyOutlook)) -> Option<wire::PolicyOutlook> {
    let named = outlook.left_over.iter().take(PolicyStanding::LEFT_OVER_NAMED_MAX);
    (outlook.fitting > 0 || !outlook.left_over.is_empty()).then(|| wire::PolicyOutlook {
        policy: policy.to_string(),
        opens_at: outlook.opens_at.map(to_timestamp),
        until: outlook.until.map(to_timestamp),
        never_open: outlook.is_never_open,
        fitting: number(outlook.fitting),
        left_over: number(outlook.left_over.len()),
        left_over_nodes: named.map(ToString::to_string).collect(),
    })
}

/// One node.
pub(crate) fn explain(fleet: &Fleet, name: NodeName, now: Timestamp) -> Reply<wire::NodeStatus> {
    let found = fleet.standing(&name);
    let sentinel = fleet.sentinel(&name);
    let services = fleet
        .sentinel(&name)
        .map(|stored| stored.report.services_to_restart.clone());
    let probes = sentinel.map(|stored| stored.report.probes.iter().map(ProbeReport::to_wire).collect());
    let (node, standing) = found.ok_or(Refusal::UnknownNode(name))?;
    let further = standing.others.iter().map(|other| reason(&other.reason, other.since));
    let stored = fleet.orders_about(&node.name).map(|order| wire::NodeOrder {
        order: Some(order.to_wire()),
        annotation: String::new(),
        fault: String::new(),
    });
    Ok(wire::NodeStatus {
        further_reasons: further.collect(),
        orders: stored.chain(annotated_orders(node, now)).collect(),
        probes: probes.unwrap_or_default(),
        boot: boot(fleet, &node.name).map(BootReport::to_wire),
        services_to_restart: services.unwrap_or_default(),
        ..status(fleet, node, &standing, &fleet.outlook(), now)
    })
}

/// The fleet after an order to pause.
pub(crate) fn paused(fleet: &Fleet) -> wire::PauseFleetResponse {
    let running = fleet.attempts().filter(|attempt| !attempt.phase.is_ended());
    wire::PauseFleetResponse {
        nodes_in_progress: running.map(|attempt| attempt.node.to_string()).collect(),
        control: control(fleet),
    }
}

/// The fleet after an order to resume.
pub(crate) fn resumed(fleet: &Fleet) -> wire::ResumeFleetResponse {
    wire::ResumeFleetResponse {
        control: control(fleet),
    }
}

/// The orders after a new one, and its effect.
pub(crate) fn given(fleet: &Fleet, order: &FleetOrder) -> wire::GiveOrderResponse {
    let running = match &order.scope {
        OrderScope::Node(node) => fleet.attempt(node).is_some_and(|attempt| !attempt.phase.is_ended()),
        OrderScope::Fleet | OrderScope::Policy(_) | OrderScope::Unknown(_) => false,
    };
    let message = match order.kind {
        OrderKind::Block | OrderKind::Unknown(_) if running => {
            "its attempt continues; `kubectl reboots cancel` ends it while that is possible"
        }
        OrderKind::Block | OrderKind::Unknown(_) => "no new attempt starts; running ones continue",
        OrderKind::Approve => "it reboots once windows, gates and budget let it",
        OrderKind::Skip if running => {
            "its attempt continues, and its need is skipped after that; `kubectl reboots cancel` ends the attempt while that is possible"
        }
        OrderKind::Skip => "no new attempt starts for its present need; a need that begins later is served",
        OrderKind::Now => "it goes first and outside of its windows, within budget and all other gates",
    };
    wire::GiveOrderResponse {
        control: control(fleet),
        message: message.to_owned(),
    }
}

/// The orders after the end of one, and the annotation that is an order of the same kind.
pub(crate) fn ended(fleet: &Fleet, order: &FleetOrder, now: Timestamp) -> wire::EndOrderResponse {
    let annotated = fleet.annotated_like(order, now);
    let (OrderScope::Node(node), Some(annotated)) = (&order.scope, annotated) else {
        return wire::EndOrderResponse {
            control: control(fleet),
            message: String::new(),
        };
    };
    let annotation = annotated.kind.annotation();
    wire::EndOrderResponse {
        control: control(fleet),
        message: format!(
            "the annotation {annotation} of the Node still stands: kubectl annotate node {node} {annotation}-"
        ),
    }
}

/// The attempt after an order to cancel it, and the effect of the cancel.
pub(crate) fn cancelled(fleet: &Fleet, node: &NodeName, effect: CancelEffect) -> wire::CancelAttemptResponse {
    wire::CancelAttemptResponse {
        attempt: fleet.attempt(node).map(Attempt::to_wire),
        message: effect.message(),
    }
}

fn control(fleet: &Fleet) -> Option<wire::FleetControl> {
    fleet.control().map(FleetControl::to_wire)
}

fn status(fleet: &Fleet, node: &NodeView, standing: &Standing, outlook: &Outlook, now: Timestamp) -> wire::NodeStatus {
    let sentinel = fleet.sentinel(&node.name).map(|stored| &stored.report);
    let need = sentinel.and_then(|report| report.need.required());
    let turn = outlook.nodes.get(&node.name);
    let expected_start = match turn {
        Some(Turn::StartsAt(start)) => Some(to_timestamp(*start)),
        Some(Turn::DoesNotFit) | None => None,
    };
    let state = match standing.state {
        State::Idle => wire::NodeState::Idle,
        State::Waiting => wire::NodeState::Waiting,
        State::InProgress(_) => wire::NodeState::InProgress,
        State::Failed => wire::NodeState::Failed,
        State::Unknown => wire::NodeState::Unknown,
    };
    wire::NodeStatus {
        node: node.name.to_string(),
        state: state.into(),
        reason: standing
            .reason
            .as_ref()
            .map(|first| reason(first, Some(standing.since))),
        ready: node.ready,
        unschedulable: node.unschedulable,
        reboot_required: need.is_some(),
        required_since: need.map(|need| to_timestamp(need.first_since)),
        required_by: need.map(|need| need.reasons.clone()).unwrap_or_default(),
        boot_id: node.boot_id.as_ref().map(ToString::to_string).unwrap_or_default(),
        kernel_running: node.kernel.clone(),
        kernel_installed: sentinel
            .and_then(|report| report.kernel_installed.clone())
            .unwrap_or_default(),
        os: node.os.clone(),
        attempt: fleet.attempt(&node.name).map(Attempt::to_wire),
        drain: fleet.drain(&node.name).map(DrainProgress::to_wire),
        sentinel: fleet.sentinel(&node.name).map(|stored| sentinel_agent(stored, now)),
        rebooter: fleet.rebooter(&node.name).map(|stored| rebooter_agent(stored, now)),
        further_reasons: Vec::new(),
        queue_number: standing.reason.as_ref().and_then(Reason::place).map_or(0, number),
        policy: fleet.policy_of(node).unwrap_or_default(),
        orders: annotated_orders(node, now).collect(),
        expected_start,
        does_not_fit: turn == Some(&Turn::DoesNotFit),
        probes: sentinel.map(probes_with_a_problem).unwrap_or_default(),
        boot: boot(fleet, &node.name)
            .filter(|boot| !boot.failed_units.is_empty() || cuts_kubelet(boot))
            .map(BootReport::to_wire),
        services_to_restart: Vec::new(),
    }
}

/// A fleet of thousands has as many probes, and an operator who looks at all nodes looks for what is wrong.
fn probes_with_a_problem(report: &HostReport) -> Vec<wire::ProbeResult> {
    let is_unknown = |probe: &&ProbeReport| matches!(probe.outcome, ProbeOutcome::Unknown(_));
    report
        .probes
        .iter()
        .filter(is_unknown)
        .map(ProbeReport::to_wire)
        .collect()
}

/// An operator who looks at all nodes looks for what is wrong.
fn cuts_kubelet(boot: &BootReport) -> bool {
    boot.shutdown_delay.as_ref().is_some_and(ShutdownDelay::cuts_kubelet)
}

/// The boot that runs, as its rebooter has reported it.
fn boot<'a>(fleet: &'a Fleet, node: &NodeName) -> Option<&'a BootReport> {
    fleet.rebooter(node)?.report.boot.as_ref()
}

/// The orders that the Node carries as annotations.
fn annotated_orders(node: &NodeView, now: Timestamp) -> impl Iterator<Item = wire::NodeOrder> {
    node.annotated_orders(now).map(|order| {
        let kind = match order.kind {
            AnnotatedKind::Hold => wire::OrderKind::Block,
            AnnotatedKind::Skip => wire::OrderKind::Skip,
            AnnotatedKind::Approve => wire::OrderKind::Approve,
        };
        wire::NodeOrder {
            order: Some(wire::FleetOrder {
                kind: kind.into(),
                scope: wire::OrderScope::Node.into(),
                subject: node.name.to_string(),
                by: order.by.clone(),
                reason: order.reason.clone(),
                since: order.since.map(to_timestamp),
                until: order.ends_at().map(to_timestamp),
            }),
            annotation: order.kind.annotation().to_owned(),
            fault: order.fault().unwrap_or_default(),
        }
    })
}

fn reason(reason: &Reason, since: Option<Timestamp>) -> wire::Reason {
    wire::Reason {
        code: reason.code().to_owned(),
        message: reason.message(),
        since: since.map(to_timestamp),
    }
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

fn sentinel_agent(stored: &StoredReport<HostReport>, now: Timestamp) -> wire::Agent {
    let report = &stored.report;
    wire::Agent {
        version: report.agent_version.clone(),
        heard_at: Some(to_timestamp(stored.stored_at)),
        stale: now >= stored.stale_at(),
        problem: report.need.problem().map(Problem::text).unwrap_or_default(),
        method: String::new(),
        clock_ahead: Some(to_duration(stored.clock_ahead())),
        classified_problem: report.need.problem().map(Problem::to_wire),
    }
}

fn rebooter_agent(stored: &StoredReport<RebooterReport>, now: Timestamp) -> wire::Agent {
    let report = &stored.report;
    wire::Agent {
        version: report.agent_version.clone(),
        heard_at: Some(to_timestamp(stored.stored_at)),
        stale: now >= stored.stale_at(),
        problem: report.problem.as_ref().map(Problem::text).unwrap_or_default(),
        method: report.method.clone(),
        clock_ahead: Some(to_duration(stored.clock_ahead())),
        classified_problem: report.problem.as_ref().map(Problem::to_wire),
    }
}

#[cfg(test)]
mod tests {
    use bellwether_proto::{NeedReport, ProblemCode};
    use bellwether_scheduler_core::{Input, Policy};
    use jiff::SignedDuration;

    use super::*;

    const STORED: &str = "2026-03-01T02:00:00Z";

    fn at(seconds: i64) -> Timestamp {
        STORED.parse::<Timestamp>().unwrap() + SignedDuration::from_secs(seconds)
    }

    fn fleet() -> Fleet {
        let mut fleet = Fleet::new(Policy::default(), "test".into());
        let node = NodeView {
            name: "n1".parse().unwrap(),
            uid: "1".parse().unwrap(),
            ready: true,
            ready_since: None,
            unschedulable: false,
            cordoned_for: None,
            labels: Default::default(),
            taints: Vec::new(),
            conditions: Default::default(),
            our_conditions: Default::default(),
            orders: None,
            annotations: Default::default(),
            control_plane: false,
            deleting: false,
            boot_id: None,
            kernel: String::new(),
            os: String::new(),
        };
        fleet.handle_input(Input::Node(node), at(0));
        fleet
    }

    fn listed(fleet: &mut Fleet, now: Timestamp) -> wire::ListNodesResponse {
        fleet.advance(now);
        let info = LeaderInfo {
            notice: String::new(),
            scheduler_version: "0.2.0",
            nats_version: "2.11.4".into(),
        };
        list(fleet, info, now)
    }

    fn agents_report(fleet: &mut Fleet) {
        let refresh_interval = SignedDuration::from_mins(5);
        let sentinel = StoredReport {
            report: HostReport {
                node: "n1".parse().unwrap(),
                boot_id: "b".parse().unwrap(),
                reported_at: at(-3),
                booted_at: None,
                refresh_interval,
                need: NeedReport::Unknown(Problem::new(ProblemCode::SentinelFileUnreadable, "permission denied")),
                kernel_running: String::new(),
                kernel_installed: None,
                os: String::new(),
                agent_version: "0.1.0".into(),
                probes: [
                    ("file", ProbeOutcome::NotRequired),
                    (
                        "dnf",
                        ProbeOutcome::Unknown(Problem::new(ProblemCode::ProbeFailed, "no result")),
                    ),
                ]
                .map(|(name, outcome)| ProbeReport {
                    name: name.into(),
                    kind: "file".into(),
                    outcome,
                })
                .into(),
                services_to_restart: vec!["ssh.service".into()],
            },
            stored_at: at(0),
        };
        fleet.handle_input(Input::Sentinel(sentinel), at(0));
        let rebooter = StoredReport {
            report: RebooterReport {
                node: "n1".parse().unwrap(),
                boot_id: "b".parse().unwrap(),
                reported_at: at(90),
                refresh_interval,
                method: "logind".into(),
                problem: Some(Problem::new(ProblemCode::Unknown(77), "access denied")),
                agent_version: "0.1.1".into(),
                record_keys: None,
                boot: None,
                kinds: Vec::new(),
                soft_reboots: None,
            },
            stored_at: at(0),
        };
        fleet.handle_input(Input::Rebooter(rebooter), at(0));
    }

    #[test]
    fn an_agent_that_never_reported_is_absent() {
        let list = listed(&mut fleet(), at(0));
        assert_eq!((&list.nodes[0].sentinel, &list.nodes[0].rebooter), (&None, &None));
        assert_eq!((&*list.scheduler_version, &*list.nats_version), ("0.2.0", "2.11.4"));
    }

    #[test]
    fn both_agents_are_shown_with_version_problem_and_clock() {
        let mut fleet = fleet();
        agents_report(&mut fleet);
        let list = listed(&mut fleet, at(1));
        let sentinel = wire::Agent {
            version: "0.1.0".into(),
            heard_at: Some(to_timestamp(at(0))),
            stale: false,
            problem: "permission denied".into(),
            method: String::new(),
            clock_ahead: Some(to_duration(SignedDuration::from_secs(-3))),
            classified_problem: Some(wire::Problem {
                code: wire::ProblemCode::SentinelFileUnreadable.into(),
                message: "permission denied".into(),
            }),
        };
        assert_eq!(list.nodes[0].sentinel.as_ref(), Some(&sentinel));
        let rebooter = wire::Agent {
            version: "0.1.1".into(),
            problem: "access denied".into(),
            method: "logind".into(),
            clock_ahead: Some(to_duration(SignedDuration::from_secs(90))),
            // A code that this version does not know is passed on.
            classified_problem: Some(wire::Problem {
                code: 77,
                message: "access denied".into(),
            }),
            ..sentinel
        };
        assert_eq!(list.nodes[0].rebooter.as_ref(), Some(&rebooter));
    }

    #[test]
    fn an_answer_about_one_node_shows_all_probes_and_a_list_only_those_with_a_problem() {
        let mut fleet = fleet();
        agents_report(&mut fleet);
        let names = |node: &wire::NodeStatus| node.probes.iter().map(|probe| probe.name.clone()).collect::<Vec<_>>();
        let list = listed(&mut fleet, at(1));
        assert_eq!(names(&list.nodes[0]), ["dnf"]);
        let problem = list.nodes[0].probes[0].problem.as_ref().map(|problem| problem.code);
        assert_eq!(problem, Some(wire::ProblemCode::ProbeFailed.into()));
        let node = explain(&fleet, "n1".parse().unwrap(), at(1)).ok().unwrap();
        assert_eq!(names(&node), ["file", "dnf"]);
        assert_eq!(
            (&list.nodes[0].services_to_restart, &node.services_to_restart),
            (&vec![], &vec!["ssh.service".to_owned()])
        );
    }

    #[test]
    fn an_agent_is_stale_from_the_moment_at_which_its_report_counts_no_more() {
        let mut fleet = fleet();
        agents_report(&mut fleet);
        for (seconds, stale) in [(899, false), (900, true)] {
            let list = listed(&mut fleet, at(seconds));
            let agents = [&list.nodes[0].sentinel, &list.nodes[0].rebooter];
            for agent in agents {
                assert_eq!(agent.as_ref().unwrap().stale, stale, "after {seconds} s");
            }
        }
    }
}
