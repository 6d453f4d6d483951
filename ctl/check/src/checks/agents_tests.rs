//! Fleets with one thing wrong each.

use bellwether_proto::wire::{ListNodesResponse, NodeState};
use prost_types::Duration;
use serde_json::{Value, json};

use super::*;
use crate::facts::FleetAnswer;
use crate::failure::Failure;
use crate::testing::{beside, objects};

fn node(name: &str, os: &str, ready: &str) -> Value {
    json!({
        "kind": "Node",
        "metadata": { "name": name, "labels": { "kubernetes.io/os": os } },
        "status": { "conditions": [{ "type": "Ready", "status": ready }] },
    })
}

fn heard() -> Agent {
    Agent {
        version: "0.1.0".to_owned(),
        heard_at: Some(prost_types::Timestamp {
            seconds: "2026-11-22T11:46:00Z".parse::<jiff::Timestamp>().unwrap().as_second(),
            nanos: 0,
        }),
        method: "logind".to_owned(),
        clock_ahead: Some(Duration {
            seconds: 0,
            nanos: -3_000_000,
        }),
        ..Default::default()
    }
}

fn status(node: &str) -> NodeStatus {
    NodeStatus {
        node: node.to_owned(),
        state: NodeState::Idle.into(),
        ready: true,
        sentinel: Some(heard()),
        rebooter: Some(heard()),
        ..Default::default()
    }
}

fn agents_pod(agent: &str, node: &str) -> Value {
    json!({
        "kind": "Pod", "spec": { "nodeName": node },
        "metadata": { "name": format!("{agent}-x7k2p"), "labels": { COMPONENT: agent } },
    })
}

/// Two nodes in order, changed by the test.
fn facts(change: impl FnOnce(&mut NodeStatus)) -> Facts {
    let mut facts = crate::testing::facts();
    facts.nodes.objects = objects([node("node-1", "linux", "True"), node("node-2", "linux", "True")]);
    facts.agents.objects = beside([agents_pod("rebooter", "node-2")]);
    let mut second = status("node-2");
    change(&mut second);
    let list = ListNodesResponse {
        nodes: vec![status("node-1"), second],
        ..Default::default()
    };
    facts.fleet = Ok(FleetAnswer {
        leader: String::new(),
        list,
    });
    facts
}

fn only(facts: &Facts) -> Finding {
    let findings = findings(facts);
    let [finding] = findings.as_slice() else {
        panic!("{findings:?}");
    };
    finding.clone()
}

fn preflight(code: ProblemCode, message: &str) -> Finding {
    only(&facts(|status| {
        if let Some(rebooter) = &mut status.rebooter {
            report(rebooter, code, message);
        }
    }))
}

fn report(agent: &mut Agent, code: ProblemCode, message: &str) {
    let problem = Problem::new(code, message);
    agent.problem = problem.text();
    agent.classified_problem = Some(problem.to_wire());
}

#[test]
fn a_fleet_in_order_is_one_line() {
    let finding = only(&facts(|_| {}));
    assert_eq!(
        (finding.severity, finding.subject.as_str()),
        (Severity::Ok, "agents of 2 nodes")
    );
    assert_eq!(
        finding.found,
        "sentinel and rebooter heard, preflight passed (logind), clocks agree"
    );
}

#[test]
fn windows_nodes_are_named_and_left_alone() {
    let mut facts = facts(|_| {});
    facts
        .nodes
        .objects
        .extend(objects::<Vec<_>>([node("win-1", "windows", "True")]));
    let first = findings(&facts).remove(0);
    assert_eq!(
        (first.severity, first.subject.as_str()),
        (Severity::Ok, "1 Windows node")
    );
    assert!(first.found.ends_with("win-1"), "{first:?}");
}

#[test]
fn an_agent_that_is_not_heard_is_named_with_its_pod_or_the_lack_of_one() {
    let silent = only(&facts(|status| status.rebooter = None));
    assert_eq!(silent.severity, Severity::Problem);
    assert_eq!(
        (silent.subject.as_str(), silent.found.as_str()),
        ("rebooter of node-2", "was never heard")
    );
    assert_eq!(
        silent.remedy.unwrap(),
        "kubectl -n bellwether-agents logs rebooter-x7k2p --tail=20"
    );
    let stale = only(&facts(|status| {
        if let Some(sentinel) = &mut status.sentinel {
            sentinel.stale = true;
        }
    }));
    assert_eq!(stale.found, "is not heard any more, for up to 14m");
    assert!(
        stale
            .remedy
            .unwrap()
            .ends_with("describe daemonset sentinel    # no pod of it is on node-2")
    );
}

#[test]
fn on_a_node_that_is_down_or_on_its_way_silence_is_no_problem() {
    let mut down = facts(|status| status.rebooter = None);
    down.nodes.objects = objects([node("node-1", "linux", "True"), node("node-2", "linux", "Unknown")]);
    assert_eq!(only(&down).severity, Severity::Warning);
    let rebooting = facts(|status| {
        status.rebooter = None;
        status.state = NodeState::InProgress.into();
    });
    assert_eq!(only(&rebooting).severity, Severity::Warning);
}

