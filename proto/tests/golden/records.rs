//! Records of samples: attempts in their phases, and the orders; with the names that all samples share.

use bellwether_proto::{
    Attempt, AttemptEnd, AttemptStart, BlockedBudget, Blocker, BlockerKind, BootTimes, BudgetNumbers, Cause,
    DrainReport, DrainTerms, Ending, EventChain, EventHash, EventLink, Fact, FailedReboot, FleetControl, FleetOrder,
    GateHeld, Generation, LastReboot, Message as _, Obstacle, ObstacleKind, ObstacleRun, OrderKind, OrderScope, Phase,
    PhaseDetail, PhaseEntered, RebootKind, ReturnedPods, ServedAnnotation, StartOrder, StayingPods, UnitsBefore, wire,
};
use jiff::{SignedDuration, Timestamp};

// Of the length of what a test on a real bus puts in their places.
pub(crate) const NODE: &str = "node-1.rig";
pub(crate) const NODE_UID: &str = "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa";
pub(crate) const BOOT_BEFORE: &str = "bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbbb";
/// The id of a key that signs records.
pub(crate) const KEY: &str = "21fe31dfa154a261";
pub(crate) const BOOT_AFTER: &str = "cccccccc-cccc-4ccc-8ccc-cccccccccccc";
pub(crate) const ATTEMPT: &str = "dddddddd-dddd-4ddd-8ddd-dddddddddddd";
pub(crate) const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// So many seconds into the story that the samples tell.
pub(crate) fn at(seconds: i64) -> Timestamp {
    let start: Timestamp = "2026-03-01T02:00:00Z".parse().unwrap();
    start + SignedDuration::from_secs(seconds)
}

/// Deadlines that never pass, so that a test on a real bus can use the record.
pub(crate) fn never() -> Timestamp {
    "2099-01-01T00:00:00Z".parse().unwrap()
}

pub(crate) fn attempt(generation: u64, phase: Phase) -> Attempt {
    Attempt {
        id: ATTEMPT.parse().unwrap(),
        node: NODE.parse().unwrap(),
        node_uid: NODE_UID.parse().unwrap(),
        generation: Generation(generation),
        phase,
        deadline: Some(never()),
        boot_before: BOOT_BEFORE.parse().unwrap(),
        boot_after: None,
        kernel_before: "6.12.41".into(),
        kernel_after: None,
        need_since: at(-60),
        reasons: vec!["linux-image-6.12.48".into()],
        cordoned_at: None,
        drained_at: None,
        reboot_not_before: None,
        reboot_not_after: None,
        reboot_started_at: None,
        ending: None,
        slot_held: true,
        failures_in_row: 0,
        retry_not_before: None,
        last_reboot: None,
        failed_reboot: None,
        daemon_pods: vec![],
        obstacle_run: None,
        drain_terms: DrainTerms::default(),
        left_behind: String::new(),
        drain_report: None,
        cordon_removed_at: None,
        units_before: None,
        reboot_kind: RebootKind::Full,
        soft_reboots_before: None,
        served_annotations: None,
        boot_times: None,
        event_chain: None,
        held: vec![],
        previous: None,
        waited_since: None,
        trace: TRACE.parse().unwrap(),
        need_span: Some([0xb7, 0xad, 0x6b, 0x71, 0x69, 0x20, 0x33, 0x31]),
        history: vec![PhaseEntered { phase, at: at(1) }],
    }
}

pub(crate) fn rebooting() -> Attempt {
    Attempt {
        cordoned_at: Some(at(2)),
        drained_at: Some(at(60)),
        reboot_not_after: Some(never()),
        ..attempt(2, Phase::Rebooting)
    }
}

pub(crate) fn uncordoning() -> Attempt {
    Attempt {
        boot_after: Some(BOOT_AFTER.parse().unwrap()),
        kernel_after: Some("6.12.48".into()),
        reboot_started_at: Some(at(62)),
        generation: Generation(4),
        phase: Phase::Uncordoning,
        ..rebooting()
    }
}

pub(crate) fn failed() -> Attempt {
    Attempt {
        generation: Generation(6),
        phase: Phase::Failed,
        deadline: None,
        ending: Some(Ending {
            cause: Cause::UncordonStuck,
            message: "no drainer has uncordoned it in time".into(),
            rollback_cause: None,
        }),
        failures_in_row: 2,
        retry_not_before: Some(at(3600)),
        ..uncordoning()
    }
}

/// What kept a drain from its end.
pub(crate) fn obstacle() -> Obstacle {
    Obstacle {
        kind: ObstacleKind::Budget,
        namespace: "shop".into(),
        owner: "StatefulSet/web".into(),
        pod: "web-0".into(),
    }
}

/// What keeps a drain from its end, with every field of a blocker.
pub(crate) fn blockers() -> Vec<Blocker> {
    let budget = BudgetNumbers {
        namespace: "shop".into(),
        name: "web".into(),
        healthy: 1,
        desired: 2,
        expected: 3,
    };
    vec![
        Blocker {
            budget: Some(budget),
            namespace_owners: vec!["blog".into(), "team-shop".into()],
            ..Blocker::of(BlockerKind::Budget, 2)
        },
        Blocker {
            grace_ends_at: Some(at(90)),
            ..Blocker::of(BlockerKind::Grace, 1)
        },
        Blocker::of(BlockerKind::Unknown(99), 1),
    ]
}

