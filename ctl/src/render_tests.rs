//! The exact text of the answers.

use bellwether_proto::wire::node_event::Fact;
use bellwether_proto::{to_timestamp, wire};
use jiff::Timestamp;

use super::{event, explain, status};
use crate::json;

#[expect(clippy::unnecessary_wraps, reason = "the fields that it fills are optional")]
fn at(text: &str) -> Option<prost_types::Timestamp> {
    Some(to_timestamp(text.parse().unwrap()))
}

fn now() -> Timestamp {
    "2026-11-22T12:00:00Z".parse().unwrap()
}

fn waiting() -> wire::NodeStatus {
    wire::NodeStatus {
        node: "worker-2".to_owned(),
        state: wire::NodeState::Waiting.into(),
        reason: Some(wire::Reason {
            code: "SlotsTaken".to_owned(),
            message: "all 1 slots are taken, by worker-1".to_owned(),
            since: at("2026-11-22T11:55:50Z"),
        }),
        ready: true,
        reboot_required: true,
        required_since: at("2026-11-21T02:00:00Z"),
        required_by: vec!["linux-image-amd64".to_owned(), "libc6".to_owned()],
        boot_id: "b00t-2".to_owned(),
        kernel_running: "6.1.0-27-amd64".to_owned(),
        kernel_installed: "6.1.0-28-amd64".to_owned(),
        os: "Debian GNU/Linux 12 (bookworm)".to_owned(),
        ..Default::default()
    }
}

fn draining() -> wire::NodeStatus {
    wire::NodeStatus {
        node: "worker-1".to_owned(),
        state: wire::NodeState::InProgress.into(),
        unschedulable: true,
        reason: None,
        drain: Some(wire::DrainProgressed {
            pods_left: 2,
            pods_gone: 7,
            held_up_by: vec!["shop/web-0: budget shop/web allows no disruption".to_owned()],
            blockers: blockers(),
        }),
        attempt: Some(wire::Attempt {
            attempt_id: "a77e".to_owned(),
            phase: wire::Phase::Draining.into(),
            deadline: at("2026-11-22T12:25:00Z"),
            slot_held: true,
            history: vec![entered(wire::Phase::Draining, "2026-11-22T11:55:00Z")],
            ..Default::default()
        }),
        ..waiting()
    }
}

fn blockers() -> Vec<wire::Blocker> {
    vec![wire::Blocker {
        kind: wire::BlockerKind::Budget.into(),
        pods: 2,
        namespace: "shop".to_owned(),
        budget: "web".to_owned(),
        healthy: 2,
        desired: 2,
        expected: 3,
        grace_ends_at: None,
        namespace_owners: vec!["team-shop".to_owned()],
    }]
}

fn entered(phase: wire::Phase, when: &str) -> wire::PhaseEntered {
    wire::PhaseEntered {
        phase: phase.into(),
        at: at(when),
    }
}

fn happened(when: &str, source: &str, fact: Fact) -> wire::NodeEvent {
    wire::NodeEvent {
        node: "worker-1".to_owned(),
        at: at(when),
        source: source.to_owned(),
        fact: Some(fact),
        ..Default::default()
    }
}

#[test]
fn a_node_that_waits_shows_when_its_start_is_expected() {
    let shown = |node: wire::NodeStatus| {
        let story = wire::ExplainNodeResponse {
            status: Some(node),
            ..Default::default()
        };
        let text = explain(&story, false, now());
        let line = text.lines().find_map(|line| line.strip_prefix("Expected start:"));
        line.map(|line| line.trim().to_owned())
    };
    let expected = |when: &str| {
        shown(wire::NodeStatus {
            expected_start: at(when),
            ..waiting()
        })
    };
    assert_eq!(
        expected("2026-11-22T12:20:00Z").unwrap(),
        "about 2026-11-22T12:20:00Z, in 20m"
    );
    assert_eq!(expected("2026-11-22T11:59:59Z").unwrap(), "now");
    let left_over = wire::NodeStatus {
        does_not_fit: true,
        ..waiting()
    };
    assert!(
        shown(left_over)
            .unwrap()
            .starts_with("not in the present or next opening")
    );
    assert_eq!(shown(waiting()), None);
}