#[test]
fn a_preflight_that_fails_is_reported_word_for_word_with_its_remedy() {
    let armor = "logind refuses CanReboot; on hosts with AppArmor the container needs appArmorProfile Unconfined";
    let finding = preflight(ProblemCode::BusAccessDenied, armor);
    assert_eq!(finding.severity, Severity::Problem);
    assert_eq!(finding.found, format!("could not reboot its host: {armor}"));
    assert!(
        finding
            .remedy
            .unwrap()
            .starts_with("kubectl -n bellwether-agents patch daemonset rebooter -p '{")
    );

    let bus = "D-Bus socket /host/run/dbus/system_bus_socket cannot be connected: is the host's /run/dbus mounted, and does --dbus-socket or --host-root say where?";
    assert!(
        preflight(ProblemCode::BusUnreachable, bus)
            .remedy
            .unwrap()
            .starts_with("mount the host's /run/dbus")
    );
    let spent = "it was told to reboot in this boot and still runs";
    assert!(
        preflight(ProblemCode::RebootAlreadyCalled, spent)
            .remedy
            .unwrap()
            .ends_with("delete pod rebooter-x7k2p")
    );
    assert!(
        preflight(ProblemCode::Unknown(77), "of a kind that is not known here")
            .remedy
            .unwrap()
            .contains("logs rebooter-x7k2p")
    );
}

#[test]
fn severity_and_remedy_follow_the_code_and_never_the_message() {
    let words = "blocks shutdowns; is the host's /run/dbus mounted? appArmorProfile; told to reboot in this boot";
    let finding = preflight(ProblemCode::RebootCommandFailed, words);
    assert_eq!(finding.severity, Severity::Problem);
    assert!(finding.remedy.unwrap().contains("logs rebooter-x7k2p"));
    let other_words = preflight(ProblemCode::ShutdownInhibited, "busy");
    assert_eq!(other_words.severity, Severity::Warning);
}

#[test]
fn a_problem_that_an_older_scheduler_passes_on_without_a_code_is_shown_with_its_message() {
    let finding = only(&facts(|status| {
        if let Some(rebooter) = &mut status.rebooter {
            "no D-Bus".clone_into(&mut rebooter.problem);
        }
    }));
    assert_eq!(finding.severity, Severity::Problem);
    assert_eq!(finding.found, "could not reboot its host: no D-Bus");
}

#[test]
fn a_problem_of_a_newer_agent_without_a_message_is_shown_by_its_number() {
    let finding = only(&facts(|status| {
        if let Some(rebooter) = &mut status.rebooter {
            rebooter.classified_problem = Some(Problem::new(ProblemCode::Unknown(77), "").to_wire());
        }
    }));
    assert_eq!(finding.code, Code::HostNotRebootable);
    assert_eq!(finding.found, "could not reboot its host: Unknown(77)");
}

#[test]
fn a_package_upgrade_under_way_is_waited_for_and_no_problem() {
    let busy = preflight(
        ProblemCode::ShutdownInhibited,
        "unattended-upgrades blocks shutdowns of this host now: dpkg runs",
    );
    assert_eq!(busy.severity, Severity::Warning);
    assert!(busy.remedy.unwrap().starts_with("wait until it has ended"));
}

#[test]
fn a_sentinel_without_its_mount_gets_the_remedy_for_it() {
    let mut facts = facts(|status| {
        if let Some(sentinel) = &mut status.sentinel {
            let message = "directory /host/var/run cannot be seen: is the host's directory mounted, and do --host-root \
                           and --sentinel-file say where?: No such file or directory (os error 2)";
            report(sentinel, ProblemCode::HostDirectoryUnreadable, message);
        }
    });
    facts.agents.objects = beside([agents_pod("sentinel", "node-2")]);
    let finding = only(&facts);
    assert!(
        finding
            .found
            .starts_with("cannot look at its host: directory /host/var/run"),
        "{finding:?}"
    );
    assert_eq!(
        finding.remedy.as_deref(),
        Some("mount the host's /var/run, as deploy/base/sentinel.yaml does")
    );
}

#[test]
fn hosts_whose_buses_answer_alike_are_one_finding() {
    let mut facts = facts(|_| {});
    let denied = |n: usize| {
        format!(
            "logind refuses CanReboot; on hosts with AppArmor the container needs appArmorProfile Unconfined: \
             denied; sender=\":1.{n}\" (uid=0 pid={n})"
        )
    };
    let mut list = ListNodesResponse::default();
    facts.nodes.objects = objects((1..=5000).map(|n| node(&format!("node-{n}"), "linux", "True")));
    for n in 1..=5000 {
        let name = format!("node-{n}");
        let mut status = status(&name);
        if let Some(rebooter) = &mut status.rebooter {
            report(rebooter, ProblemCode::BusAccessDenied, &denied(n));
        }
        list.nodes.push(status);
    }
    let leader = String::new();
    facts.fleet = Ok(FleetAnswer { leader, list });
    let finding = only(&facts);
    assert!(finding.subject.ends_with("and 4996 more"), "{finding:?}");
    assert!(finding.found.contains("sender=\":1.1\""), "{finding:?}");
}

#[test]
fn a_clock_that_is_off_takes_the_good_news_away() {
    let off = facts(|status| {
        if let Some(sentinel) = &mut status.sentinel {
            sentinel.clock_ahead = Some(Duration { seconds: 6, nanos: 0 });
        }
    });
    assert_eq!(findings(&off), []);
    assert_eq!(clocks::findings(&off).len(), 1);
}

#[test]
fn without_a_scheduler_agents_are_not_judged() {
    let mut facts = facts(|_| {});
    facts.fleet = Err("no leader".to_owned());
    let finding = only(&facts);
    assert_eq!(finding.severity, Severity::Warning);
    assert!(finding.found.starts_with("not checked"), "{finding:?}");
}

#[test]
fn without_the_right_to_read_nodes_those_that_the_scheduler_knows_count() {
    let mut facts = facts(|status| status.rebooter = None);
    facts.nodes.objects.clear();
    facts.nodes.failure = Some(Failure::forbidden("no"));
    let finding = only(&facts);
    assert_eq!(
        (finding.severity, finding.subject.as_str()),
        (Severity::Problem, "rebooter of node-2")
    );
}