/// What a drain has met.
pub(crate) fn drain_report() -> DrainReport {
    DrainReport {
        seconds: 95,
        pods_gone: 7,
        evictions: 6,
        pods_left: 1,
        staying: StayingPods {
            daemon_set: 3,
            r#static: 2,
            finished: 4,
            annotated: 5,
            returning: 1,
        },
        budgets: vec![BlockedBudget {
            namespace: "shop".into(),
            budget: "web".into(),
            blocked_seconds: 40,
        }],
        longest_grace_seconds: 30,
        stuck_pods: vec!["shop/web-0".into()],
        returned: vec![ReturnedPods {
            namespace: "shop".into(),
            owner: "ReplicaSet/web".into(),
            pods: 4,
        }],
    }
}

/// An annotation that a reboot has served.
fn served(value: &str) -> ServedAnnotation {
    ServedAnnotation {
        key: "example.com/reboot".into(),
        value: value.into(),
    }
}

/// A gate that held the node.
fn held() -> GateHeld {
    GateHeld {
        code: "OutsideWindow".into(),
        message: "opens at 02:00".into(),
        since: Some(at(-60)),
        until: Some(at(0)),
        times: 2,
    }
}

/// With all that is known of the reboots and drains before.
pub(crate) fn failed_again() -> Attempt {
    Attempt {
        last_reboot: Some(LastReboot {
            boot_id: BOOT_AFTER.parse().unwrap(),
            need_since: at(-60),
            began_at: at(62),
            need_cleared: true,
            earlier: vec![at(-7200), at(-9000)],
            soft_reboots: Some(3),
            served_annotations: Some(vec![served("1"), served("2")]),
        }),
        failed_reboot: Some(FailedReboot {
            cause: Cause::NodeNotBack,
            at: at(-5000),
        }),
        obstacle_run: Some(ObstacleRun {
            obstacle: obstacle(),
            attempts: 3,
        }),
        drain_report: Some(Box::new(drain_report())),
        units_before: Some(UnitsBefore {
            failed_units: vec!["smartd.service".into()],
            hold: true,
        }),
        reboot_kind: RebootKind::Soft,
        soft_reboots_before: Some(2),
        served_annotations: Some(vec![served("3")]),
        boot_times: Some(Box::new(BootTimes {
            kernel_started_at: Some(at(70)),
            kernel: Some(SignedDuration::from_millis(1500)),
            userspace: Some(SignedDuration::from_secs(20)),
            ..BootTimes::default()
        })),
        held: vec![held()],
        previous: Some(
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0c1902c7-01"
                .parse()
                .unwrap(),
        ),
        waited_since: Some(at(-60)),
        event_chain: Some(Box::new(EventChain {
            sequence: 7,
            hash: EventHash::of(b"7"),
            unpublished: vec![b"6".to_vec(), b"7".to_vec()],
        })),
        ..failed()
    }
}

pub(crate) fn link() -> EventLink {
    EventLink {
        sequence: 7,
        previous: Some(EventHash::of(b"6")),
    }
}

pub(crate) fn phase_changed(message: String, link: Option<EventLink>, cause: Option<Cause>) -> Fact {
    Fact::PhaseChanged {
        from: Some(Phase::Draining),
        to: Phase::Rebooting,
        message,
        link,
        cause,
        detail: cause.map(|_| Box::new(detail())),
    }
}

fn detail() -> PhaseDetail {
    PhaseDetail {
        start: Some(AttemptStart {
            policy: "nights".into(),
            policy_generation: 3,
            need_since: Some(at(-60)),
            need_first_since: Some(at(-90)),
            reasons: vec!["linux-image-amd64".into()],
            held: vec![held()],
            order: Some(StartOrder {
                is_now: true,
                by: "anna".into(),
                reason: "urgent".into(),
                since: Some(at(-1)),
            }),
        }),
        end: Some(AttemptEnd::of(&failed())),
        by: "anna".into(),
    }
}

pub(crate) fn fleet_control() -> FleetControl {
    FleetControl {
        by: "anna".into(),
        reason: "release night".into(),
        since: at(0),
        orders: vec![FleetOrder {
            kind: OrderKind::Block,
            scope: OrderScope::Fleet,
            by: "anna".into(),
            reason: "release night".into(),
            since: at(0),
            until: None,
        }],
        event_chain: None,
    }
}

/// As today's scheduler writes them.
pub(crate) fn fleet_control_today() -> FleetControl {
    FleetControl {
        event_chain: failed_again().event_chain,
        ..fleet_control()
    }
}

/// The list of orders was added since.
pub(crate) fn fleet_control_before() -> wire::FleetControl {
    wire::FleetControl {
        orders: Vec::new(),
        ..fleet_control().to_wire()
    }
}