#[test]
fn the_fleet_is_a_table_with_one_reason_for_each_waiting_node() {
    let idle = wire::NodeStatus {
        node: "control-plane".to_owned(),
        state: wire::NodeState::Idle.into(),
        ready: true,
        kernel_running: "6.1.0-28-amd64".to_owned(),
        ..Default::default()
    };
    let fleet = wire::ListNodesResponse {
        nodes: vec![idle, draining(), waiting()],
        control: Some(wire::FleetControl {
            paused: true,
            by: "anna".to_owned(),
            reason: "release day".to_owned(),
            since: at("2026-11-22T11:48:00Z"),
            orders: Vec::new(),
            event_chain: None,
        }),
        slots_total: 1,
        slots_taken: 1,
        notice: "the API server does not answer".to_owned(),
        ..Default::default()
    };
    let expected = "\
Slots taken: 1/1. Paused by anna 12m ago: release day
Nothing new is decided: the API server does not answer
NODE            STATUS                     STATE      SINCE   REASON                                                                                                  KERNEL
control-plane   Ready                      Idle       -       -                                                                                                       6.1.0-28-amd64
worker-1        Ready,SchedulingDisabled   Draining   5m      2 pods left, 7 gone: 2 wait for the disruption budget shop/web (2 of 3 healthy, 2 have to be) (owner…   6.1.0-27-amd64
worker-2        Ready                      Waiting    4m10s   all 1 slots are taken, by worker-1                                                                      6.1.0-27-amd64
";
    assert_eq!(status(&fleet, false, now()), expected);
}

fn order(kind: wire::OrderKind, by: &str, annotation: &str, fault: &str) -> wire::NodeOrder {
    wire::NodeOrder {
        order: Some(wire::FleetOrder {
            kind: kind.into(),
            scope: wire::OrderScope::Node.into(),
            subject: "worker-2".to_owned(),
            by: by.to_owned(),
            reason: "disks".to_owned(),
            since: at("2026-11-22T11:48:00Z"),
            until: None,
        }),
        annotation: annotation.to_owned(),
        fault: fault.to_owned(),
    }
}

#[test]
fn orders_are_shown_with_their_source() {
    let stored = order(wire::OrderKind::Skip, "anna", "", "");
    let held = order(wire::OrderKind::Block, "argocd", "bellwether.dev/hold", "");
    let unknown = order(wire::OrderKind::Approve, "", "bellwether.dev/approve", "set it again");
    let node = wire::NodeStatus {
        orders: vec![stored.clone(), held, unknown],
        ..waiting()
    };
    let story = wire::ExplainNodeResponse {
        status: Some(node.clone()),
        events: Vec::new(),
    };
    let text = explain(&story, false, now());
    for line in [
        "Order:           Skipped: node worker-2, by anna 12m ago: disks\n",
        "Order:           Held: node worker-2, by argocd 12m ago: disks (annotation bellwether.dev/hold)\n",
        "Order:           Approved: node worker-2, by - 12m ago: disks (annotation bellwether.dev/approve); set it again\n",
    ] {
        assert!(text.contains(line), "{text}");
    }
    let mut fleet = wire::ListNodesResponse {
        nodes: vec![node; 11],
        control: Some(wire::FleetControl {
            orders: vec![stored.order.unwrap()],
            ..Default::default()
        }),
        ..Default::default()
    };
    let text = status(&fleet, false, now());
    assert_eq!(
        text.matches("\nSkipped: ").count(),
        1,
        "stored orders are in the list: {text}"
    );
    assert_eq!(text.matches(" (annotation bellwether.dev/").count(), 20, "{text}");
    assert!(
        text.contains("\nAnd 2 more orders by annotation: -o json shows all.\n"),
        "{text}"
    );
    fleet.nodes.truncate(10);
    assert!(!status(&fleet, false, now()).contains("more orders"));
    let json: serde_json::Value = serde_json::from_str(&json::status(&fleet).unwrap()).unwrap();
    let shown = &json["nodes"][0]["orders"][1];
    assert_eq!(
        (&shown["kind"], &shown["annotation"]),
        (&"Block".into(), &"bellwether.dev/hold".into())
    );
}

#[test]
fn a_long_reason_is_clipped_unless_there_is_room() {
    let mut node = waiting();
    let long = format!("the rebooter cannot reboot this host: {}", "é".repeat(100));
    node.reason = node.reason.map(|reason| wire::Reason {
        message: long.clone(),
        ..reason
    });
    let fleet = wire::ListNodesResponse {
        nodes: vec![node],
        ..Default::default()
    };
    let clipped = format!(" the rebooter cannot reboot this host: {}…  ", "é".repeat(62));
    assert!(status(&fleet, false, now()).contains(&clipped));
    assert!(status(&fleet, true, now()).contains(&long));
}

#[test]
fn wide_adds_the_ids_of_boot_and_attempt() {
    let fleet = wire::ListNodesResponse {
        nodes: vec![waiting()],
        slots_total: 1,
        ..Default::default()
    };
    let expected = "\
Slots taken: 0/1.
NODE       STATUS   STATE     SINCE   REASON                               KERNEL           INSTALLED        OS                               BOOT ID   ATTEMPT
worker-2   Ready    Waiting   4m10s   all 1 slots are taken, by worker-1   6.1.0-27-amd64   6.1.0-28-amd64   Debian GNU/Linux 12 (bookworm)   b00t-2    -
";
    assert_eq!(status(&fleet, true, now()), expected);
}

#[test]
fn a_waiting_node_is_shown_with_its_reason() {
    let story = wire::ExplainNodeResponse {
        status: Some(waiting()),
        events: vec![],
    };
    let expected = "\
Node:            worker-2
Status:          Ready
State:           Waiting for 4m10s
Reason:          SlotsTaken: all 1 slots are taken, by worker-1 (for 4m10s)
Reboot required: for 34h by linux-image-amd64, libc6
Kernel:          6.1.0-27-amd64 (installed: 6.1.0-28-amd64)
OS:              Debian GNU/Linux 12 (bookworm)
Events:          none
";
    assert_eq!(explain(&story, false, now()), expected);
}

#[test]
fn a_draining_node_is_shown_with_its_blockers_and_its_past() {
    let phase = wire::PhaseChanged {
        from: 0,
        to: wire::Phase::Draining.into(),
        message: String::new(),
        ..Default::default()
    };
    let events = vec![
        happened("2026-11-22T11:55:00Z", "scheduler 0.1.0", Fact::PhaseChanged(phase)),
        happened(
            "2026-11-22T11:55:02Z",
            "drainer 0.1.0",
            Fact::Cordoned(wire::NodeCordoned {}),
        ),
    ];
    let story = wire::ExplainNodeResponse {
        status: Some(draining()),
        events,
    };
    let expected = "\
Node:            worker-1
Status:          Ready,SchedulingDisabled
State:           Draining for 5m
Reboot required: for 34h by linux-image-amd64, libc6
Kernel:          6.1.0-27-amd64 (installed: 6.1.0-28-amd64)
OS:              Debian GNU/Linux 12 (bookworm)
Drain:           2 pods left, 7 gone
Left:            2 wait for the disruption budget shop/web (2 of 3 healthy, 2 have to be) (owner team-shop)
Held up by:      shop/web-0: budget shop/web allows no disruption
Attempt:         a77e
Slot:            held
Phase deadline:  in 25m
Phases:
  PHASE      ENTERED                TOOK
  Draining   2026-11-22T11:55:00Z   5m so far
Events:
  AGE     EVENT          FROM              MESSAGE
  5m      PhaseChanged   scheduler 0.1.0   Draining
  4m58s   Cordoned       drainer 0.1.0     no new pods are placed here
";
    assert_eq!(explain(&story, false, now()), expected);
}

#[test]
fn a_failed_attempt_is_shown_with_its_phases_and_its_ending() {
    let mut node = waiting();
    node.state = wire::NodeState::Failed.into();
    node.attempt = Some(wire::Attempt {
        attempt_id: "a77e".to_owned(),
        phase: wire::Phase::Failed.into(),
        slot_held: true,
        failures_in_row: 2,
        retry_not_before: at("2026-11-22T13:00:00Z"),
        ending: Some(wire::Ending {
            cause: wire::Cause::NodeNotBack.into(),
            message: "not Ready within 15m".to_owned(),
            rollback_cause: wire::Cause::Unspecified.into(),
        }),
        history: vec![
            entered(wire::Phase::Draining, "2026-11-22T11:00:00Z"),
            entered(wire::Phase::Rebooting, "2026-11-22T11:03:20Z"),
            entered(wire::Phase::Failed, "2026-11-22T11:18:20Z"),
        ],
        ..Default::default()
    });
    let story = wire::ExplainNodeResponse {
        status: Some(node),
        events: vec![],
    };
    let text = explain(&story, false, now());
    let expected = "\
Attempt:         a77e
Slot:            held
Ending:          NodeNotBack: not Ready within 15m
Tried in vain:   2 times in a row
Next try:        not before 2026-11-22T13:00:00Z
Phases:
  PHASE       ENTERED                TOOK
  Draining    2026-11-22T11:00:00Z   3m20s
  Rebooting   2026-11-22T11:03:20Z   15m
  Failed      2026-11-22T11:18:20Z   -
Events:          none
";
    assert!(text.ends_with(expected), "{text}");
}

#[test]
fn an_event_is_one_line() {
    let fact = Fact::PhaseChanged(wire::PhaseChanged {
        from: wire::Phase::Draining.into(),
        to: wire::Phase::Rebooting.into(),
        message: "drained".to_owned(),
        ..Default::default()
    });
    assert_eq!(
        event(&happened("2026-11-22T11:55:00Z", "scheduler", fact)),
        "2026-11-22T11:55:00Z  worker-1  PhaseChanged  Draining -> Rebooting: drained\n"
    );
}

#[test]
fn extreme_values_of_a_scheduler_of_any_version_are_rendered() {
    let extremes = [
        (i64::MAX, i32::MAX),
        (i64::MIN, i32::MIN),
        (253_402_207_200, 999_999_999),
        (-377_705_023_201, 0),
    ];
    for ((seconds, nanos), number) in extremes.into_iter().zip([i32::MAX, i32::MIN, -1, 9999]) {
        let at = Some(prost_types::Timestamp { seconds, nanos });
        let drain = wire::DrainProgressed {
            pods_left: u32::MAX,
            pods_gone: u32::MAX,
            held_up_by: vec!["é".repeat(5_000); 50],
            blockers: vec![
                wire::Blocker {
                    kind: number,
                    pods: u32::MAX,
                    namespace: "\n".repeat(500),
                    budget: "é".repeat(500),
                    healthy: u32::MAX,
                    desired: u32::MAX,
                    expected: u32::MAX,
                    grace_ends_at: at,
                    namespace_owners: vec!["\u{1b}[2J\n".repeat(100); 50],
                };
                50
            ],
        };
        let attempt = wire::Attempt {
            phase: number,
            generation: u64::MAX,
            failures_in_row: u32::MAX,
            deadline: at,
            cordoned_at: at,
            retry_not_before: at,
            ending: Some(wire::Ending {
                cause: number,
                message: "€".repeat(5_000),
                rollback_cause: number,
            }),
            history: vec![wire::PhaseEntered { phase: number, at }; 3],
            ..draining().attempt.unwrap_or_default()
        };
        let node = wire::NodeStatus {
            state: number,
            required_since: at,
            drain: Some(drain.clone()),
            attempt: Some(attempt),
            reason: waiting().reason.map(|reason| wire::Reason { since: at, ..reason }),
            ..waiting()
        };
        let facts = [
            Fact::DrainProgressed(drain),
            Fact::PhaseChanged(wire::PhaseChanged {
                from: number,
                to: number,
                message: String::new(),
                ..Default::default()
            }),
        ];
        let events = facts.map(|fact| wire::NodeEvent {
            at,
            ..happened("2026-11-22T12:00:00Z", "drainer 0.1.0", fact)
        });
        let fleet = wire::ListNodesResponse {
            nodes: vec![node.clone()],
            slots_total: 0,
            slots_taken: u32::MAX,
            ..Default::default()
        };
        for event_of_one in &events {
            assert!(event(event_of_one).contains("worker-1"));
        }
        let story = wire::ExplainNodeResponse {
            status: Some(node),
            events: events.into(),
        };
        for now in [now(), Timestamp::MIN, Timestamp::MAX] {
            for wide in [false, true] {
                assert!(status(&fleet, wide, now).contains("worker-2"));
                assert!(explain(&story, wide, now).contains("worker-2"));
            }
        }
        assert!(json::status(&fleet).is_ok() && json::explain(&story).is_ok());
    }
}
